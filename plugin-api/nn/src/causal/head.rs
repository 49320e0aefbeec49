//! Heads of causal models: what a task asks for, computed of the hidden states `h`.
//!
//! | head | outputs |
//! | --- | --- |
//! | none | `last_hidden_state` `[batch, time, hidden]`, zero at padding |
//! | `causal-lm` | `logits` = `h·Wᵀ`, where `W` are the word embeddings unless they are not tied |
//! | `sequence-classification` | `logits` = `score(h)` of each sequence's last token |

use tch::Tensor;
use tenon_plugin_api::model::{Build, Forward};
use tenon_plugin_api::tensor::TensorMap;
use tenon_plugin_api::{Error, Result};

use crate::linear::{Linear, SiteLinear};
use crate::packing::Packing;
use crate::product;

/// The next token at each position.
pub const TOKENS: &str = "causal-lm";
/// One class, a set of classes or a number for a sequence.
pub const SEQUENCES: &str = "sequence-classification";

/// What heads differ by.
#[derive(Debug, Clone, Copy)]
pub struct HeadOptions {
    /// The whole name of the word embeddings' weight.
    pub words: &'static str,
    /// Deviation of new weights.
    pub std: f64,
    /// Whether the language-model head shares its weight with the word embeddings, unless the weights have two.
    pub tied: bool,
    /// The token that does not count as a sequence's last.
    pub padding: Option<i64>,
}

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
    /// The head of the model `model` that the task asks for. `words` `[vocab, hidden]` are the word embeddings;
    /// parameters are called `lm_head` and `score`.
    ///
    /// # Errors
    /// There is no such head; the weights lack a parameter or have it in another shape.
    pub fn new(model: &str, options: &HeadOptions, words: &Tensor, build: &Build) -> Result<Self> {
        let (vocab, hidden, std) = (words.size()[0], words.size()[1], options.std);
        let Some(asked) = build.head() else {
            return Ok(Self::Bare);
        };
        Ok(match asked.kind.as_str() {
            TOKENS if options.tied => Self::Tokens(Linear {
                weight: build.tied("lm_head.weight", options.words, &words.size())?,
                bias: None,
            }),
            TOKENS => {
                let build = build.sub("lm_head");
                Self::Tokens(Linear::without_bias(&build, hidden, vocab, std)?)
            }
            SEQUENCES => {
                let (build, labels) = (build.as_new().sub("score"), asked.num_labels as i64);
                let score = Linear::without_bias(&build, hidden, labels, std)?;
                Self::Sequences {
                    score: score.with_site(&build, "classifier", None)?,
                    padding: options.padding,
                }
            }
            _ => {
                return Err(Error::unsupported(format!(
                    "building {model}: no head `{}`; it has {TOKENS}, {SEQUENCES}",
                    asked.kind
                )));
            }
        })
    }

    /// The one of three names that is for this head: none, `causal-lm`, `sequence-classification`.
    #[must_use]
    pub fn name<'a>(&self, names: [&'a str; 3]) -> &'a str {
        let [bare, tokens, sequences] = names;
        match self {
            Self::Bare => bare,
            Self::Tokens(_) => tokens,
            Self::Sequences { .. } => sequences,
        }
    }

    /// The outputs in the table above, of `hidden` `[rows, hidden]` and the packed `ids` `[rows]`. With the input
    /// `labels` `[batch, time]` logits are computed only where they say so: `[n, vocab]`.
    ///
    /// # Errors
    /// Labels that do not fit, and those of libtorch and of what is attached.
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
                        at_rows(decoder, hidden, &labelled)? // [n, vocab]
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
    ///
    /// # Errors
    /// It is no language-model head; and those of libtorch.
    pub fn next(&self, hidden: &Tensor) -> Result<Tensor> {
        match self {
            Self::Tokens(decoder) => Ok(decoder.forward(hidden)?),
            _ => Err(Error::unsupported(format!(
                "generating: the model was built without the head `{TOKENS}`"
            ))),
        }
    }
}

/// `decoder` of the rows `wanted` `[n]` of `hidden`: `[n, vocab]`. It computes some more where products gain from row
/// counts that recur.
fn at_rows(decoder: &Linear, hidden: &Tensor, wanted: &Tensor) -> Result<Tensor> {
    let count = wanted.size()[0];
    let filler = product::filler(hidden, count);
    let wanted = match filler {
        0 => wanted.shallow_clone(),
        filler => wanted.f_constant_pad_nd([0, filler])?,
    };
    let logits = decoder.forward(&hidden.f_index_select(0, &wanted)?)?;
    Ok(match filler {
        0 => logits,
        _ => logits.f_narrow(0, 0, count)?,
    })
}
