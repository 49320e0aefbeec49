//! `[run]`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The run itself: its name, seed, device and folder.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct RunOptions {
    /// Name of the run and of its folder in `output_dir`. Without it, the name of the run file
    /// without `.toml`.
    #[schemars(
        regex(pattern = r"^[^/\\]*[^/\\.][^/\\]*$"),
        extend("x-tenon-expected" = "the name of a folder, without `/`"),
        example = &"spam-lora"
    )]
    pub name: Option<String>,
    /// Seed of everything random: order of the data, dropout, initialisation, splits.
    #[schemars(example = 17)]
    pub seed: u64,
    /// Folder in which each run gets a folder of its own.
    #[schemars(extend("format" = "path"))]
    pub output_dir: String,
    /// Where the run computes: `auto` (the first GPU, else the CPU), `cpu`, `cuda` or `cuda:N`.
    #[schemars(
        regex(pattern = r"^(auto|cpu|cuda(:[0-9]{1,3})?)$"),
        extend("x-tenon-expected" = r#""auto", "cpu", "cuda" or "cuda:N""#),
        example = &"cuda:0"
    )]
    pub device: String,
    /// Threads of the matrix kernels. Without it, one for each core.
    #[schemars(range(min = 1, max = 1024), extend("x-tenon-also" = ["num_threads"]), example = 2)]
    pub threads: Option<u32>,
    /// Refuse kernels whose results differ from one execution to the next.
    pub deterministic: bool,
}

impl Default for RunOptions {
    fn default() -> Self {
        Self {
            name: None,
            seed: 42,
            output_dir: "runs".into(),
            device: "auto".into(),
            threads: None,
            deterministic: true,
        }
    }
}
