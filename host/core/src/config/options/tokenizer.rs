//! `[tokenizer]`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The tokenizer.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct TokenizerOptions {
    /// A `tokenizer.json`, or a folder that holds one. Without it, the one beside the pretrained
    /// model.
    #[schemars(extend("format" = "path"), example = &"models/all-MiniLM-L6-v2/tokenizer.json")]
    pub path: Option<String>,
    /// Tokens after which an input is cut, special tokens included. Without it, the limit of the
    /// model.
    #[schemars(
        range(min = 2, max = 1_000_000),
        extend("x-tenon-also" = ["max_seq_length", "model_max_length"]),
        example = 128
    )]
    pub max_length: Option<u32>,
}
