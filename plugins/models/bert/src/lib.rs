//! BERT: a bidirectional Transformer encoder (Devlin et al. 2019), as `transformers` computes it.
//!
//! ```text
//! x = norm(word[ids] + position[0..] + type[types])                       [tokens, hidden]
//! for each layer:
//!     x = norm(x + dense(attention(query(x), key(x), value(x))))
//!     x = norm(x + dense(activation(dense(x))))
//! pooled = tanh(dense(x of the first token)),  logits = classifier(pooled)
//! ```
//!
//! with dropout after the embeddings, on attention probabilities, before each residual sum and before the
//! classifier. Parameters carry their Hugging Face names. The batch comes padded, `[batch, time]`, and is
//! computed packed, `[tokens, hidden]`: padding costs nothing. A classification head reads only the first token,
//! so the last layer computes only that one.

mod encoder;
mod model;
mod options;

pub use model::Bert;
pub use options::Config;

tenon_plugin_api::register!(model: Bert);
