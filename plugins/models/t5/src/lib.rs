//! T5: a Transformer that reads text and writes text (Raffel et al. 2020), with its successors T5 v1.1, Flan-T5
//! and mT5, as `transformers` computes them.
//!
//! ```text
//! x = E[source]                                                           [source tokens, d]
//! for each block of the encoder:
//!     x = x + o(attention(q(n), k(n), v(n)) with bias B),   n = norm(x)
//!     x = x + wo(activation(wi(norm(x))))
//! x = norm(x)
//! y = E[target], and the same in the decoder, causal, with in between
//!     y = y + o(attention(q(n), k(x), v(x))),               n = norm(y)
//! logits = (y / √d)·Eᵀ                                                     [target tokens, vocab]
//! ```
//!
//! `norm` divides by the root of the mean square, and scores are not scaled. `B[h, i, j]` is learnt for each
//! head and each bucket of distances `j - i`, and shared by the layers of a side. In v1.1 and mT5 the
//! feed-forward network is gated, `activation(wi_0(n))·wi_1(n)`, the output layer has a matrix of its own and
//! nothing is divided by `√d`. Dropout is where `transformers` has it: after embeddings and final norms, on
//! attention probabilities, inside of feed-forward networks and before each residual sum.
//!
//! Both sides come padded and are computed packed, `[tokens, d]`: padding costs nothing, and neither do tokens
//! of the target after a row's last label.

mod attention;
mod bias;
mod feed_forward;
mod model;
mod options;
mod stack;

pub use model::T5;
pub use options::Config;

tenon_plugin_api::register!(model: T5);
