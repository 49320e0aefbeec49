//! `[evaluate]`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Evaluation.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("x-tenon-either" = [["batch_size", "batch_tokens"]]))]
pub struct EvaluateOptions {
    /// Examples in a batch.
    #[schemars(range(min = 1, max = 1_000_000), extend("x-tenon-also" = ["per_device_eval_batch_size"]), example = 64)]
    pub batch_size: Option<u32>,
    /// Tokens in a batch, padding included.
    #[schemars(range(min = 1, max = 1_000_000_000), example = 8192)]
    pub batch_tokens: Option<u32>,
    /// When text is generated for tasks that ask for it: at every evaluation, at the end of the
    /// training only, or never, so that only the loss is computed.
    #[schemars(extend("x-tenon-also" = ["predict_with_generate"]))]
    pub generate: Generate,
    /// Records for which text is generated at evaluations during training, the first of the data
    /// (default: all).
    #[schemars(range(min = 1), example = 200)]
    pub generate_limit: Option<u64>,
}

/// When text is generated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Generate {
    /// At every evaluation.
    #[default]
    Always,
    /// When the training has ended, and in `tenon evaluate`.
    End,
    /// Never.
    Never,
}
