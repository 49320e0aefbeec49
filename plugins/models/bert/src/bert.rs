//! BERT: its names, its pooler and its heads.

use tenon_nn::{LayerNorm, Linear, SiteLinear};
use tenon_plugin_api::model::prelude::*;

use crate::embeddings::Numbering;
use crate::encoder::Encoder;
use crate::head::{self, Head, MaskedLm, tied};
use crate::options::Config;

/// BERT with or without a head.
pub struct Bert {
    encoder: Encoder,
    head: Head,
}

impl Model for Bert {
    const ID: &'static str = "bert";
    const ABOUT: &'static str = "BERT encoder with pooler and heads for classification, answers and masked words (Devlin et al. 2019)";
    const MODEL_TYPES: &'static [&'static str] = &["bert"];
    const OFFERS: &'static [&'static str] = &head::OFFERS;
    const INPUTS: &'static [&'static str] =
        &["input_ids", "attention_mask?", "token_type_ids?", "labels?"];
    const BASE_PREFIX: &'static str = "bert";
    const RENAMES: &'static [(&'static str, &'static str)] = &[
        ("LayerNorm.gamma", "LayerNorm.weight"),
        ("LayerNorm.beta", "LayerNorm.bias"),
        ("cls.predictions.decoder.bias", "cls.predictions.bias"),
    ];
    const IGNORES: &'static [&'static str] = &[
        "*embeddings.position_ids",
        "pooler.*",
        "bert.pooler.*",
        "cls.*",
        "classifier.*",
        "qa_outputs.*",
    ];
    const SITES: &'static [SiteDeclaration] = &SITES;
    type Options = Config;

    fn build(config: Config, build: &Build) -> Result<Self> {
        let base = build.sub("bert");
        let encoder = Encoder::new(Self::ID, &config, Numbering::Columns, &base)?;
        let head = match build.head() {
            None => Head::Bare {
                pooler: match config.add_pooling_layer {
                    true => Some(pooler(&config, &base)?),
                    false => None,
                },
            },
            Some(asked) => {
                let labels = asked.num_labels as i64;
                match asked.kind.as_str() {
                    head::SEQUENCES => sequences(&config, build, labels)?,
                    head::TOKENS => Head::Tokens {
                        dropout: classifier_dropout(&config),
                        classifier: linear(&config, &build.as_new(), "classifier", labels)?,
                    },
                    head::ANSWERS => {
                        Head::Answers(linear(&config, &build.as_new(), "qa_outputs", 2)?)
                    }
                    head::WORDS => Head::Words(masked_lm(&config, build, encoder.words())?),
                    _ => return Err(head::none_such(Self::ID, asked)),
                }
            }
        };
        Ok(Self { encoder, head })
    }

    fn describe(&self) -> ModelInfo {
        let mut config = serde_json::Map::new();
        config.insert("model_type".into(), "bert".into());
        ModelInfo {
            architecture: self.head.architecture("Bert"),
            max_length: self.encoder.max_length(),
            config,
        }
    }

    /// Without a head: `last_hidden_state` `[batch, time, hidden]`, zero at padding, and `pooler_output`
    /// `[batch, hidden]` of a model that has a pooler. With one: what [`crate::head`] says.
    fn forward(&self, inputs: &TensorMap, forward: &Forward) -> Result<TensorMap> {
        let firsts_only = self.head.reads_firsts_only();
        let encoded = self.encoder.forward(inputs, firsts_only, forward)?;
        self.head.forward(&encoded, inputs, forward)
    }
}

/// A linear layer on the hidden states, named and with the role `name`.
fn linear(config: &Config, build: &Build, name: &str, outputs: i64) -> Result<SiteLinear> {
    let build = build.sub(name);
    let linear = Linear::new(
        &build,
        config.hidden_size,
        outputs,
        config.initializer_range,
    )?;
    linear.with_site(&build, name, None)
}

fn pooler(config: &Config, base: &Build) -> Result<SiteLinear> {
    let build = base.sub("pooler.dense");
    let (hidden, std) = (config.hidden_size, config.initializer_range);
    Linear::new(&build, hidden, hidden, std)?.with_site(&build, "pooler", None)
}

fn sequences(config: &Config, build: &Build, labels: i64) -> Result<Head> {
    ensure!(
        config.add_pooling_layer,
        Options,
        "building bert: a classifier needs the pooler; remove add_pooling_layer = false"
    );
    Ok(Head::Sequences {
        before: 0.0,
        // Under a new classifier a pooler may be new as well: masked language models have none.
        dense: pooler(config, &build.sub("bert").or_new())?,
        dropout: classifier_dropout(config),
        classifier: linear(config, &build.as_new(), "classifier", labels)?,
    })
}

fn classifier_dropout(config: &Config) -> f64 {
    config
        .classifier_dropout
        .unwrap_or(config.hidden_dropout_prob)
}

/// `words` `[vocab, hidden]` are those that a tied decoder shares.
fn masked_lm(config: &Config, build: &Build, words: &Tensor) -> Result<MaskedLm> {
    let build = build.as_new().sub("cls.predictions");
    let dense = build.sub("transform.dense");
    let (hidden, std) = (config.hidden_size, config.initializer_range);
    let eps = config.layer_norm_eps;
    Ok(MaskedLm {
        dense: Linear::new(&dense, hidden, hidden, std)?.with_site(&dense, "lm_dense", None)?,
        activation: config.hidden_act,
        norm: LayerNorm::new(&build.sub("transform.LayerNorm"), hidden, eps)?,
        decoder: match config.tie_word_embeddings {
            true => tied(&build, words)?,
            false => Linear::new(&build.sub("decoder"), hidden, config.vocab_size, std)?,
        },
    })
}

const SITES: [SiteDeclaration; 14] = [
    site("embeddings", "bert.embeddings.word_embeddings", "embedding"),
    site(
        "query",
        "bert.encoder.layer.{layer}.attention.self.query",
        "linear",
    ),
    site(
        "key",
        "bert.encoder.layer.{layer}.attention.self.key",
        "linear",
    ),
    site(
        "value",
        "bert.encoder.layer.{layer}.attention.self.value",
        "linear",
    ),
    site(
        "key_value",
        "bert.encoder.layer.{layer}.attention.self",
        "key_value",
    ),
    site(
        "attention_output",
        "bert.encoder.layer.{layer}.attention.output.dense",
        "linear",
    ),
    site(
        "attention_sublayer",
        "bert.encoder.layer.{layer}.attention.output",
        "output",
    ),
    site(
        "intermediate",
        "bert.encoder.layer.{layer}.intermediate.dense",
        "linear",
    ),
    site(
        "output",
        "bert.encoder.layer.{layer}.output.dense",
        "linear",
    ),
    site(
        "feed_forward_sublayer",
        "bert.encoder.layer.{layer}.output",
        "output",
    ),
    site("pooler", "bert.pooler.dense", "linear"),
    site("classifier", "classifier", "linear"),
    site("qa_outputs", "qa_outputs", "linear"),
    site("lm_dense", "cls.predictions.transform.dense", "linear"),
];

const fn site(role: &'static str, path: &'static str, kind: &'static str) -> SiteDeclaration {
    SiteDeclaration { role, path, kind }
}
