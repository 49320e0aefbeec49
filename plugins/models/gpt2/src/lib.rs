//! GPT-2: a decoder-only Transformer (Radford et al. 2019), as `transformers` computes it.
//!
//! ```text
//! x = word[ids] + position[0 …]                                              [tokens, hidden]
//! for each layer:
//!     q, k, v = split(c_attn(norm(x)))
//!     x = x + c_proj(attention(q, k, v))         each token attends to itself and to those before it
//!     x = x + c_proj(activation(c_fc(norm(x))))
//! x = norm(x)
//! ```
//!
//! and a head, with dropout after the embeddings, on attention probabilities and before each residual sum. The
//! linear layers of the blocks are stored `[in, out]`, and names are those of Hugging Face. A batch comes padded,
//! `[batch, time]`, and is computed packed, `[tokens, hidden]`: padding costs nothing, wherever it lies, and a
//! token's position is its place among the tokens of its sequence.

mod block;
mod model;
mod options;

pub use model::Gpt2;
pub use options::Config;

tenon_plugin_api::register!(model: Gpt2);
