//! The decoder: layers of causal self-attention, attention to the source, and a feed-forward network.

use tenon_nn::{Attention, Sight, Spans};
use tenon_plugin_api::model::prelude::*;

use crate::attention::MultiHead;
use crate::encoder::is_left_out;
use crate::options::Config;
use crate::sublayer::{Ending, FeedForward};

/// What the encoder made of the sources.
pub struct Source {
    /// `[rows, d]`.
    pub states: Tensor,
    /// Where each source lies.
    pub spans: Spans,
}

/// Where the decoder's attentions find keys and values.
pub enum Reach<'a> {
    /// In the batch: whole targets, as in training.
    Whole {
        /// Where the targets lie.
        spans: &'a Spans,
        /// What they are written of.
        source: &'a Source,
    },
    /// In the batch, and kept for what is written then.
    Beginning {
        /// Where the beginnings lie.
        spans: &'a Spans,
        /// What they are written of.
        source: &'a Source,
        /// What keeps.
        cache: &'a mut Cache,
    },
    /// Kept: one more token a row.
    Next {
        /// What was kept.
        cache: &'a mut Cache,
    },
}

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

    /// `x` is `[rows, d]`: packed targets, or one token for each row of the cache. Returns the same.
    pub fn forward(
        &self,
        mut x: Tensor,
        reach: &mut Reach<'_>,
        forward: &Forward,
    ) -> Result<Tensor> {
        for layer in &self.layers {
            if !is_left_out(self.layerdrop, forward) {
                x = layer.forward(&x, reach, forward)?;
            }
        }
        Ok(x)
    }
}

impl Layer {
    fn forward(&self, x: &Tensor, reach: &mut Reach<'_>, forward: &Forward) -> Result<Tensor> {
        let context = self.attend(x, reach, forward)?;
        let context = self.attention.output(&context, forward)?;
        let x = self.ending.forward(context, x, forward)?;
        let context = self.attend_to_source(&x, reach, forward)?;
        let context = self.cross.output(&context, forward)?;
        let x = self.cross_ending.forward(context, &x, forward)?;
        self.feed_forward.forward(&x, forward)
    }

    fn attend(&self, x: &Tensor, reach: &mut Reach<'_>, forward: &Forward) -> Result<Tensor> {
        let q = self.attention.query(x, forward)?;
        let (k, v) = self.attention.key_value(x, forward)?;
        let cached = &self.attention.cached;
        match reach {
            Reach::Whole { spans, .. } => {
                let attention = Attention {
                    sight: Sight::Before,
                    ..self.attention.over(spans, spans, forward)
                };
                Ok(attention.forward(&q, &k, &v)?)
            }
            Reach::Beginning { spans, cache, .. } => cached.prefill(cache, spans, &q, &k, &v, None),
            Reach::Next { cache } => cached.step(cache, &q, &k, &v, None),
        }
    }

    fn attend_to_source(
        &self,
        x: &Tensor,
        reach: &mut Reach<'_>,
        forward: &Forward,
    ) -> Result<Tensor> {
        let q = self.cross.query(x, forward)?;
        let (spans, source) = match reach {
            Reach::Whole { spans, source } => (*spans, *source),
            Reach::Beginning { spans, source, .. } => (*spans, *source),
            Reach::Next { cache } => return self.cross.cached.cross(cache, &q),
        };
        let (k, v) = self.cross.key_value(&source.states, forward)?;
        if let Reach::Beginning { cache, .. } = reach {
            self.cross.cached.remember(cache, &source.spans, &k, &v)?;
        }
        Ok(self
            .cross
            .over(spans, &source.spans, forward)
            .forward(&q, &k, &v)?)
    }
}
