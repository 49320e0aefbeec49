//! Heads: what a task asks for, computed of the hidden states.
//!
//! With `h` the hidden states of tokens and `h₁` that of a sequence's first:
//!
//! | head | outputs |
//! | --- | --- |
//! | none | `last_hidden_state` = `h`, `pooler_output` = `tanh(dense(h₁))` |
//! | `sequence-classification` | `logits` = `classifier(tanh(dense(h₁)))` |
//! | `token-classification` | `logits` = `classifier(h)` |
//! | `question-answering` | `start_logits`, `end_logits` = the two columns of `qa_outputs(h)` |
//! | `masked-lm` | `logits` = `norm(activation(dense(h)))·Wᵀ + b`, where `W` are the word embeddings |

use tenon_nn::{Activation, Dropout, LayerNorm, Linear, SiteLinear};
use tenon_plugin_api::model::prelude::*;

use crate::encoder::Encoded;

/// One class, a set of classes or a number for a sequence.
pub const SEQUENCES: &str = "sequence-classification";
/// A class for each token.
pub const TOKENS: &str = "token-classification";
/// Where an answer starts and where it ends.
pub const ANSWERS: &str = "question-answering";
/// The word at each position.
pub const WORDS: &str = "masked-lm";

/// What models offer.
pub const OFFERS: [&str; 5] = ["encoder", SEQUENCES, TOKENS, ANSWERS, WORDS];

/// Labels of positions that nothing is predicted for.
const IGNORED: i64 = -100;

/// A head, or none.
pub enum Head {
    /// None.
    Bare {
        /// `tanh(dense(h₁))`, in models that have one.
        pooler: Option<SiteLinear>,
    },
    /// `sequence-classification`.
    Sequences {
        /// Dropout before `dense`, which only RoBERTa has.
        before: f64,
        /// BERT's pooler.
        dense: SiteLinear,
        /// Dropout before the classifier.
        dropout: f64,
        /// `[num_labels, hidden]`.
        classifier: SiteLinear,
    },
    /// `token-classification`.
    Tokens {
        /// Dropout before the classifier.
        dropout: f64,
        /// `[num_labels, hidden]`.
        classifier: SiteLinear,
    },
    /// `question-answering`: `[2, hidden]`.
    Answers(SiteLinear),
    /// `masked-lm`.
    Words(MaskedLm),
}

/// The head of a masked language model.
pub struct MaskedLm {
    /// `[hidden, hidden]`.
    pub dense: SiteLinear,
    /// After `dense`.
    pub activation: Activation,
    /// After the activation.
    pub norm: LayerNorm,
    /// `[vocab, hidden]`, whose weight the embeddings may share.
    pub decoder: Linear,
}

impl Head {
    /// Whether only the hidden states of first tokens are read.
    pub fn reads_firsts_only(&self) -> bool {
        matches!(self, Self::Sequences { .. })
    }

    /// The class of `transformers`: `architecture("Bert")` is `BertModel`, `BertForMaskedLM`, ….
    pub fn architecture(&self, family: &str) -> String {
        let with = match self {
            Self::Bare { .. } => "Model",
            Self::Sequences { .. } => "ForSequenceClassification",
            Self::Tokens { .. } => "ForTokenClassification",
            Self::Answers(_) => "ForQuestionAnswering",
            Self::Words(_) => "ForMaskedLM",
        };
        format!("{family}{with}")
    }

    /// The outputs in the table above, padded: `[batch, time, …]`, zero at padding. The input `labels`
    /// `[batch, time]` says where a masked language model computes logits.
    pub fn forward(
        &self,
        encoded: &Encoded,
        inputs: &TensorMap,
        forward: &Forward,
    ) -> Result<TensorMap> {
        let outputs = TensorMap::new();
        Ok(match self {
            Self::Bare { pooler } => {
                let outputs = outputs.with("last_hidden_state", encoded.padded()?);
                match pooler {
                    Some(pooler) => {
                        let pooled = pooler.forward(&encoded.firsts()?, forward)?.f_tanh()?;
                        outputs.with("pooler_output", pooled)
                    }
                    None => outputs,
                }
            }
            Self::Sequences {
                before,
                dense,
                dropout,
                classifier,
            } => {
                let first = Dropout::next(forward, *before).apply(&encoded.firsts()?)?;
                let pooled = dense.forward(&first, forward)?.f_tanh()?; // [batch, hidden]
                let pooled = Dropout::next(forward, *dropout).apply(&pooled)?;
                outputs.with("logits", classifier.forward(&pooled, forward)?)
            }
            Self::Tokens {
                dropout,
                classifier,
            } => {
                let hidden = Dropout::next(forward, *dropout).apply(&encoded.tokens()?)?;
                let logits = classifier.forward(&hidden, forward)?; // [rows, num_labels]
                outputs.with("logits", encoded.packing.unpack(&logits)?)
            }
            Self::Answers(ends) => {
                let logits = ends.forward(&encoded.tokens()?, forward)?; // [rows, 2]
                let logits = encoded.packing.unpack(&logits)?; // [batch, time, 2]
                outputs
                    .with("start_logits", logits.f_select(2, 0)?.f_contiguous()?)
                    .with("end_logits", logits.f_select(2, 1)?.f_contiguous()?)
            }
            Self::Words(head) => {
                let hidden = encoded.tokens()?;
                let logits = match inputs.get("labels") {
                    Some(labels) => {
                        let asked = asked(labels, inputs.require("input_ids")?, encoded)?;
                        head.forward(&hidden.f_index_select(0, &asked)?, forward)? // [n, vocab]
                    }
                    None => encoded.packing.unpack(&head.forward(&hidden, forward)?)?,
                };
                outputs.with("logits", logits)
            }
        })
    }
}

impl MaskedLm {
    /// `[rows, hidden]` to `[rows, vocab]`.
    fn forward(&self, x: &Tensor, forward: &Forward) -> Result<Tensor> {
        let x = self.activation.forward(&self.dense.forward(x, forward)?)?;
        Ok(self.decoder.forward(&self.norm.forward(&x)?)?)
    }
}

/// The decoder whose weight is `words` `[vocab, hidden]`; its bias lies at `build`.
pub fn tied(build: &Build, words: &Tensor) -> Result<Linear> {
    Ok(Linear {
        weight: words.shallow_clone(),
        bias: Some(build.param("bias", &words.size()[..1], Init::Zeros)?),
    })
}

/// The error for a head that `model` does not have.
pub fn none_such(model: &str, asked: &HeadInfo) -> Error {
    Error::unsupported(format!(
        "building {model}: no head `{}`; it has {}",
        asked.kind,
        OFFERS[1..].join(", ")
    ))
}

/// The packed tokens that `labels` ask for, in order: `[n]`. Both tensors are `[batch, time]`.
fn asked(labels: &Tensor, ids: &Tensor, encoded: &Encoded) -> Result<Tensor> {
    ensure!(
        labels.size() == ids.size(),
        Tensor,
        "masked-lm: expected labels to have the shape of input_ids, {:?}; found {:?}",
        ids.size(),
        labels.size()
    );
    let packing = &encoded.packing;
    let wanted = labels.f_not_equal(IGNORED)?;
    let packed = packing.pack(&wanted)?; // [rows]
    let tokens = packed.f_narrow(0, 0, packing.spans().tokens())?;
    let asked = tokens.f_nonzero()?.f_view([-1])?;
    let (found, count) = (asked.size()[0], wanted.f_sum(Kind::Int64)?);
    let count = count.f_int64_value(&[])?;
    ensure!(
        found == count,
        Tensor,
        "masked-lm: labels ask for {count} predictions, {} of them at padding",
        count - found
    );
    Ok(asked)
}
