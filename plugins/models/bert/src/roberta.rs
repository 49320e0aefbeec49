//! RoBERTa: BERT's encoder with other positions and heads (Liu et al. 2019). CodeBERT, CamemBERT and XLM-R
//! are RoBERTas.

use tenon_nn::{Activation, LayerNorm, Linear, SiteLinear};
use tenon_plugin_api::model::prelude::*;

use crate::embeddings::Numbering;
use crate::encoder::Encoder;
use crate::head::{self, Head, MaskedLm, tied};
use crate::options::{Config, Family, RobertaConfig};

/// RoBERTa with or without a head.
pub struct Roberta {
    family: Family,
    encoder: Encoder,
    head: Head,
}

impl Model for Roberta {
    const ID: &'static str = "roberta";
    const ABOUT: &'static str = "RoBERTa encoder (CodeBERT, CamemBERT, XLM-R) with heads for classification, answers and masked words (Liu et al. 2019)";
    const MODEL_TYPES: &'static [&'static str] = &["roberta", "camembert", "xlm-roberta"];
    const OFFERS: &'static [&'static str] = &head::OFFERS;
    const INPUTS: &'static [&'static str] =
        &["input_ids", "attention_mask?", "token_type_ids?", "labels?"];
    const BASE_PREFIX: &'static str = "roberta";
    const RENAMES: &'static [(&'static str, &'static str)] = &[
        ("LayerNorm.gamma", "LayerNorm.weight"),
        ("LayerNorm.beta", "LayerNorm.bias"),
        ("lm_head.decoder.bias", "lm_head.bias"),
    ];
    const IGNORES: &'static [&'static str] = &[
        "*embeddings.position_ids",
        "pooler.*",
        "roberta.pooler.*",
        "lm_head.*",
        "classifier.*",
        "qa_outputs.*",
    ];
    const SITES: &'static [SiteDeclaration] = &SITES;
    type Options = RobertaConfig;

    fn build(config: RobertaConfig, build: &Build) -> Result<Self> {
        let (family, padding) = (config.model_type, config.pad_token_id);
        let config = config.encoder();
        let base = build.sub("roberta");
        let encoder = Encoder::new(Self::ID, &config, Numbering::After { padding }, &base)?;
        let new = build.as_new();
        let head = match build.head() {
            None => Head::Bare {
                pooler: match config.add_pooling_layer {
                    true => Some(linear(&config, &base, "pooler.dense", "pooler", None)?),
                    false => None,
                },
            },
            Some(asked) => {
                let labels = Some(asked.num_labels as i64);
                match asked.kind.as_str() {
                    head::SEQUENCES => {
                        let dropout = classifier_dropout(&config);
                        let [dense, out] = ["classifier.dense", "classifier.out_proj"];
                        Head::Sequences {
                            before: dropout,
                            dense: linear(&config, &new, dense, "classifier_dense", None)?,
                            dropout,
                            classifier: linear(&config, &new, out, "classifier", labels)?,
                        }
                    }
                    head::TOKENS => Head::Tokens {
                        dropout: classifier_dropout(&config),
                        classifier: linear(&config, &new, "classifier", "classifier", labels)?,
                    },
                    head::ANSWERS => {
                        let outputs = linear(&config, &new, "qa_outputs", "qa_outputs", Some(2))?;
                        Head::Answers(outputs)
                    }
                    head::WORDS => {
                        let build = new.sub("lm_head");
                        Head::Words(masked_lm(&config, &build, encoder.words())?)
                    }
                    _ => return Err(head::none_such(Self::ID, asked)),
                }
            }
        };
        Ok(Self {
            family,
            encoder,
            head,
        })
    }

    fn describe(&self) -> ModelInfo {
        let mut config = serde_json::Map::new();
        config.insert("model_type".into(), self.family.model_type().into());
        ModelInfo {
            architecture: self.head.architecture(self.family.class()),
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

/// A linear layer on the hidden states; as wide as they are without `outputs`.
fn linear(
    config: &Config,
    build: &Build,
    name: &str,
    role: &str,
    outputs: Option<i64>,
) -> Result<SiteLinear> {
    let build = build.sub(name);
    let (hidden, std) = (config.hidden_size, config.initializer_range);
    let linear = Linear::new(&build, hidden, outputs.unwrap_or(hidden), std)?;
    linear.with_site(&build, role, None)
}

fn classifier_dropout(config: &Config) -> f64 {
    config
        .classifier_dropout
        .unwrap_or(config.hidden_dropout_prob)
}

/// `words` `[vocab, hidden]` are those that a tied decoder shares.
fn masked_lm(config: &Config, build: &Build, words: &Tensor) -> Result<MaskedLm> {
    let (hidden, std) = (config.hidden_size, config.initializer_range);
    Ok(MaskedLm {
        dense: linear(config, build, "dense", "lm_dense", None)?,
        activation: Activation::Gelu, // whatever hidden_act says
        norm: LayerNorm::new(&build.sub("layer_norm"), hidden, config.layer_norm_eps)?,
        decoder: match config.tie_word_embeddings {
            true => tied(build, words)?,
            false => Linear::new(&build.sub("decoder"), hidden, config.vocab_size, std)?,
        },
    })
}

const SITES: [SiteDeclaration; 16] = [
    site(
        "embeddings",
        "roberta.embeddings.word_embeddings",
        "embedding",
    ),
    site(
        "query",
        "roberta.encoder.layer.{layer}.attention.self.query",
        "linear",
    ),
    site(
        "key",
        "roberta.encoder.layer.{layer}.attention.self.key",
        "linear",
    ),
    site(
        "value",
        "roberta.encoder.layer.{layer}.attention.self.value",
        "linear",
    ),
    site(
        "key_value",
        "roberta.encoder.layer.{layer}.attention.self",
        "key_value",
    ),
    site(
        "attention_output",
        "roberta.encoder.layer.{layer}.attention.output.dense",
        "linear",
    ),
    site(
        "attention_sublayer",
        "roberta.encoder.layer.{layer}.attention.output",
        "output",
    ),
    site(
        "intermediate",
        "roberta.encoder.layer.{layer}.intermediate.dense",
        "linear",
    ),
    site(
        "output",
        "roberta.encoder.layer.{layer}.output.dense",
        "linear",
    ),
    site(
        "feed_forward_sublayer",
        "roberta.encoder.layer.{layer}.output",
        "output",
    ),
    site("pooler", "roberta.pooler.dense", "linear"),
    site("classifier_dense", "classifier.dense", "linear"),
    site("classifier", "classifier.out_proj", "linear"),
    site("classifier", "classifier", "linear"),
    site("qa_outputs", "qa_outputs", "linear"),
    site("lm_dense", "lm_head.dense", "linear"),
];

const fn site(role: &'static str, path: &'static str, kind: &'static str) -> SiteDeclaration {
    SiteDeclaration { role, path, kind }
}
