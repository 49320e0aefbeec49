//! Layers on tch with the numerics of PyTorch, for model and PEFT plugins.
//!
//! Layers are plain structs that hold parameters and compute: a model is read in its own `forward`. Shapes are
//! written `[tokens, hidden]`; *packed* tokens are those of all sequences one after the other, without padding.
//! On the CPU in float32 attention, norms, positions and losses run in fused kernels with a backward pass of their
//! own, and products of few rows at the speed of memory.

mod activation;
pub mod attention;
pub mod bridge;
pub mod causal;
mod decode;
mod dropout;
mod embedding;
mod linear;
mod loss;
mod matmul;
mod norm;
pub mod optim;
mod packing;
mod product;
mod rotary;
pub mod seq2seq;
mod sides;
mod simd;
mod sites;
mod skinny;
mod transpose;

pub use activation::Activation;
pub use attention::{Attention, Sight};
pub use decode::Decode;
pub use dropout::Dropout;
pub use embedding::Embedding;
pub use linear::{Conv1d, Linear, SiteLinear};
pub use loss::{IGNORED, counted, cross_entropy, token_loss};
pub use norm::{LayerNorm, RmsNorm};
pub use packing::{Packing, Spans};
pub use rotary::{Rotary, Scaling, Turns};
pub use sites::{EmbeddingSite, KeyValueSite, OutputSite};
