//! What a run file may set.

use tenon_plugin_api::task::prelude::*;

/// Options of `causal-lm`.
#[derive(Options, Debug)]
pub struct Options {
    /// Column with the text. Files of running text (`data.format = "text"`) have it as `text`.
    #[default("text")]
    pub text: Column,
    /// Tokens of a block, which the model sees at once; as many as it takes, 1024 at most, when
    /// absent.
    #[range(min = 2)]
    #[example(512)]
    pub block_size: Option<usize>,
    /// In evaluation, tokens from the start of a block to that of the next. Less than `block_size`
    /// lets blocks overlap, and only tokens count that no earlier block had: each is then predicted
    /// from at least `block_size - stride` others. Blocks do not overlap when absent.
    #[range(min = 1)]
    #[example(256)]
    pub stride: Option<usize>,
    /// Token after each document: a role (`eos`, `sep`, `bos`), passed over where the tokenizer has
    /// none, or a token as the tokenizer spells it; empty for none.
    #[default("eos")]
    pub separator: String,
}
