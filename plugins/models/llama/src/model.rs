//! The model: embeddings, layers, the last norm and a head.

use tenon_nn::causal::{self, Head, Reading, Tokens};
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
        let (tokens, packing) = Tokens::sequences(inputs)?;
        causal::seed(forward, tokens.ids.device());
        let (x, spans) = self.embed(&tokens, packing.spans(), forward)?;
        let positions = spans.positions();
        let hidden = self.read(x, &positions, &mut Reading::Sequences(&spans), forward)?;
        let hidden = spans.without_front(&hidden, packing.spans())?;
        let hidden = self.norm.forward(&hidden)?;
        let labels = inputs.get("labels");
        (self.head).forward(&hidden, &tokens.ids, &packing, labels, forward)
    }

    fn prefill(
        &self,
        inputs: &TensorMap,
        cache: &mut Cache,
        forward: &Forward,
    ) -> Result<TensorMap> {
        let (tokens, packing) = Tokens::prompts(inputs, cache)?;
        let spans = packing.spans();
        let (x, grown) = self.embed(&tokens, spans, forward)?;
        if grown != *spans {
            return Err(causal::nothing_before("embeddings"));
        }
        let wants_hidden = cache.wants_hidden();
        let mut reading = Reading::Prompts(spans, cache);
        let x = self.read(x, &tokens.positions, &mut reading, forward)?;
        let lasts = spans.lasts(x.device())?;
        let last = self.norm.forward(&x.f_index_select(0, &lasts)?)?; // [prompts, hidden]
        let outputs = TensorMap::new().with("logits", self.head.next(&last)?);
        Ok(match wants_hidden {
            true => outputs.with("hidden", packing.unpack(&self.norm.forward(&x)?)?),
            false => outputs,
        })
    }

    fn step(&self, inputs: &TensorMap, cache: &mut Cache, forward: &Forward) -> Result<TensorMap> {
        let tokens = Tokens::next(inputs, cache)?;
        let ones = Spans::from_lengths(&vec![1; tokens.positions.len()]);
        let (x, grown) = self.embed(&tokens, &ones, forward)?;
        if grown != ones {
            return Err(causal::nothing_before("embeddings"));
        }
        let wants_hidden = cache.wants_hidden();
        let x = self.read(x, &tokens.positions, &mut Reading::Next(cache), forward)?;
        let hidden = self.norm.forward(&x)?; // [rows, hidden]
        let outputs = TensorMap::new().with("logits", self.head.next(&hidden)?);
        Ok(match wants_hidden {
            true => outputs.with("hidden", hidden),
            false => outputs,
        })
    }
}

impl Llama {
    /// What the tokens, in sequences at `spans`, enter the first layer as: `[rows, hidden]`, and where the
    /// sequences lie then, which is elsewhere when what is attached has put tokens before them.
    fn embed(&self, tokens: &Tokens, spans: &Spans, forward: &Forward) -> Result<(Tensor, Spans)> {
        let words =
            (self.words.forward(&tokens.ids)).context("looking up input_ids in the vocabulary")?;
        self.site.forward(words, spans, forward)
    }

    /// Passes `x` `[rows, hidden]`, rows at `positions`, through the layers.
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
