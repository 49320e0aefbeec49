//! The model: embeddings, layers, the last norm and a head.

use tenon_nn::causal::{self, CausalModel, Head, Reading, Tokens};
use tenon_nn::{Dropout, Embedding, EmbeddingSite, LayerNorm, Spans};
use tenon_plugin_api::model::prelude::*;

use crate::block::Block;
use crate::options::Config;

/// GPT-2 with or without a head.
pub struct Gpt2 {
    words: Embedding,
    site: EmbeddingSite,
    positions: Embedding,
    dropout: f64,
    blocks: Vec<Block>,
    norm: LayerNorm,
    head: Head,
    max_length: i64,
}

impl Model for Gpt2 {
    const ID: &'static str = "gpt2";
    const ABOUT: &'static str =
        "GPT-2 decoder with heads for the next token and for classification (Radford et al. 2019)";
    const MODEL_TYPES: &'static [&'static str] = &["gpt2"];
    const OFFERS: &'static [&'static str] = &[causal::TOKENS, causal::SEQUENCES];
    const INPUTS: &'static [&'static str] = &["input_ids", "attention_mask?", "labels?"];
    const BASE_PREFIX: &'static str = "transformer";
    const IGNORES: &'static [&'static str] = &[
        "*.attn.bias",
        "*.attn.masked_bias",
        "lm_head.weight",
        "score.weight",
    ];
    const SITES: &'static [SiteDeclaration] = &SITES;
    type Options = Config;

    fn build(config: Config, build: &Build) -> Result<Self> {
        config.check()?;
        let (hidden, std) = (config.n_embd, config.initializer_range);
        let base = build.sub("transformer");
        let words = Embedding::new(&base.sub("wte"), config.vocab_size, hidden, std)?;
        let site = EmbeddingSite::new(&base.sub("wte"), "embeddings", &words.weight)?;
        let positions = Embedding::new(&base.sub("wpe"), config.n_positions, hidden, std)?;
        let block = |number| Block::new(&config, number, &base.sub(format!("h.{number}")));
        let blocks = (0..config.n_layer).map(block).collect::<Result<_>>()?;
        Ok(Self {
            head: Head::new(Self::ID, &config.head(), &words.weight, build)?,
            words,
            site,
            positions,
            dropout: config.embd_pdrop,
            blocks,
            norm: LayerNorm::new(&base.sub("ln_f"), hidden, config.layer_norm_epsilon)?,
            max_length: config.n_positions,
        })
    }

    fn describe(&self) -> ModelInfo {
        let mut config = serde_json::Map::new();
        config.insert("model_type".into(), "gpt2".into());
        ModelInfo {
            architecture: self.head.name(ARCHITECTURES).into(),
            max_length: self.max_length as usize,
            config,
        }
    }

    fn forward(&self, inputs: &TensorMap, forward: &Forward) -> Result<TensorMap> {
        causal::forward(self, inputs, forward)
    }

    fn prefill(
        &self,
        inputs: &TensorMap,
        cache: &mut Cache,
        forward: &Forward,
    ) -> Result<TensorMap> {
        causal::prefill(self, inputs, cache, forward)
    }

    fn step(&self, inputs: &TensorMap, cache: &mut Cache, forward: &Forward) -> Result<TensorMap> {
        causal::step(self, inputs, cache, forward)
    }
}

impl CausalModel for Gpt2 {
    fn embed(&self, tokens: &Tokens, spans: &Spans, forward: &Forward) -> Result<(Tensor, Spans)> {
        let words =
            (self.words.forward(&tokens.ids)).context("looking up input_ids in the vocabulary")?;
        let (words, grown) = self.site.forward(words, spans, forward)?;
        let numbers;
        let tokens = match grown == *spans {
            true => tokens,
            false => {
                numbers = Tokens {
                    ids: tokens.ids.shallow_clone(),
                    positions: grown.positions(),
                };
                &numbers
            }
        };
        tokens.within(self.max_length, Self::ID, "n_positions")?;
        let positions = self.positions.forward(&tokens.places()?)?;
        let x = words.f_add(&positions)?;
        Ok((Dropout::next(forward, self.dropout).apply(&x)?, grown))
    }

    fn read(
        &self,
        x: Tensor,
        _positions: &[i64],
        reading: &mut Reading<'_>,
        forward: &Forward,
    ) -> Result<Tensor> {
        (self.blocks.iter()).try_fold(x, |x, block| block.forward(&x, reading, forward))
    }

    fn norm(&self, x: &Tensor) -> Result<Tensor> {
        Ok(self.norm.forward(x)?)
    }

    fn head(&self) -> &Head {
        &self.head
    }
}

/// Classes of `transformers`, by head.
const ARCHITECTURES: [&str; 3] = [
    "GPT2Model",
    "GPT2LMHeadModel",
    "GPT2ForSequenceClassification",
];

const SITES: [SiteDeclaration; 9] = [
    site("embeddings", "transformer.wte", "embedding"),
    site(
        "query_key_value",
        "transformer.h.{layer}.attn.c_attn",
        "linear",
    ),
    site("key_value", "transformer.h.{layer}.attn", "key_value"),
    site(
        "attention_output",
        "transformer.h.{layer}.attn.c_proj",
        "linear",
    ),
    site(
        "attention_sublayer",
        "transformer.h.{layer}.attn.resid_dropout",
        "output",
    ),
    site("intermediate", "transformer.h.{layer}.mlp.c_fc", "linear"),
    site("output", "transformer.h.{layer}.mlp.c_proj", "linear"),
    site(
        "feed_forward_sublayer",
        "transformer.h.{layer}.mlp.dropout",
        "output",
    ),
    site("classifier", "score", "linear"),
];

const fn site(role: &'static str, path: &'static str, kind: &'static str) -> SiteDeclaration {
    SiteDeclaration { role, path, kind }
}
