//! The whole model: embeddings, encoder, decoder and output layer.

use tenon_nn::causal::{Reading, Tokens};
use tenon_nn::seq2seq::{self, Seq2SeqModel, Source};
use tenon_nn::{Linear, Spans};
use tenon_plugin_api::model::prelude::*;

use crate::decoder::Decoder;
use crate::embeddings::{Embeddings, Sinusoid};
use crate::encoder::Encoder;
use crate::options::Config;

/// The encoder–decoder with its output layer.
pub struct Transformer {
    config: Config,
    sinusoid: Sinusoid,
    source: Embeddings,
    target: Embeddings,
    encoder: Encoder,
    decoder: Decoder,
    lm_head: Linear,
}

impl Model for Transformer {
    const ID: &'static str = "transformer";
    const ABOUT: &'static str =
        "Encoder–decoder Transformer as Marian lays it out (Vaswani et al. 2017)";
    const MODEL_TYPES: &'static [&'static str] = &["marian"];
    const OFFERS: &'static [&'static str] = &[seq2seq::TOKENS];
    const INPUTS: &'static [&'static str] = &[
        "input_ids",
        "attention_mask?",
        "decoder_input_ids",
        "decoder_attention_mask?",
        "labels?",
    ];
    const BASE_PREFIX: &'static str = "model";
    const IGNORES: &'static [&'static str] = &[
        "*embed_positions.weight",
        "final_logits_bias",
        "lm_head.weight",
    ];
    /// Where one table serves several modules, files may have it under the name of any.
    const RENAMES: &'static [(&'static str, &'static str)] = &[
        ("shared.weight", "encoder.embed_tokens.weight"),
        ("shared.weight", "decoder.embed_tokens.weight"),
        ("encoder.embed_tokens.weight", "shared.weight"),
        ("decoder.embed_tokens.weight", "shared.weight"),
        ("lm_head.weight", "model.shared.weight"),
        ("lm_head.weight", "model.decoder.embed_tokens.weight"),
    ];
    const SITES: &'static [SiteDeclaration] = &SITES;
    type Options = Config;

    fn build(config: Config, build: &Build) -> Result<Self> {
        config.check()?;
        seq2seq::check_head(Self::ID, build)?;
        let model = build.sub("model");
        let tables = Tables::new(&config, build)?;
        let encoder = Encoder::new(&config, &model.sub("encoder"))?;
        let decoder = Decoder::new(&config, &model.sub("decoder"))?;
        let bias = build.or_new().with_role(ParamRole::Buffer).param(
            "final_logits_bias",
            &[1, config.target_vocab()],
            Init::Zeros,
        )?;
        Ok(Self {
            sinusoid: Sinusoid::new(config.max_position_embeddings, &tables.source)?,
            source: Embeddings::new(&config, &tables.source),
            target: Embeddings::new(&config, &tables.target),
            encoder,
            decoder,
            lm_head: Linear {
                weight: tables.output,
                bias: Some(bias.f_view([-1])?),
            },
            config,
        })
    }

    fn describe(&self) -> ModelInfo {
        ModelInfo {
            architecture: "MarianMTModel".into(),
            max_length: self.config.max_position_embeddings as usize,
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

impl Seq2SeqModel for Transformer {
    fn encode(&self, tokens: &Tokens, spans: &Spans, forward: &Forward) -> Result<Tensor> {
        self.within(tokens)?;
        let x = self
            .source
            .forward(tokens, "input_ids", &self.sinusoid, forward)?;
        self.encoder.forward(x, spans, forward)
    }

    fn decode(
        &self,
        tokens: &Tokens,
        reading: &mut Reading<'_>,
        source: Option<&Source>,
        forward: &Forward,
    ) -> Result<Tensor> {
        self.within(tokens)?;
        let y = self
            .target
            .forward(tokens, "decoder_input_ids", &self.sinusoid, forward)?;
        self.decoder.forward(y, reading, source, forward)
    }

    fn logits(&self, hidden: &Tensor) -> Result<Tensor> {
        Ok(self.lm_head.forward(hidden)?)
    }
}

impl Transformer {
    fn within(&self, tokens: &Tokens) -> Result<()> {
        let limit = self.config.max_position_embeddings;
        tokens.within(limit, "transformer", "max_position_embeddings")
    }
}

/// The tables of words and of the output layer, some of which may be one.
struct Tables {
    /// `[vocab, d]`.
    source: Tensor,
    /// `[target vocab, d]`.
    target: Tensor,
    /// `[target vocab, d]`.
    output: Tensor,
}

impl Tables {
    fn new(config: &Config, build: &Build) -> Result<Self> {
        let [of_source, of_target] =
            [config.vocab_size, config.target_vocab()].map(|entries| [entries, config.d_model]);
        let table = |name: &str, shape: &[i64]| {
            let std = config.embedding_std();
            let build = build.with_role(ParamRole::Embedding);
            build.param(name, shape, Init::Normal { std })
        };
        const SHARED: &str = "model.shared.weight";
        const SOURCE: &str = "model.encoder.embed_tokens.weight";
        const TARGET: &str = "model.decoder.embed_tokens.weight";
        const OUTPUT: &str = "lm_head.weight";
        let (share, tie) = (
            config.share_encoder_decoder_embeddings,
            config.tie_word_embeddings,
        );
        if share && tie {
            let _ = table(SHARED, &of_source)?;
            return Ok(Self {
                source: build.tied(SOURCE, SHARED, &of_source)?,
                target: build.tied(TARGET, SHARED, &of_source)?,
                output: build.tied(OUTPUT, SHARED, &of_source)?,
            });
        }
        Ok(Self {
            source: table(SOURCE, &of_source)?,
            target: table(TARGET, &of_target)?,
            output: match tie {
                true => build.tied(OUTPUT, TARGET, &of_target)?,
                false => build.param(
                    OUTPUT,
                    &of_target,
                    config.matrix_init(of_target[0], of_target[1]),
                )?,
            },
        })
    }
}

const SITES: [SiteDeclaration; 24] = [
    site(
        "query",
        "model.encoder.layers.{layer}.self_attn.q_proj",
        "linear",
    ),
    site(
        "key",
        "model.encoder.layers.{layer}.self_attn.k_proj",
        "linear",
    ),
    site(
        "value",
        "model.encoder.layers.{layer}.self_attn.v_proj",
        "linear",
    ),
    site(
        "key_value",
        "model.encoder.layers.{layer}.self_attn",
        "key_value",
    ),
    site(
        "attention_output",
        "model.encoder.layers.{layer}.self_attn.out_proj",
        "linear",
    ),
    site(
        "attention_sublayer",
        "model.encoder.layers.{layer}.self_attn_layer_norm",
        "output",
    ),
    site("intermediate", "model.encoder.layers.{layer}.fc1", "linear"),
    site("output", "model.encoder.layers.{layer}.fc2", "linear"),
    site(
        "feed_forward_sublayer",
        "model.encoder.layers.{layer}.final_layer_norm",
        "output",
    ),
    site(
        "query",
        "model.decoder.layers.{layer}.self_attn.q_proj",
        "linear",
    ),
    site(
        "key",
        "model.decoder.layers.{layer}.self_attn.k_proj",
        "linear",
    ),
    site(
        "value",
        "model.decoder.layers.{layer}.self_attn.v_proj",
        "linear",
    ),
    site(
        "key_value",
        "model.decoder.layers.{layer}.self_attn",
        "key_value",
    ),
    site(
        "attention_output",
        "model.decoder.layers.{layer}.self_attn.out_proj",
        "linear",
    ),
    site(
        "attention_sublayer",
        "model.decoder.layers.{layer}.self_attn_layer_norm",
        "output",
    ),
    site(
        "query",
        "model.decoder.layers.{layer}.encoder_attn.q_proj",
        "linear",
    ),
    site(
        "key",
        "model.decoder.layers.{layer}.encoder_attn.k_proj",
        "linear",
    ),
    site(
        "value",
        "model.decoder.layers.{layer}.encoder_attn.v_proj",
        "linear",
    ),
    site(
        "key_value",
        "model.decoder.layers.{layer}.encoder_attn",
        "key_value",
    ),
    site(
        "attention_output",
        "model.decoder.layers.{layer}.encoder_attn.out_proj",
        "linear",
    ),
    site(
        "attention_sublayer",
        "model.decoder.layers.{layer}.encoder_attn_layer_norm",
        "output",
    ),
    site("intermediate", "model.decoder.layers.{layer}.fc1", "linear"),
    site("output", "model.decoder.layers.{layer}.fc2", "linear"),
    site(
        "feed_forward_sublayer",
        "model.decoder.layers.{layer}.final_layer_norm",
        "output",
    ),
];

const fn site(role: &'static str, path: &'static str, kind: &'static str) -> SiteDeclaration {
    SiteDeclaration { role, path, kind }
}
