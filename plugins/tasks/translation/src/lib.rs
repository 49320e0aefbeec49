//! Translation: a sentence of one language into another, by an encoder–decoder.
//!
//! With the tokens `x` of the source and `y` of the target, which ends with the end-of-text token,
//! and the start token `s` of the decoder:
//!
//! ```text
//! input_ids  x₁ … xₘ        decoder_input_ids  s y₁ … yₙ₋₁        labels  y₁ … yₙ
//! ```
//!
//! The loss is `Σᵢ (1-ε)·-log p(yᵢ) + ε/V·Σᵥ -log p(v)` with the smoothing `ε` (Vaswani et al. 2017,
//! section 5.4), its weight the number of labels, as in `transformers`' `LabelSmoother`. Batches are
//! planned by the lengths of both sides together. A language is chosen by a text before the source
//! (`prefix`, as T5 has it), by a token before the source (`source_token`, as multilingual Marian
//! models have it), or by the token that the translation begins with (`target_token`, as NLLB and
//! mBART have it).

mod options;
mod side;
mod task;

#[cfg(test)]
mod tests;

pub use options::Options;
pub use task::Translation;

tenon_plugin_api::register!(task: Translation);
