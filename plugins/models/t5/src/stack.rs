//! The two sides: embeddings, blocks that share a bias by distance, and a norm.

use tenon_nn::causal::{Reading, Tokens};
use tenon_nn::seq2seq::Source;
use tenon_nn::{Dropout, Embedding, RmsNorm, Spans};
use tenon_plugin_api::model::prelude::*;

use crate::attention::MultiHead;
use crate::bias::RelativeBias;
use crate::feed_forward::FeedForward;
use crate::options::Config;

/// The encoder.
pub struct Encoder {
    ends: Ends,
    bias: RelativeBias,
    blocks: Vec<EncoderBlock>,
}

struct EncoderBlock {
    attention: MultiHead,
    feed_forward: FeedForward,
}

/// The decoder.
pub struct Decoder {
    ends: Ends,
    bias: RelativeBias,
    blocks: Vec<DecoderBlock>,
}

struct DecoderBlock {
    attention: MultiHead,
    cross: MultiHead,
    feed_forward: FeedForward,
}

impl Encoder {
    /// Its parameters lie at `build` (`encoder`); `words` is `[vocab, d]`.
    pub fn new(config: &Config, words: &Tensor, build: &Build) -> Result<Self> {
        let block = |number: usize| -> Result<EncoderBlock> {
            let layer = |at: usize| build.sub(format!("block.{number}.layer.{at}"));
            Ok(EncoderBlock {
                attention: MultiHead::new(config, "SelfAttention", number, &layer(0))?,
                feed_forward: FeedForward::new(config, number, &layer(1))?,
            })
        };
        Ok(Self {
            blocks: (0..config.num_layers).map(block).collect::<Result<_>>()?,
            bias: RelativeBias::new(config, false, &build.sub(FIRST))?,
            ends: Ends::new(config, words, build)?,
        })
    }

    /// Hidden states of sources at `spans`: `[rows, d]`.
    pub fn forward(&self, tokens: &Tokens, spans: &Spans, forward: &Forward) -> Result<Tensor> {
        let bias = self.bias.between(spans.longest())?;
        let mut x = self.ends.begin(tokens, "input_ids", forward)?;
        for block in &self.blocks {
            x = block.attention.within(&x, spans, &bias, forward)?;
            x = block.feed_forward.forward(&x, forward)?;
        }
        self.ends.end(&x, forward)
    }
}

impl Decoder {
    /// Its parameters lie at `build` (`decoder`); `words` is `[vocab, d]`.
    pub fn new(config: &Config, words: &Tensor, build: &Build) -> Result<Self> {
        let block = |number: usize| -> Result<DecoderBlock> {
            let layer = |at: usize| build.sub(format!("block.{number}.layer.{at}"));
            Ok(DecoderBlock {
                attention: MultiHead::new(config, "SelfAttention", number, &layer(0))?,
                cross: MultiHead::new(config, "EncDecAttention", number, &layer(1))?,
                feed_forward: FeedForward::new(config, number, &layer(2))?,
            })
        };
        let count = config.decoder_layers();
        Ok(Self {
            blocks: (0..count).map(block).collect::<Result<_>>()?,
            bias: RelativeBias::new(config, true, &build.sub(FIRST))?,
            ends: Ends::new(config, words, build)?,
        })
    }

    /// Hidden states of targets, or of one token more for each row of a cache: `[rows, d]`. `source` is there unless
    /// a cache has kept it.
    pub fn forward(
        &self,
        tokens: &Tokens,
        reading: &mut Reading<'_>,
        source: Option<&Source>,
        forward: &Forward,
    ) -> Result<Tensor> {
        let bias = match reading {
            Reading::Sequences(spans) | Reading::Prompts(spans, _) => {
                self.bias.between(spans.longest())?
            }
            Reading::Next(cache) => self.bias.before(cache.length() + 1)?,
        };
        let mut x = self.ends.begin(tokens, "decoder_input_ids", forward)?;
        for block in &self.blocks {
            x = block.attention.before(&x, reading, &bias, forward)?;
            x = block.cross.across(&x, reading, source, forward)?;
            x = block.feed_forward.forward(&x, forward)?;
        }
        self.ends.end(&x, forward)
    }
}

/// The attention that has the bias of all.
const FIRST: &str = "block.0.layer.0.SelfAttention";

/// What comes before the blocks and after them.
struct Ends {
    words: Embedding,
    norm: RmsNorm,
    dropout: f64,
}

impl Ends {
    fn new(config: &Config, words: &Tensor, build: &Build) -> Result<Self> {
        let norm = build.sub("final_layer_norm");
        Ok(Self {
            words: Embedding {
                weight: words.shallow_clone(),
                padding: None,
            },
            norm: RmsNorm::new(&norm, config.d_model, config.layer_norm_epsilon)?,
            dropout: config.dropout_rate,
        })
    }

    /// The embeddings of tokens that came in the input `name`.
    fn begin(&self, tokens: &Tokens, name: &str, forward: &Forward) -> Result<Tensor> {
        let words = self
            .words
            .forward(&tokens.ids)
            .with_context(|| format!("looking up {name} in the vocabulary"))?;
        Ok(Dropout::next(forward, self.dropout).apply(&words)?)
    }

    fn end(&self, x: &Tensor, forward: &Forward) -> Result<Tensor> {
        let x = self.norm.forward(x)?;
        Ok(Dropout::next(forward, self.dropout).apply(&x)?)
    }
}
