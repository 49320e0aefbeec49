//! Multi-head attention without biases and without a scale, of normed states, added to them.

use tenon_nn::causal::Reading;
use tenon_nn::seq2seq::Source;
use tenon_nn::{Attention, Decode, Dropout, Linear, OutputSite, RmsNorm, Sight, SiteLinear, Spans};
use tenon_plugin_api::model::prelude::*;

use crate::options::Config;

/// A sublayer of attention: `x + dropout(o(attention(q(n), k(…), v(…))))` with `n = norm(x)`.
pub struct MultiHead {
    norm: RmsNorm,
    q: SiteLinear,
    k: SiteLinear,
    v: SiteLinear,
    o: SiteLinear,
    site: OutputSite,
    decode: Decode,
    dropout: f64,
}

impl MultiHead {
    /// Of the block `number`, whose parameters lie at `build` (`encoder.block.0.layer.0`) and in its sub-module
    /// `name`.
    pub fn new(config: &Config, name: &str, number: usize, build: &Build) -> Result<Self> {
        let own = build.sub(name);
        let (d, inner) = (config.d_model, config.inner());
        let linear = |name: &str, role: &str, (inputs, outputs): (i64, i64), std: f64| {
            let build = own.sub(name);
            let linear = Linear::without_bias(&build, inputs, outputs, std)?;
            linear.with_site(&build, role, Some(number))
        };
        // scores are not scaled, so queries start smaller
        let of_queries = config.std(d * config.d_kv);
        Ok(Self {
            norm: RmsNorm::new(&build.sub("layer_norm"), d, config.layer_norm_epsilon)?,
            q: linear("q", "query", (d, inner), of_queries)?,
            k: linear("k", "key", (d, inner), config.std(d))?,
            v: linear("v", "value", (d, inner), config.std(d))?,
            o: linear("o", "attention_output", (inner, d), config.std(inner))?,
            site: OutputSite::new(&own, "attention_sublayer", number, d)?,
            decode: Decode::new(own.name(), config.num_heads, 1.0),
            dropout: config.dropout_rate,
        })
    }

    /// In the encoder: all tokens of a source, `x` `[rows, d]` at `spans`, see each other. `bias` is `[heads, query,
    /// key]`.
    pub fn within(
        &self,
        x: &Tensor,
        spans: &Spans,
        bias: &Tensor,
        forward: &Forward,
    ) -> Result<Tensor> {
        let (q, k, v) = self.of_itself(x, forward)?;
        let attention = Attention {
            bias: Some(bias),
            ..self.over(spans, spans, forward)
        };
        self.add(x, &attention.forward(&q, &k, &v)?, forward)
    }

    /// In the decoder: tokens see what was written before them. `bias` is `[heads, query, key]` or, for one token
    /// more, `[heads, distance]`.
    pub fn before(
        &self,
        x: &Tensor,
        reading: &mut Reading<'_>,
        bias: &Tensor,
        forward: &Forward,
    ) -> Result<Tensor> {
        let (q, k, v) = self.of_itself(x, forward)?;
        let bias = Some(bias);
        let context = match reading {
            Reading::Sequences(spans) => {
                let attention = Attention {
                    sight: Sight::Before,
                    bias,
                    ..self.over(spans, spans, forward)
                };
                attention.forward(&q, &k, &v)?
            }
            Reading::Prompts(spans, cache) => {
                self.decode.prefill(cache, spans, &q, &k, &v, bias)?
            }
            Reading::Next(cache) => self.decode.step(cache, &q, &k, &v, bias)?,
        };
        self.add(x, &context, forward)
    }

    /// From the decoder to the encoder: tokens see all of their source, which a decoding keeps, so that it is not
    /// given again (`None`) with the tokens that follow.
    pub fn across(
        &self,
        x: &Tensor,
        reading: &mut Reading<'_>,
        source: Option<&Source>,
        forward: &Forward,
    ) -> Result<Tensor> {
        let q = self.q.forward(&self.norm.forward(x)?, forward)?;
        let context = match (reading, source) {
            (Reading::Next(cache), _) => self.decode.cross(cache, &q)?,
            (Reading::Sequences(spans), Some(source)) => {
                let (k, v) = self.key_value(&source.states, forward)?;
                self.over(spans, &source.spans, forward)
                    .forward(&q, &k, &v)?
            }
            (Reading::Prompts(spans, cache), Some(source)) => {
                let (k, v) = self.key_value(&source.states, forward)?;
                self.decode.remember(cache, &source.spans, &k, &v)?;
                self.over(spans, &source.spans, forward)
                    .forward(&q, &k, &v)?
            }
            (_, None) => bail!(Other, "t5: no source"),
        };
        self.add(x, &context, forward)
    }

    /// Queries, keys and values of states: `[rows, heads·d_kv]` each.
    fn of_itself(&self, x: &Tensor, forward: &Forward) -> Result<(Tensor, Tensor, Tensor)> {
        let normed = self.norm.forward(x)?;
        let (k, v) = self.key_value(&normed, forward)?;
        Ok((self.q.forward(&normed, forward)?, k, v))
    }

    fn key_value(&self, x: &Tensor, forward: &Forward) -> Result<(Tensor, Tensor)> {
        Ok((self.k.forward(x, forward)?, self.v.forward(x, forward)?))
    }

    fn over<'a>(&self, queries: &'a Spans, keys: &'a Spans, forward: &Forward) -> Attention<'a> {
        Attention {
            dropout: Dropout::next(forward, self.dropout),
            ..Attention::new(queries, keys, self.decode.heads, self.decode.scale)
        }
    }

    /// The residual sum with the context `[rows, heads·d_kv]`.
    fn add(&self, x: &Tensor, context: &Tensor, forward: &Forward) -> Result<Tensor> {
        let out = self
            .site
            .forward(self.o.forward(context, forward)?, forward)?;
        Ok(x.f_add(&Dropout::next(forward, self.dropout).apply(&out)?)?)
    }
}
