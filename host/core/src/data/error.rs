//! What can go wrong between a file and a batch, and where it went wrong.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// An error of code outside this module, such as a task's encoder.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Where a record stands in its file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    /// The file, as the run file names it.
    pub path: Arc<Path>,
    /// 1-based line of a text file, or 1-based row of a parquet file.
    pub number: u64,
    /// Whether `number` counts lines (of text) or rows (of parquet).
    pub is_line: bool,
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.is_line {
            true => write!(f, "{}:{}", self.path.display(), self.number),
            false => write!(f, "{}, row {}", self.path.display(), self.number),
        }
    }
}

/// What is wrong with one row. [`DataError::Row`] adds where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RowProblem {
    /// A line of jsonl that is not JSON.
    #[error("not valid JSON at byte {byte}: {problem}")]
    Json {
        /// 1-based byte within the line.
        byte: usize,
        /// What the parser met.
        problem: String,
    },
    /// A line of jsonl that is JSON, but no object.
    #[error("expected a JSON object such as {{\"text\": \"…\"}}, found {found}{hint}")]
    NotAnObject {
        /// What was found instead.
        found: &'static str,
        /// What to do about it, or nothing.
        hint: &'static str,
    },
    /// Bytes that are not text.
    #[error(
        "invalid UTF-8 at byte {byte}; set `encoding = \"latin-1\"` in `format` if the file is Latin-1"
    )]
    Utf8 {
        /// 1-based byte within the row.
        byte: usize,
    },
    /// A row without a column that is needed.
    #[error("no column `{column}`; this row has {found}")]
    MissingColumn {
        /// The column asked for.
        column: String,
        /// The columns of this row, quoted and joined.
        found: String,
    },
    /// A csv row with too many or too few fields, or a line with too few parts.
    #[error("expected {expected} fields ({columns}), found {found}{hint}")]
    Ragged {
        /// Number of columns.
        expected: usize,
        /// Their names, joined.
        columns: String,
        /// Fields in this row.
        found: usize,
        /// What to do about it, or nothing.
        hint: &'static str,
    },
    /// A quote that no other closes.
    #[error(
        "a quoted field never closes; set `quoting = false` in `format` if quotes are ordinary characters"
    )]
    OpenQuote,
    /// A row beyond the limit on memory.
    #[error(
        "row of {bytes} bytes, more than the limit of {limit}; is each row on a line of its own?"
    )]
    TooLong {
        /// Its size.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
    /// A value of another type than the reader asked for.
    #[error("column `{column}`: expected {expected}, found {found}")]
    Type {
        /// The column.
        column: String,
        /// The type wanted.
        expected: &'static str,
        /// The value found, shortened.
        found: String,
    },
}

/// Errors of the data path.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// The operating system refused.
    #[error("cannot {doing} {}: {source}", path.display())]
    Io {
        /// A verb: "open", "read", …
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Its reason.
        source: io::Error,
    },
    /// No such file or folder.
    #[error("no file or folder {}{}", path.display(), hint.as_ref().map(|name| format!("; did you mean `{name}`?")).unwrap_or_default())]
    NotFound {
        /// What was looked for.
        path: PathBuf,
        /// A neighbour of a similar name.
        hint: Option<String>,
    },
    /// A source that names no usable file.
    #[error("{source_name}: {problem}")]
    NoFiles {
        /// The source as it was written.
        source_name: String,
        /// Why nothing came of it, and what to do.
        problem: String,
    },
    /// Files or options that do not make a format.
    #[error("{}: {problem}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What does not fit, and what would.
        problem: String,
    },
    /// A file without a column that the run reads.
    #[error("{}: no column `{column}`; it has {found}{}", path.display(), hint.as_ref().map(|name| format!("; did you mean `{name}`?")).unwrap_or_default())]
    MissingColumn {
        /// The file.
        path: PathBuf,
        /// The column asked for.
        column: String,
        /// The columns that there are, quoted and joined.
        found: String,
        /// The nearest of them.
        hint: Option<String>,
    },
    /// One bad row.
    #[error("{at}: {problem}")]
    Row {
        /// File and line.
        at: Location,
        /// What is wrong with it.
        problem: RowProblem,
    },
    /// Skipping bad rows left too little.
    #[error("{bad} of {total} rows are bad, too many to skip; the first: {first}")]
    TooManyBadRows {
        /// Rows that could not be read or encoded.
        bad: u64,
        /// All rows.
        total: u64,
        /// The first of them.
        first: String,
    },
    /// No rows at all.
    #[error("{name}: no rows")]
    NoRows {
        /// The source or split.
        name: String,
    },
    /// A row that does not exist.
    #[error("row {row} was asked for, but there are {len}")]
    OutOfRange {
        /// 0-based.
        row: usize,
        /// Number of rows.
        len: usize,
    },
    /// A column of labels that is no column of labels.
    #[error(
        "column `{column}` has more than {limit} distinct values: is it the label column? (the last one met: {example})"
    )]
    TooManyLabels {
        /// The column.
        column: String,
        /// The limit.
        limit: usize,
        /// One of the values.
        example: String,
    },
    /// Labels given by the user that do not fit the data.
    #[error("column `{column}`: {problem}")]
    Labels {
        /// The column.
        column: String,
        /// What does not fit.
        problem: String,
    },
    /// A split that cannot be made.
    #[error("split: {0}")]
    Split(String),
    /// A record that the task could not encode.
    #[error("{at}: {source}")]
    Encode {
        /// File and line.
        at: Location,
        /// The task's reason.
        source: BoxError,
    },
    /// A task whose examples do not match its own declaration.
    #[error("{at}: {problem}")]
    Example {
        /// File and line.
        at: Location,
        /// What does not match.
        problem: String,
    },
    /// A batch that cannot be put together.
    #[error("collating: {0}")]
    Collate(String),
    /// A batch plan that cannot be made.
    #[error("batches: {0}")]
    Plan(String),
    /// A cache file changed or damaged while in use.
    #[error("cached examples {}: {problem}; delete the file and start again", path.display())]
    Cache {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The user stopped the work.
    #[error("cancelled")]
    Cancelled,
    /// A bug: a worker thread panicked.
    #[error("a data worker panicked: {0}")]
    Panic(String),
}

impl DataError {
    /// An I/O error with what was being done and on what.
    pub(crate) fn io(doing: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io {
            doing,
            path: path.to_owned(),
            source,
        }
    }

    /// A fault of a file's format.
    pub(crate) fn format(path: &Path, problem: impl Into<String>) -> Self {
        Self::Format {
            path: path.to_owned(),
            problem: problem.into(),
        }
    }

    /// A file that lacks `column`, with the nearest name that it has.
    pub(crate) fn missing_column(path: &Path, column: &str, found: &[String]) -> Self {
        Self::MissingColumn {
            path: path.to_owned(),
            column: column.to_owned(),
            found: quoted(found),
            hint: nearest(column, found.iter().map(String::as_str)),
        }
    }

    /// Whether one row is at fault, so that it can be skipped.
    pub fn is_row(&self) -> bool {
        matches!(
            self,
            Self::Row { .. } | Self::Encode { .. } | Self::Example { .. }
        )
    }

    /// What a caught panic said.
    pub(crate) fn panic(payload: &(dyn std::any::Any + Send)) -> Self {
        let text = payload
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| payload.downcast_ref::<String>().cloned());
        Self::Panic(text.unwrap_or_else(|| "no message".to_owned()))
    }
}

/// Names in backticks, joined with commas; "no columns" for none; the first twenty of many.
pub(crate) fn quoted(names: &[String]) -> String {
    const SHOWN: usize = 20;
    if names.is_empty() {
        return "no columns".to_owned();
    }
    let shown: Vec<_> = names
        .iter()
        .take(SHOWN)
        .map(|name| format!("`{name}`"))
        .collect();
    match names.len().saturating_sub(SHOWN) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// The candidate closest to `name`, when it is close enough to be a slip.
pub(crate) fn nearest<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Option<String> {
    candidates
        .map(|candidate| (strsim::jaro_winkler(name, candidate), candidate))
        .filter(|(score, _)| *score > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate.to_owned())
}
