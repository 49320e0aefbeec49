//! Multi-head attention (section 3.2.2): the projections, and what they are for.

use tenon_nn::{Attention, Decode, Dropout, SiteLinear, Spans};
use tenon_plugin_api::model::prelude::*;

use crate::options::Config;
use crate::sublayer::linear;

/// The projections of an attention.
pub struct MultiHead {
    q_proj: SiteLinear,
    k_proj: SiteLinear,
    v_proj: SiteLinear,
    out_proj: SiteLinear,
    heads: i64,
    scale: f64,
    dropout: f64,
    /// The same over a cache.
    pub cached: Decode,
}

impl MultiHead {
    /// Of the layer `number`, whose parameters lie at `build` (`model.encoder.layers.0.self_attn`).
    pub fn new(config: &Config, heads: i64, number: usize, build: &Build) -> Result<Self> {
        let width = config.d_model;
        let scale = ((width / heads) as f64).powf(-0.5);
        let linear =
            |name: &str, role: &str| linear(config, &build.sub(name), role, number, (width, width));
        Ok(Self {
            k_proj: linear("k_proj", "key")?,
            v_proj: linear("v_proj", "value")?,
            q_proj: linear("q_proj", "query")?,
            out_proj: linear("out_proj", "attention_output")?,
            heads,
            scale,
            dropout: config.attention_dropout,
            cached: Decode::new(build.name(), heads, scale),
        })
    }

    /// Queries of `x` `[rows, d]`.
    pub fn query(&self, x: &Tensor, forward: &Forward) -> Result<Tensor> {
        self.q_proj.forward(x, forward)
    }

    /// Keys and values of `x` `[rows, d]`.
    pub fn key_value(&self, x: &Tensor, forward: &Forward) -> Result<(Tensor, Tensor)> {
        Ok((
            self.k_proj.forward(x, forward)?,
            self.v_proj.forward(x, forward)?,
        ))
    }

    /// The context `[rows, d]` as the layer puts it out.
    pub fn output(&self, context: &Tensor, forward: &Forward) -> Result<Tensor> {
        self.out_proj.forward(context, forward)
    }

    /// How queries at `queries` attend to keys at `keys`.
    pub fn over<'a>(
        &self,
        queries: &'a Spans,
        keys: &'a Spans,
        forward: &Forward,
    ) -> Attention<'a> {
        Attention {
            dropout: Dropout::next(forward, self.dropout),
            ..Attention::new(queries, keys, self.heads, self.scale)
        }
    }
}
