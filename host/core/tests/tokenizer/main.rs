//! Tokenizers: trained ones, held against those of other programs on the same text.

mod chat;
mod detokenize;
mod hostile;
mod sentencepiece;
mod training;

use std::path::PathBuf;
use std::sync::Arc;

use tenon_core::data::{Dataset, OpenOptions, Source, SourceSpec, View};

/// A file of the fixtures, in `tests/fixtures/tokenizers`.
pub(crate) fn fixture(name: &str) -> PathBuf {
    let root = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tests/fixtures/tokenizers"
    );
    PathBuf::from(root).join(name)
}

/// All rows of a file.
pub(crate) fn view(path: &std::path::Path) -> View {
    let spec = SourceSpec {
        paths: vec![path.display().to_string()],
        ..SourceSpec::default()
    };
    let source = Source::resolve(&spec, "train").expect("a source");
    View::all(Arc::new(
        Dataset::open(&source, &OpenOptions::default()).expect("rows"),
    ))
}
