//! Llama and its kin: Llama 1–3, Mistral, Qwen2 and Qwen3 (Touvron et al. 2023), as `transformers` computes them.
//!
//! ```text
//! x = word[ids]                                                                  [tokens, hidden]
//! for each layer:
//!     h = norm(x)
//!     q, k, v = rotate(q_proj(h)), rotate(k_proj(h)), v_proj(h)       heads of keys may be fewer
//!     x = x + o_proj(attention(q, k, v))        each token sees itself and what precedes it, or a window of that
//!     h = norm(x)
//!     x = x + down_proj(activation(gate_proj(h)) · up_proj(h))
//! x = norm(x)
//! ```
//!
//! and a head. Norms are by the root of the mean square; Qwen3 normalises each head of queries and keys before
//! they are turned. Names are those of Hugging Face. A batch comes padded, `[batch, time]`, and is computed packed,
//! `[tokens, hidden]`: padding costs nothing, wherever it lies.

mod block;
mod model;
mod options;
mod rope;

pub use model::Llama;
pub use options::{Config, Family};
pub use rope::RopeParameters;

tenon_plugin_api::register!(model: Llama);
