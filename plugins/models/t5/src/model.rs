//! The whole model: the table of words, encoder, decoder and output layer.

use tenon_nn::causal::{self, Reading, Tokens};
use tenon_nn::{Linear, Packing};
use tenon_plugin_api::model::prelude::*;

use crate::attention::Source;
use crate::options::Config;
use crate::stack::{Decoder, Encoder};

/// T5 with its output layer.
pub struct T5 {
    config: Config,
    encoder: Encoder,
    decoder: Decoder,
    lm_head: Linear,
}

impl Model for T5 {
    const ID: &'static str = "t5";
    const ABOUT: &'static str = "T5, T5 v1.1, Flan-T5 and mT5 (Raffel et al. 2020)";
    const MODEL_TYPES: &'static [&'static str] = &["t5", "mt5"];
    const OFFERS: &'static [&'static str] = &[SEQ2SEQ];
    const INPUTS: &'static [&'static str] = &[
        "input_ids",
        "attention_mask?",
        "decoder_input_ids",
        "decoder_attention_mask?",
        "labels?",
    ];
    /// Where one table serves several modules, files may have it under the name of any.
    const RENAMES: &'static [(&'static str, &'static str)] = &[
        ("encoder.embed_tokens.weight", "shared.weight"),
        ("decoder.embed_tokens.weight", "shared.weight"),
        ("lm_head.weight", "shared.weight"),
        ("shared.weight", "lm_head.weight"),
    ];
    /// The first releases had a table there that nothing reads.
    const IGNORES: &'static [&'static str] = &[
        "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight",
        "lm_head.weight",
    ];
    const SITES: &'static [SiteDeclaration] = &SITES;
    type Options = Config;

    fn build(config: Config, build: &Build) -> Result<Self> {
        config.check()?;
        if let Some(head) = build.head() {
            ensure!(
                head.kind == SEQ2SEQ,
                Unsupported,
                "building t5: no head `{}`; it has `{SEQ2SEQ}`",
                head.kind
            );
        }
        let shape = [config.vocab_size, config.d_model];
        let words = build.with_role(ParamRole::Embedding).param(
            SHARED,
            &shape,
            Init::Normal {
                std: config.initializer_factor,
            },
        )?;
        let encoder = Encoder::new(&config, &words, &build.sub("encoder"))?;
        let decoder = Decoder::new(&config, &words, &build.sub("decoder"))?;
        let output = match config.tie_word_embeddings {
            true => build.tied("lm_head.weight", SHARED, &shape)?,
            false => {
                let std = config.std(config.d_model);
                build.param("lm_head.weight", &shape, Init::Normal { std })?
            }
        };
        Ok(Self {
            encoder,
            decoder,
            lm_head: Linear {
                weight: output,
                bias: None,
            },
            config,
        })
    }

    fn describe(&self) -> ModelInfo {
        ModelInfo {
            architecture: self.config.architecture().into(),
            // distances have no end
            max_length: 0,
            config: self.config.to_json(),
        }
    }

    fn forward(&self, inputs: &TensorMap, forward: &Forward) -> Result<TensorMap> {
        let source = self.encode(inputs, forward)?;
        let (tokens, packing) = Tokens::targets(inputs)?;
        source.check(packing.spans())?;
        let mut reading = Reading::Sequences(packing.spans());
        let hidden = self
            .decoder
            .forward(&tokens, &mut reading, Some(&source), forward)?; // [rows, d]
        let logits = match inputs.get("labels") {
            Some(labels) => self.labelled(&hidden, labels, &packing)?, // [n, vocab]
            None => packing.unpack(&self.logits(&hidden)?)?,           // [batch, time, vocab]
        };
        Ok(TensorMap::new().with("logits", logits))
    }

    fn prefill(
        &self,
        inputs: &TensorMap,
        cache: &mut Cache,
        forward: &Forward,
    ) -> Result<TensorMap> {
        let source = self.encode(inputs, forward)?;
        let (tokens, packing) = Tokens::beginnings(inputs, cache)?;
        source.check(packing.spans())?;
        let mut reading = Reading::Prompts(packing.spans(), cache);
        let hidden = self
            .decoder
            .forward(&tokens, &mut reading, Some(&source), forward)?; // [rows, d]
        let lasts = packing.spans().lasts(hidden.device())?;
        let last = hidden.f_index_select(0, &lasts)?; // [prompts, d]
        let mut outputs = TensorMap::new().with("logits", self.logits(&last)?);
        if cache.wants_hidden() {
            outputs.insert("hidden", packing.unpack(&hidden)?);
        }
        Ok(outputs)
    }

    fn step(&self, inputs: &TensorMap, cache: &mut Cache, forward: &Forward) -> Result<TensorMap> {
        let tokens = Tokens::next(inputs, cache)?;
        let mut reading = Reading::Next(cache);
        let hidden = self.decoder.forward(&tokens, &mut reading, None, forward)?; // [rows, d]
        let mut outputs = TensorMap::new().with("logits", self.logits(&hidden)?);
        if cache.wants_hidden() {
            outputs.insert("hidden", hidden);
        }
        Ok(outputs)
    }
}

impl T5 {
    /// What the encoder makes of its inputs.
    fn encode(&self, inputs: &TensorMap, forward: &Forward) -> Result<Source> {
        let (tokens, packing) = Tokens::sequences(inputs)?;
        causal::seed(forward, tokens.ids.device());
        let spans = packing.spans().clone();
        Ok(Source {
            states: self.encoder.forward(&tokens, &spans, forward)?,
            spans,
        })
    }

    /// `[rows, d]` to `[rows, vocab]`.
    fn logits(&self, hidden: &Tensor) -> Result<Tensor> {
        let hidden = hidden.f_mul_scalar(self.config.output_scale())?;
        Ok(self.lm_head.forward(&hidden)?)
    }

    /// Logits of the tokens that have labels, row by row: `[n, vocab]`.
    fn labelled(&self, hidden: &Tensor, labels: &Tensor, packing: &Packing) -> Result<Tensor> {
        let tokens = packing.spans().tokens();
        let labelled = packing.labelled(labels)?;
        if labelled.size()[0] == tokens {
            // all rows, filler included, are as many as products gain from
            return Ok(self.logits(hidden)?.f_narrow(0, 0, tokens)?);
        }
        self.logits(&hidden.f_index_select(0, &labelled)?)
    }
}

const SEQ2SEQ: &str = "seq2seq-lm";
const SHARED: &str = "shared.weight";

const SITES: [SiteDeclaration; 25] = [
    site(
        "query",
        "encoder.block.{layer}.layer.0.SelfAttention.q",
        "linear",
    ),
    site(
        "key",
        "encoder.block.{layer}.layer.0.SelfAttention.k",
        "linear",
    ),
    site(
        "value",
        "encoder.block.{layer}.layer.0.SelfAttention.v",
        "linear",
    ),
    site(
        "attention_output",
        "encoder.block.{layer}.layer.0.SelfAttention.o",
        "linear",
    ),
    site(
        "attention_sublayer",
        "encoder.block.{layer}.layer.0.SelfAttention",
        "output",
    ),
    site(
        "intermediate",
        "encoder.block.{layer}.layer.1.DenseReluDense.wi",
        "linear",
    ),
    site(
        "gate",
        "encoder.block.{layer}.layer.1.DenseReluDense.wi_0",
        "linear",
    ),
    site(
        "intermediate",
        "encoder.block.{layer}.layer.1.DenseReluDense.wi_1",
        "linear",
    ),
    site(
        "output",
        "encoder.block.{layer}.layer.1.DenseReluDense.wo",
        "linear",
    ),
    site(
        "feed_forward_sublayer",
        "encoder.block.{layer}.layer.1.DenseReluDense",
        "output",
    ),
    site(
        "query",
        "decoder.block.{layer}.layer.0.SelfAttention.q",
        "linear",
    ),
    site(
        "key",
        "decoder.block.{layer}.layer.0.SelfAttention.k",
        "linear",
    ),
    site(
        "value",
        "decoder.block.{layer}.layer.0.SelfAttention.v",
        "linear",
    ),
    site(
        "attention_output",
        "decoder.block.{layer}.layer.0.SelfAttention.o",
        "linear",
    ),
    site(
        "attention_sublayer",
        "decoder.block.{layer}.layer.0.SelfAttention",
        "output",
    ),
    site(
        "query",
        "decoder.block.{layer}.layer.1.EncDecAttention.q",
        "linear",
    ),
    site(
        "key",
        "decoder.block.{layer}.layer.1.EncDecAttention.k",
        "linear",
    ),
    site(
        "value",
        "decoder.block.{layer}.layer.1.EncDecAttention.v",
        "linear",
    ),
    site(
        "attention_output",
        "decoder.block.{layer}.layer.1.EncDecAttention.o",
        "linear",
    ),
    site(
        "attention_sublayer",
        "decoder.block.{layer}.layer.1.EncDecAttention",
        "output",
    ),
    site(
        "intermediate",
        "decoder.block.{layer}.layer.2.DenseReluDense.wi",
        "linear",
    ),
    site(
        "gate",
        "decoder.block.{layer}.layer.2.DenseReluDense.wi_0",
        "linear",
    ),
    site(
        "intermediate",
        "decoder.block.{layer}.layer.2.DenseReluDense.wi_1",
        "linear",
    ),
    site(
        "output",
        "decoder.block.{layer}.layer.2.DenseReluDense.wo",
        "linear",
    ),
    site(
        "feed_forward_sublayer",
        "decoder.block.{layer}.layer.2.DenseReluDense",
        "output",
    ),
];

const fn site(role: &'static str, path: &'static str, kind: &'static str) -> SiteDeclaration {
    SiteDeclaration { role, path, kind }
}
