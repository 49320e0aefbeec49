//! What users write: one struct per table of the run file, with docs, defaults and ranges.
//!
//! The JSON Schema of these structs is what run files are checked against, what editors
//! complete from, and what the reference is generated from. The rest of the program uses
//! [`RunSettings`](super::RunSettings).
//!
//! Three annotations of our own steer the check:
//! - `x-tenon-component`: the table names a component with `use` and holds its options;
//! - `x-tenon-either`: groups of keys of which only one may be set;
//! - `x-tenon-also`: what other tools call the key, for suggestions.

mod data;
mod evaluate;
mod generation;
mod model;
mod peft;
mod plugins;
mod prompt;
mod run;
mod task;
mod tokenizer;
mod train;

pub use data::{
    DataFormat, DataOptions, FormatName, FormatTable, HeldOutOptions, HeldOutTable, OnBadRow,
    SourceOptions, SourceTable,
};
pub use evaluate::{EvaluateOptions, Generate};
pub use generation::{EarlyStopping, GenerationOptions, NeverWord, ProcessorOptions, TokenName};
pub use model::{Dtype, ModelOptions};
pub use peft::PeftOptions;
pub use plugins::{AllowOptions, AllowTable, PluginsOptions};
pub use prompt::PromptOptions;
pub use run::RunOptions;
pub use task::{MetricOptions, TaskOptions};
pub use tokenizer::{TokenizerOptions, TokenizerTrainOptions};
pub use train::{Every, EveryWord, Mode, Precision, Resume, Schedule, TrainOptions};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Options of a component as they came from the run file, checked against its schema.
pub type Table = serde_json::Map<String, serde_json::Value>;

/// A run file: TOML that names the components of a run and their options.
///
/// Relative paths are relative to the directory in which `tenon` is started. The paths in
/// `extends` alone are relative to the file that holds them.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct RunFile {
    /// The run itself: its name, seed, device and folder.
    #[serde(default)]
    pub run: RunOptions,
    /// Where plugins are looked for, and which may be opened.
    #[serde(default)]
    pub plugins: PluginsOptions,
    /// The model. The other keys of the table are the options of the component.
    pub model: ModelOptions,
    /// The task. The other keys of the table are the options of the component.
    pub task: TaskOptions,
    /// The data. Each of `train`, `validation` and `test` is a path, a list of paths, or a table.
    /// A path names a file, or a folder with the shards of a Hugging Face data set.
    #[serde(default)]
    pub data: DataOptions,
    /// The tokenizer.
    #[serde(default)]
    pub tokenizer: TokenizerOptions,
    /// The method of parameter-efficient fine-tuning. Without this table every parameter is
    /// trained. The other keys of the table are the options of the component.
    pub peft: Option<PeftOptions>,
    /// The metrics, computed at every evaluation, in this order. Without any, the task's own.
    #[serde(default)]
    #[schemars(extend("x-tenon-expected" = "a list of tables, each `[[metrics]]`"))]
    pub metrics: Vec<MetricOptions>,
    /// Training.
    #[serde(default)]
    pub train: TrainOptions,
    /// Evaluation. Without a batch of its own, that of training.
    #[serde(default)]
    pub evaluate: EvaluateOptions,
    /// How a model writes text, where the task asks for it.
    #[serde(default)]
    pub generation: GenerationOptions,
    /// Zero- and few-shot prompting. Without this table records are what the task makes of them.
    pub prompt: Option<PromptOptions>,
    /// Processors of plugins that change the scores of the next token, in this order, after those
    /// of `[generation]`.
    #[serde(default)]
    #[schemars(extend("x-tenon-expected" = "a list of tables, each `[[processors]]`"))]
    pub processors: Vec<ProcessorOptions>,
}

/// One value or a list of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum OneOrMany<T> {
    /// The value alone.
    One(T),
    /// A list.
    Many(Vec<T>),
}

impl<T> OneOrMany<T> {
    /// The values in order.
    pub fn into_vec(self) -> Vec<T> {
        match self {
            Self::One(value) => vec![value],
            Self::Many(values) => values,
        }
    }
}
