//! The data path, from files to batches.

mod faults;
mod files;
mod pipeline;
mod running_text;
mod squad;
mod tokenizer;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tenon_core::data::rng::Rng;
use tenon_core::data::{
    DataError, Dataset, FormatOptions, OpenOptions, Record, Source, SourceSpec, Value,
};

/// A folder that goes with the test.
pub(crate) struct Folder(tempfile::TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary folder"))
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, content).expect("writes");
        path
    }

    /// The source `name` with `format` given as JSON; empty for the extension's.
    pub(crate) fn source(&self, name: &str, format: &str) -> Result<Source, DataError> {
        let format = match format {
            "" => FormatOptions::default(),
            json => serde_json::from_str(json).expect("format options"),
        };
        let spec = SourceSpec {
            paths: vec![name.to_owned()],
            format,
            base: self.0.path().to_owned(),
        };
        Source::resolve(&spec, "train")
    }

    pub(crate) fn open(
        &self,
        name: &str,
        format: &str,
        options: &OpenOptions,
    ) -> Result<Dataset, DataError> {
        Dataset::open(&self.source(name, format)?, options)
    }

    /// `text` without the name of this folder.
    pub(crate) fn hide(&self, text: &str) -> String {
        let folder = self.0.path().display().to_string();
        text.replace(&format!("{folder}/"), "")
            .replace(&folder, "FOLDER")
    }
}

/// All rows, read in order, backwards and at random, which must agree.
pub(crate) fn all_rows(dataset: &Dataset) -> Vec<Result<Record, String>> {
    let get = |reader: &mut tenon_core::data::Reader<'_>, row| {
        reader
            .get(row)
            .map_err(|error: DataError| error.to_string())
    };
    let mut reader = dataset.reader();
    let rows: Vec<_> = (0..dataset.len())
        .map(|row| get(&mut reader, row))
        .collect();
    for row in (0..dataset.len()).rev() {
        assert_eq!(get(&mut reader, row), rows[row], "row {row}, backwards");
    }
    let mut rng = Rng::new(1);
    for _ in 0..dataset.len() {
        let row = rng.below(dataset.len() as u64) as usize;
        assert_eq!(get(&mut reader, row), rows[row], "row {row}, at random");
    }
    rows
}

/// The values of all rows, none of which may be bad.
pub(crate) fn all_values(dataset: &Dataset) -> Vec<Vec<Value>> {
    all_rows(dataset)
        .into_iter()
        .map(|row| row.expect("a good row").values().to_vec())
        .collect()
}

pub(crate) fn text(value: &str) -> Value {
    Value::Text(value.to_owned())
}

pub(crate) fn shared(dataset: Dataset) -> Arc<Dataset> {
    Arc::new(dataset)
}

/// Text of a few characters that formats find hard.
pub(crate) fn awkward(rng: &mut Rng, alphabet: &[&str], most: u64) -> String {
    (0..rng.below(most + 1))
        .map(|_| alphabet[rng.below(alphabet.len() as u64) as usize])
        .collect()
}
