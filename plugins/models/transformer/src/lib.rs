//! The encoder–decoder Transformer (Vaswani et al. 2017), as Marian lays it out and `transformers` computes it.
//!
//! ```text
//! x = √d·E[source] + sinusoid(0..)                                        [source tokens, d]
//! for each layer of the encoder:
//!     x = norm(x + out(attention(q(x), k(x), v(x))))
//!     x = norm(x + fc2(activation(fc1(x))))
//! y = √d·E[target] + sinusoid(0..)                                        [target tokens, d]
//! for each layer of the decoder:
//!     y = norm(y + out(attention(q(y), k(y), v(y))))                      causal
//!     y = norm(y + out(attention(q(y), k(x), v(x))))
//!     y = norm(y + fc2(activation(fc1(y))))
//! logits = y·Eᵀ + final_logits_bias                                       [target tokens, vocab]
//! ```
//!
//! with dropout after the embeddings, on attention probabilities, between `fc1` and `fc2` and before each
//! residual sum. `√d` is there where `scale_embedding` says so. Parameters carry the names of `MarianMTModel`.
//! Both sides come padded and are computed packed, `[tokens, d]`: padding costs nothing, and neither do tokens
//! of the target after a row's last label.

mod attention;
mod decoder;
mod embeddings;
mod encoder;
mod model;
mod options;
mod sublayer;

pub use model::Transformer;
pub use options::Config;

tenon_plugin_api::register!(model: Transformer);
