//! Causal language modelling: each token of running text is predicted from those before it.
//!
//! The tokens `x` of all documents, one after another with a separator between them, are cut into
//! blocks of `block_size`. The loss of a block is `Σᵢ -log p(xᵢ₊₁ | x₁ … xᵢ)`, its weight the number of
//! targets: with the mean over all of them, that is the loss of `transformers`' causal models (their
//! last position of a block has no target, here it has the first token of the next one).
//!
//! In evaluation blocks may overlap (`stride`): then a token is predicted from `block_size - stride`
//! tokens at least, and counts once. Of each block it puts out the summed negative log likelihood in
//! nats, the number of tokens that were predicted and the bytes of their text, from which metrics
//! compute perplexity and bits per byte.

mod options;
mod task;

#[cfg(test)]
mod tests;

pub use options::Options;
pub use task::CausalLm;

tenon_plugin_api::register!(task: CausalLm);
