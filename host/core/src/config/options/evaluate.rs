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
}
