//! What surrounds attention: how a sublayer ends, and the feed-forward network.

use tenon_nn::{Activation, Dropout, LayerNorm, Linear, OutputSite, SiteLinear};
use tenon_plugin_api::model::prelude::*;

use crate::options::Config;

/// How a sublayer ends: `norm(residual + dropout(x))`.
pub struct Ending {
    site: OutputSite,
    norm: LayerNorm,
    dropout: f64,
}

/// `fc2(dropout(activation(fc1(x))))`, and the ending.
pub struct FeedForward {
    fc1: SiteLinear,
    fc2: SiteLinear,
    activation: Activation,
    dropout: f64,
    ending: Ending,
}

impl Ending {
    /// The norm `name` of the layer at `build`, where the site of the sublayer's output is too.
    pub fn new(
        config: &Config,
        name: &str,
        role: &str,
        number: usize,
        build: &Build,
    ) -> Result<Self> {
        let norm = build.sub(name);
        Ok(Self {
            site: OutputSite::new(&norm, role, number, config.d_model)?,
            norm: LayerNorm::new(&norm, config.d_model, NORM_EPS)?,
            dropout: config.dropout,
        })
    }

    /// Both are `[rows, d]`.
    pub fn forward(&self, x: Tensor, residual: &Tensor, forward: &Forward) -> Result<Tensor> {
        let x = self.site.forward(x, forward)?;
        let dropout = Dropout::next(forward, self.dropout);
        Ok(self.norm.residual(&x, residual, dropout)?)
    }
}

impl FeedForward {
    /// Of the layer `number` at `build`.
    pub fn new(config: &Config, inner: i64, number: usize, build: &Build) -> Result<Self> {
        let linear = |name: &str, role: &str, inputs: i64, outputs: i64| {
            linear(config, &build.sub(name), role, number, (inputs, outputs))
        };
        Ok(Self {
            fc1: linear("fc1", "intermediate", config.d_model, inner)?,
            fc2: linear("fc2", "output", inner, config.d_model)?,
            activation: config.activation_function,
            dropout: config.activation_dropout,
            ending: Ending::new(
                config,
                "final_layer_norm",
                "feed_forward_sublayer",
                number,
                build,
            )?,
        })
    }

    /// `[rows, d]` to the same.
    pub fn forward(&self, x: &Tensor, forward: &Forward) -> Result<Tensor> {
        let inner = self.activation.forward(&self.fc1.forward(x, forward)?)?; // [rows, inner]
        let inner = Dropout::next(forward, self.dropout).apply(&inner)?;
        self.ending
            .forward(self.fc2.forward(&inner, forward)?, x, forward)
    }
}

/// A linear layer whose parameters lie at `build`, with its site.
pub fn linear(
    config: &Config,
    build: &Build,
    role: &str,
    number: usize,
    (inputs, outputs): (i64, i64),
) -> Result<SiteLinear> {
    let init = config.matrix_init(outputs, inputs);
    let linear = Linear {
        weight: build.param("weight", &[outputs, inputs], init)?,
        bias: Some(build.param("bias", &[outputs], Init::Zeros)?),
    };
    linear.with_site(build, role, Some(number))
}

/// What norms add to the variance; PyTorch's default, which Marian's configurations do not change.
const NORM_EPS: f64 = 1e-5;
