//! The encoder: layers of self-attention and a feed-forward network.

use tenon_nn::Spans;
use tenon_plugin_api::model::prelude::*;

use crate::attention::MultiHead;
use crate::options::Config;
use crate::sublayer::{Ending, FeedForward};

/// The layers of the encoder.
pub struct Encoder {
    layers: Vec<Layer>,
    layerdrop: f64,
}

struct Layer {
    attention: MultiHead,
    ending: Ending,
    feed_forward: FeedForward,
}

impl Encoder {
    /// Its parameters lie at `build` (`model.encoder`).
    pub fn new(config: &Config, build: &Build) -> Result<Self> {
        let layer = |number: usize| -> Result<Layer> {
            let build = build.sub(format!("layers.{number}"));
            let heads = config.encoder_attention_heads;
            Ok(Layer {
                attention: MultiHead::new(config, heads, number, &build.sub("self_attn"))?,
                ending: Ending::new(
                    config,
                    "self_attn_layer_norm",
                    "attention_sublayer",
                    number,
                    &build,
                )?,
                feed_forward: FeedForward::new(config, config.encoder_ffn_dim, number, &build)?,
            })
        };
        Ok(Self {
            layers: (0..config.encoder_layers)
                .map(layer)
                .collect::<Result<_>>()?,
            layerdrop: config.encoder_layerdrop,
        })
    }

    /// `x` is `[rows, d]`, its sequences at `spans`. Returns the same.
    pub fn forward(&self, mut x: Tensor, spans: &Spans, forward: &Forward) -> Result<Tensor> {
        for layer in &self.layers {
            if is_left_out(self.layerdrop, forward) {
                continue;
            }
            let context = layer.attention.within(&x, spans, forward)?;
            x = layer.ending.forward(context, &x, forward)?;
            x = layer.feed_forward.forward(&x, forward)?;
        }
        Ok(x)
    }
}

/// Whether a layer is left out of this call, as it is with probability `p` in training.
pub fn is_left_out(p: f64, forward: &Forward) -> bool {
    // 2⁵³ is the number of equal steps that a double takes from 0 to 1
    let draw = || (forward.next_seed() >> 11) as f64 / (1_u64 << 53) as f64;
    forward.training() && p > 0.0 && draw() < p
}
