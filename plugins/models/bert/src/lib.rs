//! BERT and RoBERTa: bidirectional Transformer encoders (Devlin et al. 2019, Liu et al. 2019), as
//! `transformers` computes them.
//!
//! ```text
//! x = norm(word[ids] + position[…] + type[types])                         [tokens, hidden]
//! for each layer:
//!     x = norm(x + dense(attention(query(x), key(x), value(x))))
//!     x = norm(x + dense(activation(dense(x))))
//! ```
//!
//! and a head, with dropout after the embeddings, on attention probabilities, before each residual sum and
//! before classifiers. Positions count from 0 in BERT, and in RoBERTa from the one after the padding token's
//! id. Parameters carry their Hugging Face names. The batch comes padded, `[batch, time]`, and is computed
//! packed, `[tokens, hidden]`: padding costs nothing. A head that reads only the first token has the last layer
//! compute only that one; one for masked words computes logits only where there are labels.

mod bert;
mod embeddings;
mod encoder;
mod head;
mod layer;
mod options;
mod roberta;

pub use bert::Bert;
pub use options::{Config, RobertaConfig};
pub use roberta::Roberta;

tenon_plugin_api::register!(model: Bert, model: Roberta);
