//! One layer of the encoder: self-attention and a feed-forward network, each with a residual sum and a norm.

use tenon_nn::{
    Activation, Attention, Dropout, KeyValueSite, LayerNorm, Linear, OutputSite, SiteLinear, Spans,
};
use tenon_plugin_api::model::prelude::*;

use crate::options::Config;

/// A layer of the encoder.
pub struct Layer {
    query: SiteLinear,
    key: SiteLinear,
    value: SiteLinear,
    key_values: KeyValueSite,
    attention_output: Sublayer,
    intermediate: SiteLinear,
    output: Sublayer,
    activation: Activation,
    heads: i64,
    attention_dropout: f64,
}

/// How a sublayer ends: `norm(residual + dropout(dense(x)))`.
struct Sublayer {
    dense: SiteLinear,
    site: OutputSite,
    norm: LayerNorm,
    dropout: f64,
}

impl Layer {
    /// Layer `number`, whose parameters lie at `build` (`bert.encoder.layer.0`).
    pub fn new(config: &Config, number: usize, build: &Build) -> Result<Self> {
        let (hidden, inner, std) = (
            config.hidden_size,
            config.intermediate_size,
            config.initializer_range,
        );
        let linear = |build: Build, role: &str, inputs: i64, outputs: i64| {
            Linear::new(&build, inputs, outputs, std)?.with_site(&build, role, Some(number))
        };
        let sublayer =
            |build: Build, role: &str, site_role: &str, inputs: i64| -> Result<Sublayer> {
                Ok(Sublayer {
                    dense: linear(build.sub("dense"), role, inputs, hidden)?,
                    site: OutputSite::new(&build, site_role, number, hidden)?,
                    norm: LayerNorm::new(&build.sub("LayerNorm"), hidden, config.layer_norm_eps)?,
                    dropout: config.hidden_dropout_prob,
                })
            };
        let attention = build.sub("attention");
        let own = attention.sub("self");
        Ok(Self {
            query: linear(own.sub("query"), "query", hidden, hidden)?,
            key: linear(own.sub("key"), "key", hidden, hidden)?,
            value: linear(own.sub("value"), "value", hidden, hidden)?,
            key_values: KeyValueSite::new(
                &own,
                "key_value",
                number,
                config.num_attention_heads,
                hidden,
            )?,
            attention_output: sublayer(
                attention.sub("output"),
                "attention_output",
                "attention_sublayer",
                hidden,
            )?,
            intermediate: linear(
                build.sub("intermediate.dense"),
                "intermediate",
                hidden,
                inner,
            )?,
            output: sublayer(
                build.sub("output"),
                "output",
                "feed_forward_sublayer",
                inner,
            )?,
            activation: config.hidden_act,
            heads: config.num_attention_heads,
            attention_dropout: config.attention_probs_dropout_prob,
        })
    }

    /// `x` is `[tokens, hidden]`, its sequences at `spans`. Returns the same, or, with `firsts` (indices of the
    /// sequences' first tokens), `[sequences, hidden]`: what the layer makes of those tokens alone.
    pub fn forward(
        &self,
        x: &Tensor,
        spans: &Spans,
        firsts: Option<&Tensor>,
        forward: &Forward,
    ) -> Result<Tensor> {
        let singles = Spans::from_lengths(&vec![1; spans.sequences() as usize]);
        let (carried, queries) = match firsts {
            Some(firsts) => (x.f_index_select(0, firsts)?, &singles),
            None => (x.shallow_clone(), spans),
        };
        let context = self.attend(x, spans, &carried, queries, forward)?;
        let x = self.attention_output.forward(&context, &carried, forward)?;
        let inner = self
            .activation
            .forward(&self.intermediate.forward(&x, forward)?)?; // [tokens, intermediate]
        self.output.forward(&inner, &x, forward)
    }

    fn attend(
        &self,
        x: &Tensor,
        spans: &Spans,
        carried: &Tensor,
        queries: &Spans,
        forward: &Forward,
    ) -> Result<Tensor> {
        let q = self.query.forward(carried, forward)?;
        let (k, v) = (
            self.key.forward(x, forward)?,
            self.value.forward(x, forward)?,
        );
        let (k, v, keys) = self.key_values.forward(&k, &v, spans, forward)?;
        let dim = q.size()[1] / self.heads;
        let attention = Attention {
            dropout: Dropout::next(forward, self.attention_dropout),
            ..Attention::new(queries, &keys, self.heads, (dim as f64).powf(-0.5))
        };
        Ok(attention.forward(&q, &k, &v)?)
    }
}

impl Sublayer {
    fn forward(&self, x: &Tensor, residual: &Tensor, forward: &Forward) -> Result<Tensor> {
        let x = self
            .site
            .forward(self.dense.forward(x, forward)?, forward)?;
        Ok(self
            .norm
            .residual(&x, residual, Dropout::next(forward, self.dropout))?)
    }
}
