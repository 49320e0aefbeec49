//! LoRA: linear layers learn an update of low rank (Hu et al. 2021, arXiv 2106.09685).
//!
//! At a site with input `x` `[…, in]` and output `h` `[…, out]`, section 4.1, equation 3:
//!
//! ```text
//! h + s · dropout(x) · Aᵀ · Bᵀ        A [r, in], B [out, r]
//! ```
//!
//! with `s = lora_alpha / r`, or `lora_alpha / √r` with `use_rslora` (Kalajdzievski 2023, arXiv
//! 2312.03732). `B` starts at zero, so training starts from the model as it is. Merged, the
//! weight `[out, in]` becomes `W + s · B · A`.
//!
//! Adapter folders are those of `peft` 0.21, read and written.

mod adapter;
mod attach;
mod method;
mod options;
mod targets;

#[cfg(test)]
mod tests;

pub use method::Lora;
pub use options::{Bias, InitLoraWeights, Options};

tenon_plugin_api::register!(peft: Lora);
