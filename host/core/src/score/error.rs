//! Why files were not scored.

use tenon_plugin_api::error::StdError;
use thiserror::Error;

use crate::data::DataError;
use crate::registry::PluginError;

/// Why files were not scored.
#[derive(Debug, Error)]
pub enum ScoreError {
    /// A plugin cannot be used.
    #[error(transparent)]
    Plugin(#[from] PluginError),
    /// A metric refuses its options.
    #[error(transparent)]
    Options(StdError),
    /// A file cannot be read, a row or cell is wrong.
    #[error(transparent)]
    Data(#[from] DataError),
    /// Standard input cannot be kept for a second reading.
    #[error("standard input cannot be read: {0}")]
    Spool(#[from] std::io::Error),
    /// None of the columns of a file says what it holds.
    #[error(
        "{file}: no column tells the {side} for metric `{metric}`; it has {found}\n  help: name one with {flag}"
    )]
    NoColumn {
        /// The file.
        file: String,
        /// `predictions` or `references`.
        side: &'static str,
        /// The metric.
        metric: String,
        /// The columns that there are.
        found: String,
        /// The option that names one.
        flag: &'static str,
    },
    /// A metric has nothing to compare with.
    #[error(
        "metric `{metric}` compares predictions with references, and there are none\n  help: name their file with --references"
    )]
    NoReferences {
        /// The metric.
        metric: String,
    },
    /// A metric reads what no file can give, or another kind than the files hold.
    #[error("metric `{metric}` reads {reads}; {found}")]
    Kind {
        /// The metric.
        metric: String,
        /// The kinds that it reads.
        reads: String,
        /// What there is instead.
        found: String,
    },
    /// Rows cannot be paired.
    #[error(
        "{predictions} has {predicted} rows and {references} has {referred}; they pair by position, so the counts must agree"
    )]
    Counts {
        /// The file of predictions.
        predictions: String,
        /// Its rows.
        predicted: usize,
        /// The references.
        references: String,
        /// Their rows.
        referred: usize,
    },
    /// A line of a plain text file is empty, so that later ones would be paired wrongly.
    #[error(
        "{file}:{line}: an empty line; rows pair by position, so each line must hold a value\n  help: as jsonl, values may be empty: {{\"text\": \"\"}}"
    )]
    EmptyLine {
        /// The file.
        file: String,
        /// The line, from 1.
        line: u64,
    },
    /// Probabilities that do not fit the classes.
    #[error("{file}: {problem}")]
    Probabilities {
        /// The file.
        file: String,
        /// What does not fit, and what would.
        problem: String,
    },
    /// A metric has no scores of draws.
    #[error(
        "metric `{metric}` cannot score draws of examples, so it has no confidence interval and no test\n  help: leave out the metric, or --confidence and --baseline"
    )]
    NotResampled {
        /// The metric.
        metric: String,
    },
    /// Examples are numbered with 32 bits when they are drawn.
    #[error("{rows} rows of all systems are too many to draw from; 4294967295 can be")]
    TooManyToDraw {
        /// The rows.
        rows: usize,
    },
    /// A metric failed on draws of examples.
    #[error("scoring draws of examples: {0}")]
    Resampling(StdError),
    /// A metric failed on what it was given.
    #[error("{file}: {source}{}", notes.iter().map(|note| format!("\n  note: {note}")).collect::<String>())]
    Metric {
        /// The file of predictions.
        file: String,
        /// The metric's own words.
        source: StdError,
        /// What there is to know of the file.
        notes: Vec<String>,
    },
}
