//! Heads: what a task asks for, computed of the hidden states.
//!
//! | head | outputs |
//! | --- | --- |
//! | none | `last_hidden_state` `[batch, time, hidden]`, zero at padding |
//! | `causal-lm` | `logits` = `h·Wᵀ`, where `W` are the word embeddings unless they are not tied |
//! | `sequence-classification` | `logits` = `score(h)` of each sequence's last token |

use tenon_nn::{Linear, Packing, SiteLinear};
use tenon_plugin_api::model::prelude::*;

use crate::options::Config;

/// The next token at each position.
pub const TOKENS: &str = "causal-lm";
/// One class, a set of classes or a number for a sequence.
pub const SEQUENCES: &str = "sequence-classification";

/// A head, or none.
pub enum Head {
    /// None.
    Bare,
    /// `causal-lm`: `[vocab, hidden]`.
    Tokens(Linear),
    /// `sequence-classification`.
    Sequences {
        /// `[num_labels, hidden]`.
        score: SiteLinear,
        /// The token that does not count as a sequence's last.
        padding: Option<i64>,
    },
}

impl Head {
    /// The head that the task asks for; `words` `[vocab, hidden]` are those that a tied one shares.
    pub fn new(config: &Config, words: &Tensor, build: &Build) -> Result<Self> {
        let (hidden, std) = (config.n_embd, config.initializer_range);
        let Some(asked) = build.head() else {
            return Ok(Self::Bare);
        };
        Ok(match asked.kind.as_str() {
            TOKENS if config.tie_word_embeddings => Self::Tokens(Linear {
                weight: words.shallow_clone(),
                bias: None,
            }),
            TOKENS => {
                let build = build.sub("lm_head");
                Self::Tokens(Linear::without_bias(
                    &build,
                    hidden,
                    config.vocab_size,
                    std,
                )?)
            }
            SEQUENCES => {
                let (build, labels) = (build.as_new().sub("score"), asked.num_labels as i64);
                let score = Linear::without_bias(&build, hidden, labels, std)?;
                Self::Sequences {
                    score: score.with_site(&build, "classifier", None)?,
                    padding: config.pad_token_id,
                }
            }
            _ => {
                return Err(Error::unsupported(format!(
                    "building gpt2: no head `{}`; it has {TOKENS}, {SEQUENCES}",
                    asked.kind
                )));
            }
        })
    }

    /// The class of `transformers`.
    pub fn architecture(&self) -> &'static str {
        match self {
            Self::Bare => "GPT2Model",
            Self::Tokens(_) => "GPT2LMHeadModel",
            Self::Sequences { .. } => "GPT2ForSequenceClassification",
        }
    }

    /// The outputs in the table above, of `hidden` `[rows, hidden]` and the packed `ids` `[rows]`. With the input
    /// `labels` `[batch, time]` logits are computed only where they say so: `[n, vocab]`.
    pub fn forward(
        &self,
        hidden: &Tensor,
        ids: &Tensor,
        packing: &Packing,
        labels: Option<&Tensor>,
        forward: &Forward,
    ) -> Result<TensorMap> {
        let outputs = TensorMap::new();
        Ok(match self {
            Self::Bare => outputs.with("last_hidden_state", packing.unpack(hidden)?),
            Self::Tokens(decoder) => outputs.with(
                "logits",
                match labels {
                    Some(labels) => {
                        let labelled = packing.labelled(labels)?;
                        decoder.forward(&hidden.f_index_select(0, &labelled)?)? // [n, vocab]
                    }
                    None => packing.unpack(&decoder.forward(hidden)?)?, // [batch, time, vocab]
                },
            ),
            Self::Sequences { score, padding } => {
                let lasts = packing.spans().lasts_but(ids, *padding)?;
                let lasts = hidden.f_index_select(0, &lasts)?; // [batch, hidden]
                outputs.with("logits", score.forward(&lasts, forward)?)
            }
        })
    }

    /// The scores of the next token after `hidden` `[n, hidden]`: `[n, vocab]`.
    pub fn next(&self, hidden: &Tensor) -> Result<Tensor> {
        match self {
            Self::Tokens(decoder) => Ok(decoder.forward(hidden)?),
            _ => Err(Error::unsupported(format!(
                "generating with {}: it has no language-model head",
                self.architecture()
            ))),
        }
    }
}
