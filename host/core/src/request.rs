//! What the command line asks of the engine, and what the engine answers.
//!
//! The binary `tenon` checks a run file without libtorch, and only then opens the engine's
//! library and calls its one entry,
//!
//! ```c
//! int32_t tenon_engine_run(const uint8_t *request, size_t len);
//! ```
//!
//! with an [`EngineRequest`] as UTF-8 JSON. The answer is the exit code of the process, one of
//! those in [`exit`]; messages go to standard error, results to standard output. Both sides are
//! built together, so the request needs no versions.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::config::{RunSettings, TokenizerTrainSettings};
use crate::registry::Search;

/// Name of the engine's one entry.
pub const ENTRY: &str = "tenon_engine_run";

/// Exit codes of `tenon`, in the order of `tenon --help`.
pub mod exit {
    /// All went well.
    pub const OK: i32 = 0;
    /// The command failed: data, weights, a component, the disk.
    pub const FAILED: i32 = 1;
    /// The command line was wrong.
    pub const USAGE: i32 = 2;
    /// The run file was wrong; nothing was started.
    pub const RUN_FILE: i32 = 3;
    /// A plugin that is needed is missing, broken or not allowed.
    pub const PLUGIN: i32 = 4;
    /// Stopped by Ctrl-C or a termination signal; a training run can be resumed.
    pub const INTERRUPTED: i32 = 130;
}

/// What the engine is to do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EngineRequest {
    /// The command and what belongs to it.
    pub command: Command,
    /// Where plugins are looked for; the engine scans again, with the same result.
    pub plugins: Search,
    /// What its output should look like.
    pub terminal: Terminal,
}

impl EngineRequest {
    /// The request as the engine takes it.
    ///
    /// # Errors
    /// A path is not UTF-8.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self)
    }

    /// Reads a request.
    ///
    /// # Errors
    /// The text is not a request.
    pub fn from_json(text: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(text)
    }
}

/// A command that needs libtorch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Command {
    /// `tenon train`.
    Train(Box<TrainRequest>),
    /// `tenon evaluate`.
    Evaluate(Box<EvaluateRequest>),
    /// `tenon predict`.
    Predict(Box<PredictRequest>),
    /// `tenon merge`.
    Merge(Box<MergeRequest>),
    /// `tenon tokenizer train` with a run file.
    Tokenizer(Box<TokenizerRequest>),
}

/// Trains, and evaluates on the way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrainRequest {
    /// The checked settings; `--device` and the like are already in them.
    pub settings: RunSettings,
    /// The run file in the forms in which the run folder keeps it.
    pub run_file: RunFileText,
    /// What becomes of an earlier run in the folder.
    pub earlier: EarlierRun,
    /// Whether a resumed run may use other plugin files than it began with.
    pub allow_changed_plugins: bool,
}

/// A resolved run file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunFileText {
    /// The file that the user named.
    pub path: PathBuf,
    /// TOML with every layer applied, for `run.toml` in the run folder: running it gives the
    /// same settings.
    pub resolved: String,
    /// The same with the origin of each value as a comment.
    pub with_origins: String,
}

/// What becomes of an earlier run in the same folder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EarlierRun {
    /// As `train.resume` in the settings says.
    #[default]
    AsConfigured,
    /// It is continued; its absence is an error (`--resume`).
    Resume,
    /// It is deleted once the new run is ready to start (`--overwrite`).
    Overwrite,
}

/// Evaluates a trained model, or one as it is loaded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EvaluateRequest {
    /// The settings of the run.
    pub settings: RunSettings,
    /// Whose weights.
    pub weights: Weights,
    /// On what.
    pub on: EvaluateOn,
    /// File that gets the predictions as JSON lines.
    pub predictions: Option<PathBuf>,
}

/// The data of an evaluation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EvaluateOn {
    /// A part of the run's own data.
    Split(Split),
    /// These files, with the columns of the run's data.
    Files(Vec<PathBuf>),
}

/// A part of a run's data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Split {
    /// What it learnt from.
    Train,
    /// What it was evaluated on during training.
    Validation,
    /// What its result was evaluated on.
    Test,
}

impl Split {
    /// The name as it stands in run files and summaries.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Validation => "validation",
            Self::Test => "test",
        }
    }
}

/// Predicts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PredictRequest {
    /// The settings of the run.
    pub settings: RunSettings,
    /// Whose weights.
    pub weights: Weights,
    /// From what.
    pub inputs: Inputs,
    /// File that gets the JSON lines; `None`: standard output.
    pub output: Option<PathBuf>,
    /// Whether each line of output repeats the columns of its input.
    pub keep_columns: bool,
    /// Labels to give probabilities for, the most probable first; `None`: every one.
    pub top_k: Option<usize>,
    /// How text that is generated is told.
    #[serde(default)]
    pub generated: Generated,
}

/// How text that is generated is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Generated {
    /// As the task's prediction.
    #[default]
    Predictions,
    /// With its tokens, their log-probabilities, and why it ended.
    Tokens,
    /// As plain text, as soon as it is certain.
    Stream,
}

/// Merges an adapter into the model below it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MergeRequest {
    /// The settings of the run.
    pub settings: RunSettings,
    /// Whose weights.
    pub weights: Weights,
    /// The model folder to write, which must not exist.
    pub output: PathBuf,
}

/// Trains a tokenizer on a run's training data, which only the task tells how to read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TokenizerRequest {
    /// The settings of the run.
    pub settings: RunSettings,
    /// What kind of tokenizer, and on which columns.
    pub train: TokenizerTrainSettings,
    /// The folder to write into.
    pub output: PathBuf,
    /// Whether standard output gets what was found, as JSON.
    pub json: bool,
}

/// Whose weights evaluate or predict.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Weights {
    /// Those of the run in this folder: its result, or its latest checkpoint while it has none.
    Run(PathBuf),
    /// Those of a model folder or an adapter folder in Hugging Face layout.
    Folder(PathBuf),
    /// Those that the run starts from.
    Pretrained,
}

/// What to predict from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Inputs {
    /// Texts of the command line, for the one column that the task needs.
    Texts(Vec<String>),
    /// Data files, with the columns of the run's data; format by the ending of the name.
    Files(Vec<PathBuf>),
    /// Plain text files, one input a line, for the one column that the task needs.
    TextFiles(Vec<PathBuf>),
    /// Standard input: one input a line, or one JSON object a line where the first line is one.
    Stdin,
}

/// What output should look like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terminal {
    /// Whether standard error is a terminal, for progress bars.
    pub interactive: bool,
    /// Whether standard error may be coloured.
    pub colour: bool,
    /// Whether standard output gets JSON instead of text for people.
    pub json: bool,
    /// -2 errors only, -1 warnings too, 0 normal, 1 debug, 2 trace.
    pub verbosity: i8,
}
