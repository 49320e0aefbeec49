//! Freeze: trains a part of the model itself, and leaves the rest as it was.
//!
//! With `θ` the model's parameters, `H` the task's head, `L` the top layers and `T`, `F` what the
//! options `train` and `freeze` select,
//!
//! ```text
//! trained = (H ∪ L ∪ T) \ F
//! ```
//!
//! | options | trained | known as |
//! | --- | --- | --- |
//! | none | the head | linear probing |
//! | `layers = 2` | the head and the top two layers | |
//! | `train = "biases"` | the head and all biases | BitFit (Ben Zaken et al. 2022, arXiv 2106.10199) |
//! | `train = ["norms", "pooler"]` | the head, norms and the pooler | |
//! | `freeze = "embeddings"` | all but the embeddings | |
//!
//! Nothing is attached, so the result is a whole model.

mod layers;
mod method;
mod options;
mod select;

#[cfg(test)]
mod tests;

pub use method::Freeze;
pub use options::Options;

tenon_plugin_api::register!(peft: Freeze);
