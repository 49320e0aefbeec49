//! Why a command failed, and the exit code that says so.

use std::path::PathBuf;

use serde_json::{Value, json};
use tenon_core::config::Report;
use tenon_core::data::TokenizerError;
use tenon_core::registry::{EngineError, PluginError};
use tenon_core::request::exit;
use tenon_core::score::ScoreError;
use tenon_core::tokenizer::train::TrainError;
use thiserror::Error;

/// Why a command failed.
#[derive(Debug, Error)]
pub enum Failure {
    /// The command line asks for what cannot be.
    #[error("{0}")]
    Usage(String),
    /// The run file is wrong.
    #[error("{0}")]
    RunFile(#[from] Report),
    /// The metrics of the command line are wrong.
    #[error("{0}")]
    Metrics(Report),
    /// Files cannot be scored.
    #[error(transparent)]
    Score(ScoreError),
    /// A tokenizer cannot be read, or refuses a text.
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
    /// A tokenizer cannot be trained.
    #[error(transparent)]
    TrainTokenizer(#[from] TrainError),
    /// A folder that was named is none of a run.
    #[error(
        "{}: {problem}\n  help: name a run file, or the folder that `tenon train` made of one",
        path.display()
    )]
    NoRun {
        /// The folder.
        path: PathBuf,
        /// What it is instead.
        problem: String,
    },
    /// A run has nothing to use yet.
    #[error(
        "{}: this run was not trained yet: there is no {}\n  help: train it first, name weights with --model, or take those that \
         it starts from with --pretrained",
        file.display(),
        folder.display()
    )]
    NotTrained {
        /// The run file.
        file: PathBuf,
        /// The run's folder.
        folder: PathBuf,
    },
    /// A plugin cannot be used.
    #[error(transparent)]
    Plugin(#[from] PluginError),
    /// No plugin or component of this name is there.
    #[error("there is no plugin or component `{name}`; `tenon plugin list` shows what there is")]
    NothingNamed {
        /// The name as written.
        name: String,
    },
    /// The engine cannot be used.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A file cannot be written.
    #[error("{}: cannot be written: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A path cannot be told to the engine.
    #[error("the engine cannot be asked: {0}")]
    Request(#[from] serde_json::Error),
}

impl From<ScoreError> for Failure {
    fn from(error: ScoreError) -> Self {
        match error {
            ScoreError::Plugin(error) => Self::Plugin(error),
            other => Self::Score(other),
        }
    }
}

impl Failure {
    /// The exit code of the process.
    pub fn exit_code(&self) -> i32 {
        match self {
            Self::Usage(_) | Self::Metrics(_) | Self::NoRun { .. } => exit::USAGE,
            Self::Score(ScoreError::Options(_)) => exit::USAGE,
            Self::RunFile(_) => exit::RUN_FILE,
            Self::Plugin(_) | Self::NothingNamed { .. } => exit::PLUGIN,
            _ => exit::FAILED,
        }
    }

    /// The failure for scripts.
    pub fn to_json(&self) -> Value {
        let mut error = json!({
            "exit_code": self.exit_code(),
            "message": self.to_string(),
        });
        match self {
            Self::RunFile(report) | Self::Metrics(report) => {
                error["file"] = json!(report.file);
                error["faults"] = json!(report.faults);
            }
            Self::Plugin(plugin) => {
                error["plugin"] = json!(plugin.plugin);
                error["problem"] = json!(plugin.problem.code());
            }
            _ => {}
        }
        json!({ "error": error })
    }
}
