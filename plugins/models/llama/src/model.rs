//! The model: embeddings, layers, the last norm and a head.

use tenon_nn::causal::{self, CausalModel, Head, Reading, Tokens};
use tenon_nn::{Embedding, EmbeddingSite, RmsNorm, Rotary, Spans};
use tenon_plugin_api::model::prelude::*;

use crate::block::Block;
use crate::options::{Config, Family};

/// A Llama, a Mistral or a Qwen, with or without a head.
pub struct Llama {
    family: Family,
    words: Embedding,
    site: EmbeddingSite,
    rotary: Rotary,
    blocks: Vec<Block>,
    norm: RmsNorm,
    head: Head,
    max_length: i64,
}

impl Model for Llama {
    const ID: &'static str = "llama";
    const ABOUT: &'static str = "Llama, Mistral, Qwen2 and Qwen3 decoders with heads for the next token and for classification (Touvron et al. 2023)";
    const MODEL_TYPES: &'static [&'static str] = &["llama", "mistral", "qwen2", "qwen3"];
    const OFFERS: &'static [&'static str] = &[causal::TOKENS, causal::SEQUENCES];
    const INPUTS: &'static [&'static str] = &["input_ids", "attention_mask?", "labels?"];
    const BASE_PREFIX: &'static str = "model";
    const IGNORES: &'static [&'static str] =
        &["*.rotary_emb.inv_freq", "lm_head.weight", "score.weight"];
    const SITES: &'static [SiteDeclaration] = &SITES;
    type Options = Config;

    fn build(config: Config, build: &Build) -> Result<Self> {
        config.check()?;
        let (hidden, vocab) = (config.hidden_size, config.vocab_size);
        let base = build.sub("model");
        let words = base.sub("embed_tokens");
        let table = Embedding::new(&words, vocab, hidden, config.initializer_range)?;
        let site = EmbeddingSite::new(&words, "embeddings", &table.weight)?;
        let block = |number| Block::new(&config, number, &base.sub(format!("layers.{number}")));
        let blocks = (0..config.num_hidden_layers)
            .map(block)
            .collect::<Result<_>>()?;
        Ok(Self {
            family: config.model_type,
            norm: RmsNorm::new(&base.sub("norm"), hidden, config.rms_norm_eps)?,
            head: Head::new(Self::ID, &config.head(), &table.weight, build)?,
            words: match config.pad_token_id.filter(|pad| (0..vocab).contains(pad)) {
                Some(pad) => table.with_padding(pad),
                None => table,
            },
            site,
            rotary: config.rotary()?,
            blocks,
            max_length: config.max_position_embeddings,
        })
    }

    fn describe(&self) -> ModelInfo {
        let mut config = serde_json::Map::new();
        config.insert("model_type".into(), self.family.model_type().into());
        ModelInfo {
            architecture: self.head.name(self.family.architectures()).into(),
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

impl CausalModel for Llama {
    fn embed(&self, tokens: &Tokens, spans: &Spans, forward: &Forward) -> Result<(Tensor, Spans)> {
        let words =
            (self.words.forward(&tokens.ids)).context("looking up input_ids in the vocabulary")?;
        self.site.forward(words, spans, forward)
    }

    fn read(
        &self,
        x: Tensor,
        positions: &[i64],
        reading: &mut Reading<'_>,
        forward: &Forward,
    ) -> Result<Tensor> {
        let turns = self.rotary.at(positions, x.kind(), x.device())?;
        (self.blocks.iter()).try_fold(x, |x, block| block.forward(&x, &turns, reading, forward))
    }

    fn norm(&self, x: &Tensor) -> Result<Tensor> {
        Ok(self.norm.forward(x)?)
    }

    fn head(&self) -> &Head {
        &self.head
    }
}

const SITES: [SiteDeclaration; 12] = [
    site("embeddings", "model.embed_tokens", "embedding"),
    site("query", "model.layers.{layer}.self_attn.q_proj", "linear"),
    site("key", "model.layers.{layer}.self_attn.k_proj", "linear"),
    site("value", "model.layers.{layer}.self_attn.v_proj", "linear"),
    site("key_value", "model.layers.{layer}.self_attn", "key_value"),
    site(
        "attention_output",
        "model.layers.{layer}.self_attn.o_proj",
        "linear",
    ),
    site(
        "attention_sublayer",
        "model.layers.{layer}.self_attn.output",
        "output",
    ),
    site("gate", "model.layers.{layer}.mlp.gate_proj", "linear"),
    site("intermediate", "model.layers.{layer}.mlp.up_proj", "linear"),
    site("output", "model.layers.{layer}.mlp.down_proj", "linear"),
    site(
        "feed_forward_sublayer",
        "model.layers.{layer}.mlp",
        "output",
    ),
    site("classifier", "score", "linear"),
];

const fn site(role: &'static str, path: &'static str, kind: &'static str) -> SiteDeclaration {
    SiteDeclaration { role, path, kind }
}
