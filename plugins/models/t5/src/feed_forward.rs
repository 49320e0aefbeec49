//! The feed-forward network of normed states, added to them.

use tenon_nn::{Activation, Dropout, Linear, OutputSite, RmsNorm, SiteLinear};
use tenon_plugin_api::model::prelude::*;

use crate::options::Config;

/// `x + dropout(wo(dropout(inner(norm(x)))))`.
pub struct FeedForward {
    norm: RmsNorm,
    inner: Inner,
    wo: SiteLinear,
    site: OutputSite,
    activation: Activation,
    dropout: f64,
}

enum Inner {
    /// `activation(wi(n))`.
    Plain { wi: SiteLinear },
    /// `activation(wi_0(n))·wi_1(n)`.
    Gated { wi_0: SiteLinear, wi_1: SiteLinear },
}

impl FeedForward {
    /// Of the block `number`, whose parameters lie at `build` (`encoder.block.0.layer.1`).
    pub fn new(config: &Config, number: usize, build: &Build) -> Result<Self> {
        let own = build.sub("DenseReluDense");
        let (d, inner) = (config.d_model, config.d_ff);
        let linear = |name: &str, role: &str, inputs: i64, outputs: i64| {
            let build = own.sub(name);
            Linear::without_bias(&build, inputs, outputs, config.std(inputs))?.with_site(
                &build,
                role,
                Some(number),
            )
        };
        Ok(Self {
            norm: RmsNorm::new(&build.sub("layer_norm"), d, config.layer_norm_epsilon)?,
            inner: match config.feed_forward_proj.is_gated() {
                false => Inner::Plain {
                    wi: linear("wi", "intermediate", d, inner)?,
                },
                true => Inner::Gated {
                    wi_0: linear("wi_0", "gate", d, inner)?,
                    wi_1: linear("wi_1", "intermediate", d, inner)?,
                },
            },
            wo: linear("wo", "output", inner, d)?,
            site: OutputSite::new(&own, "feed_forward_sublayer", number, d)?,
            activation: config.feed_forward_proj.activation(),
            dropout: config.dropout_rate,
        })
    }

    /// `[rows, d]` to the same.
    pub fn forward(&self, x: &Tensor, forward: &Forward) -> Result<Tensor> {
        let normed = self.norm.forward(x)?;
        let inner = match &self.inner {
            Inner::Plain { wi } => self.activation.forward(&wi.forward(&normed, forward)?)?,
            Inner::Gated { wi_0, wi_1 } => {
                let gate = wi_0.forward(&normed, forward)?;
                self.activation
                    .gated(&gate, &wi_1.forward(&normed, forward)?)?
            }
        }; // [rows, d_ff]
        let inner = Dropout::next(forward, self.dropout).apply(&inner)?;
        let out = self
            .site
            .forward(self.wo.forward(&inner, forward)?, forward)?;
        Ok(x.f_add(&Dropout::next(forward, self.dropout).apply(&out)?)?)
    }
}
