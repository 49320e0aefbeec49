//! Data files that are named on the command line, and which of their columns hold the text.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{TextSource, TrainError};
use crate::config::suggest;
use crate::data::{
    Dataset, FormatKind, FormatOptions, OpenOptions, Projection, Source, SourceSpec, View, columns,
};

/// The column that is read where none is named.
const TEXT: &str = "text";

/// The rows of a file, and the columns with text.
pub struct TextFile {
    view: View,
    columns: Vec<String>,
}

impl TextFile {
    /// Opens a file, or several that a pattern or a folder stands for. A name that tells no
    /// format is that of a plain text file, which is read line by line. Without `wanted`, the
    /// column is `text`, or the only one.
    ///
    /// # Errors
    /// A file cannot be read, or it is not told which column holds the text.
    pub fn open(path: &Path, wanted: &[String]) -> Result<Self, TrainError> {
        let is_plain = path.is_file() && FormatKind::of(path).is_none();
        let spec = SourceSpec {
            paths: vec![path.to_string_lossy().into_owned()],
            format: FormatOptions {
                kind: is_plain.then_some(FormatKind::Lines),
                ..FormatOptions::default()
            },
            base: PathBuf::new(),
        };
        let source = Source::resolve(&spec, "train")?;
        let known = columns(&source)?;
        let columns = choose(path, wanted, &known)?;
        let options = OpenOptions {
            columns: Projection::only(columns.iter().map(String::as_str), []),
            ..OpenOptions::default()
        };
        let dataset = Dataset::open(&source, &options)?;
        Ok(Self {
            view: View::all(Arc::new(dataset)),
            columns,
        })
    }

    /// As something to train on.
    #[must_use]
    pub fn source(&self) -> TextSource<'_> {
        TextSource {
            view: &self.view,
            columns: self.columns.clone(),
        }
    }
}

fn choose(path: &Path, wanted: &[String], known: &[String]) -> Result<Vec<String>, TrainError> {
    let fault = |problem: String| TrainError::Column {
        path: path.to_owned(),
        problem: format!("{problem} (columns: {})", known.join(", ")),
    };
    let has = |name: &str| known.iter().any(|column| column == name);
    if let Some(unknown) = wanted.iter().find(|name| !has(name)) {
        let meant = suggest::closest(unknown, known.iter().map(String::as_str));
        let meant = meant.map_or_else(String::new, |meant| format!("; did you mean `{meant}`?"));
        return Err(fault(format!("no column `{unknown}`{meant}")));
    }
    match (wanted, known) {
        ([], [only]) => Ok(vec![only.clone()]),
        ([], _) if has(TEXT) => Ok(vec![TEXT.to_owned()]),
        ([], _) => Err(fault("name the column that holds the text".to_owned())),
        (wanted, _) => Ok(wanted.to_vec()),
    }
}
