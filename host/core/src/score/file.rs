//! A file of predictions or references.

use std::io::{BufRead, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::error::ScoreError;
use crate::data::{
    Dataset, Format, FormatKind, FormatOptions, OpenOptions, Projection, Source, SourceSpec, View,
    columns,
};

/// What standard input is called in messages.
const STDIN: &str = "standard input";

/// A file, or several that a pattern or folder stands for, with the columns of its first row.
pub(super) struct File {
    name: String,
    source: Source,
    columns: Vec<String>,
    /// Holds what came through standard input.
    _spool: Option<tempfile::NamedTempFile>,
}

impl File {
    /// Finds a file, or reads standard input for `-`. A name that tells no format is that of a
    /// plain text file.
    pub fn open(path: &Path) -> Result<Self, ScoreError> {
        if path.as_os_str() == "-" {
            return Self::stdin();
        }
        let lines = path.is_file() && FormatKind::of(path).is_none();
        let kind = lines.then_some(FormatKind::Lines);
        Self::found(path.to_owned(), path.display().to_string(), kind, None)
    }

    /// Standard input, whose rows are read twice.
    fn stdin() -> Result<Self, ScoreError> {
        let mut spool = tempfile::Builder::new()
            .prefix("tenon-predictions-")
            .tempfile()?;
        let mut input = std::io::stdin().lock();
        let mut first = Vec::new();
        input.read_until(b'\n', &mut first)?;
        spool.write_all(&first)?;
        std::io::copy(&mut input, &mut spool)?;
        spool.flush()?;
        let is_object = serde_json::from_slice::<serde_json::Map<String, _>>(&first)
            .is_ok_and(|_: serde_json::Map<String, serde_json::Value>| true);
        let kind = match is_object {
            true => FormatKind::Jsonl,
            false => FormatKind::Lines,
        };
        let path = spool.path().to_owned();
        Self::found(path, STDIN.to_owned(), Some(kind), Some(spool))
    }

    fn found(
        path: PathBuf,
        name: String,
        kind: Option<FormatKind>,
        spool: Option<tempfile::NamedTempFile>,
    ) -> Result<Self, ScoreError> {
        let spec = SourceSpec {
            paths: vec![path.to_string_lossy().into_owned()],
            format: FormatOptions {
                kind,
                ..FormatOptions::default()
            },
            base: PathBuf::new(),
        };
        let mut source = Source::resolve(&spec, "test")?;
        if spool.is_some() {
            source.show_as(&[PathBuf::from(&name)]);
        }
        Ok(Self {
            name,
            columns: columns(&source)?,
            source,
            _spool: spool,
        })
    }

    /// As the user names it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Columns of its first row.
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// Whether each line of the file is a row, so that a line that is none would shift the rest.
    pub fn is_plain_text(&self) -> bool {
        matches!(self.source.format, Format::Lines { .. }) && self.source.files.len() == 1
    }

    /// Its rows with these columns, the second kind where present.
    pub fn view(&self, required: &[&str], optional: &[&str]) -> Result<View, ScoreError> {
        let options = OpenOptions {
            columns: Projection::only(required.iter().copied(), optional.iter().copied()),
            ..OpenOptions::default()
        };
        Ok(View::all(Arc::new(Dataset::open(&self.source, &options)?)))
    }
}
