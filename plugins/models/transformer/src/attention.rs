//! Multi-head attention (section 3.2.2): the projections, and what attends with them.

use tenon_nn::causal::Reading;
use tenon_nn::seq2seq::Source;
use tenon_nn::{Attention, Decode, Dropout, KeyValueSite, SiteLinear, Spans};
use tenon_plugin_api::model::prelude::*;

use crate::options::Config;
use crate::sublayer::linear;

/// An attention with its projections.
pub struct MultiHead {
    q_proj: SiteLinear,
    k_proj: SiteLinear,
    v_proj: SiteLinear,
    key_values: KeyValueSite,
    out_proj: SiteLinear,
    decode: Decode,
    dropout: f64,
}

impl MultiHead {
    /// Of the layer `number`, whose parameters lie at `build` (`model.encoder.layers.0.self_attn`).
    pub fn new(config: &Config, heads: i64, number: usize, build: &Build) -> Result<Self> {
        let width = config.d_model;
        let linear = |name: &str, role: &str| {
            let build = build.sub(name);
            linear(config, &build, role, number, (width, width))
        };
        Ok(Self {
            k_proj: linear("k_proj", "key")?,
            v_proj: linear("v_proj", "value")?,
            q_proj: linear("q_proj", "query")?,
            key_values: KeyValueSite::new(build, "key_value", number, heads, width)?,
            out_proj: linear("out_proj", "attention_output")?,
            decode: Decode::new(build.name(), heads, ((width / heads) as f64).powf(-0.5)),
            dropout: config.attention_dropout,
        })
    }

    /// In the encoder: all tokens of a source, `x` `[rows, d]` at `spans`, see each other.
    pub fn within(&self, x: &Tensor, spans: &Spans, forward: &Forward) -> Result<Tensor> {
        let (q, (k, v)) = (
            self.q_proj.forward(x, forward)?,
            self.key_value(x, forward)?,
        );
        let (k, v, keys) = self.key_values.forward(&k, &v, spans, forward)?;
        let context = self.over(spans, &keys, forward).forward(&q, &k, &v)?;
        self.out_proj.forward(&context, forward)
    }

    /// In the decoder: tokens see what was written before them.
    pub fn before(
        &self,
        x: &Tensor,
        reading: &mut Reading<'_>,
        forward: &Forward,
    ) -> Result<Tensor> {
        let (q, (k, v)) = (
            self.q_proj.forward(x, forward)?,
            self.key_value(x, forward)?,
        );
        let qkv = [&q, &k, &v];
        let context = reading.attend(&self.decode, &self.key_values, qkv, self.dropout, forward)?;
        self.out_proj.forward(&context, forward)
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
        let q = self.q_proj.forward(x, forward)?;
        let context = match (reading, source) {
            (Reading::Next(cache), _) => self.decode.cross(cache, &q)?,
            (Reading::Sequences(spans), Some(source)) => {
                let (k, v, keys) = self.of_source(source, forward)?;
                self.over(spans, &keys, forward).forward(&q, &k, &v)?
            }
            (Reading::Prompts(spans, cache), Some(source)) => {
                let (k, v, keys) = self.of_source(source, forward)?;
                self.decode.remember(cache, &keys, &k, &v)?;
                self.over(spans, &keys, forward).forward(&q, &k, &v)?
            }
            (_, None) => bail!(Other, "transformer: no source"),
        };
        self.out_proj.forward(&context, forward)
    }

    /// Keys and values of sources, and where they lie.
    fn of_source(&self, source: &Source, forward: &Forward) -> Result<(Tensor, Tensor, Spans)> {
        let (k, v) = self.key_value(&source.states, forward)?;
        self.key_values.forward(&k, &v, &source.spans, forward)
    }

    fn key_value(&self, x: &Tensor, forward: &Forward) -> Result<(Tensor, Tensor)> {
        Ok((
            self.k_proj.forward(x, forward)?,
            self.v_proj.forward(x, forward)?,
        ))
    }

    fn over<'a>(&self, queries: &'a Spans, keys: &'a Spans, forward: &Forward) -> Attention<'a> {
        Attention {
            dropout: Dropout::next(forward, self.dropout),
            ..Attention::new(queries, keys, self.decode.heads, self.decode.scale)
        }
    }
}
