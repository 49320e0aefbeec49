//! The decoder: layers of causal self-attention, attention to the source, and a feed-forward network.

use tenon_nn::causal::Reading;
use tenon_nn::seq2seq::Source;
use tenon_plugin_api::model::prelude::*;

use crate::attention::MultiHead;
use crate::encoder::is_left_out;
use crate::options::Config;
use crate::sublayer::{Ending, FeedForward};

/// The layers of the decoder.
pub struct Decoder {
    layers: Vec<Layer>,
    layerdrop: f64,
}

struct Layer {
    attention: MultiHead,
    ending: Ending,
    cross: MultiHead,
    cross_ending: Ending,
    feed_forward: FeedForward,
}

impl Decoder {
    /// Its parameters lie at `build` (`model.decoder`).
    pub fn new(config: &Config, build: &Build) -> Result<Self> {
        let layer = |number: usize| -> Result<Layer> {
            let build = build.sub(format!("layers.{number}"));
            let multi_head = |name: &str| {
                let heads = config.decoder_attention_heads;
                MultiHead::new(config, heads, number, &build.sub(name))
            };
            let ending =
                |name: &str| Ending::new(config, name, "attention_sublayer", number, &build);
            Ok(Layer {
                attention: multi_head("self_attn")?,
                ending: ending("self_attn_layer_norm")?,
                cross: multi_head("encoder_attn")?,
                cross_ending: ending("encoder_attn_layer_norm")?,
                feed_forward: FeedForward::new(config, config.decoder_ffn_dim, number, &build)?,
            })
        };
        Ok(Self {
            layers: (0..config.decoder_layers)
                .map(layer)
                .collect::<Result<_>>()?,
            layerdrop: config.decoder_layerdrop,
        })
    }

    /// `x` is `[rows, d]`: packed targets, or one token for each row of the cache; `source` is there unless a
    /// cache has kept it. Returns the same.
    pub fn forward(
        &self,
        mut x: Tensor,
        reading: &mut Reading<'_>,
        source: Option<&Source>,
        forward: &Forward,
    ) -> Result<Tensor> {
        for layer in &self.layers {
            if is_left_out(self.layerdrop, forward) {
                continue;
            }
            let context = layer.attention.before(&x, reading, forward)?;
            x = layer.ending.forward(context, &x, forward)?;
            let context = layer.cross.across(&x, reading, source, forward)?;
            x = layer.cross_ending.forward(context, &x, forward)?;
            x = layer.feed_forward.forward(&x, forward)?;
        }
        Ok(x)
    }
}
