//! The whole model: the table of words, encoder, decoder and output layer.

use tenon_nn::causal::{Reading, Tokens};
use tenon_nn::seq2seq::{self, Seq2SeqModel, Source};
use tenon_nn::{Linear, Spans};
use tenon_plugin_api::model::prelude::*;

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
    const OFFERS: &'static [&'static str] = &[seq2seq::TOKENS];
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
        seq2seq::check_head(Self::ID, build)?;
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
        seq2seq::forward(self, inputs, forward)
    }

    fn prefill(
        &self,
        inputs: &TensorMap,
        cache: &mut Cache,
        forward: &Forward,
    ) -> Result<TensorMap> {
        seq2seq::prefill(self, inputs, cache, forward)
    }

    fn step(&self, inputs: &TensorMap, cache: &mut Cache, forward: &Forward) -> Result<TensorMap> {
        seq2seq::step(self, inputs, cache, forward)
    }
}

impl Seq2SeqModel for T5 {
    fn encode(&self, tokens: &Tokens, spans: &Spans, forward: &Forward) -> Result<Tensor> {
        self.encoder.forward(tokens, spans, forward)
    }

    fn decode(
        &self,
        tokens: &Tokens,
        reading: &mut Reading<'_>,
        source: Option<&Source>,
        forward: &Forward,
    ) -> Result<Tensor> {
        self.decoder.forward(tokens, reading, source, forward)
    }

    fn logits(&self, hidden: &Tensor) -> Result<Tensor> {
        let hidden = hidden.f_mul_scalar(self.config.output_scale())?;
        Ok(self.lm_head.forward(&hidden)?)
    }
}

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
