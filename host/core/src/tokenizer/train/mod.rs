//! Training a tokenizer: texts are counted as words, a vocabulary is found, and the files that
//! `transformers` reads are made.
//!
//! What comes out depends on the texts and the options alone: not on threads, hashing or order of
//! files in memory. Memory is bounded by the number of distinct words, which is bounded too.

mod bpe;
mod count;
mod files;
mod sources;
mod spec;
mod unigram;

pub use count::TextSource;
pub use sources::TextFile;
pub use spec::{Kind, Normalization, TrainSpec};

use std::io;
use std::path::{Path, PathBuf};

use crate::data::DataError;
use crate::folder::write_atomically;

/// Why a tokenizer cannot be trained.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// The data cannot be read.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A column that is not there, or none that is told.
    #[error("{}: {problem}", path.display())]
    Column {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// The columns hold no text.
    #[error("there is no text to learn from: {rows} rows were read, and {columns} held none")]
    NoText {
        /// Rows that were read.
        rows: u64,
        /// The columns, for the message.
        columns: String,
    },
    /// A vocabulary that cannot hold what it must.
    #[error(
        "a vocabulary of {vocab_size} is too small: {kind} needs {needed} and {special} special tokens; \
         ask for at least {}",
        needed.1 + special
    )]
    VocabularyTooSmall {
        /// Its size.
        vocab_size: usize,
        /// The kind of tokenizer.
        kind: &'static str,
        /// What it needs: in words, and how many.
        needed: Needed,
        /// Special tokens.
        special: usize,
    },
    /// The user asked to stop.
    #[error("stopped")]
    Stopped,
    /// A file cannot be written.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// What was made is no tokenizer; a fault of ours.
    #[error("what was trained is no tokenizer: {0}")]
    Invalid(String),
}

/// So many of something.
#[derive(Debug)]
pub struct Needed(pub &'static str, pub usize);

impl std::fmt::Display for Needed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.1, self.0)
    }
}

/// Watches training, for progress bars and Ctrl-C. Called from one thread.
pub trait Watch {
    /// A phase begins that is done when [`at`](Self::at) reaches `total`.
    fn phase(&self, name: &'static str, total: u64);
    /// How far it is.
    fn at(&self, done: u64);
    /// Whether to stop.
    fn stopped(&self) -> bool {
        false
    }
}

/// Watches nothing.
pub struct Unwatched;

impl Watch for Unwatched {
    fn phase(&self, _: &'static str, _: u64) {}
    fn at(&self, _: u64) {}
}

/// A tokenizer that was trained.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainedTokenizer {
    /// Its files: names and contents.
    pub files: Vec<(String, Vec<u8>)>,
    /// What it was trained on, and what came out.
    pub summary: Summary,
}

/// What a tokenizer was trained on, and what came out.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize)]
pub struct Summary {
    /// Tokens in the vocabulary, special ones included.
    pub vocab_size: usize,
    /// Texts that were read.
    pub texts: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Their words, or characters where the vocabulary is of characters.
    pub words: u64,
    /// Distinct ones among them.
    pub distinct: usize,
    /// Distinct characters that were too rare to be in the vocabulary.
    pub rare_characters: usize,
}

impl TrainedTokenizer {
    /// Writes the files into a folder, which is made if it is not there. Each is whole or not
    /// there, `tokenizer.json` last.
    ///
    /// # Errors
    /// Writing fails.
    pub fn write(&self, folder: &Path) -> Result<(), TrainError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            |source| TrainError::Write { path, source }
        };
        std::fs::create_dir_all(folder).map_err(failed(folder))?;
        for (name, contents) in &self.files {
            let path = folder.join(name);
            write_atomically(&path, contents).map_err(failed(&path))?;
        }
        Ok(())
    }
}

/// Trains a tokenizer on the texts of `sources`.
///
/// # Errors
/// The data cannot be read or holds no text, the vocabulary cannot hold what it must, or `watch`
/// asks to stop.
pub fn train(
    spec: &TrainSpec,
    sources: &[TextSource<'_>],
    watch: &dyn Watch,
) -> Result<TrainedTokenizer, TrainError> {
    let counts = count::count(spec, sources, watch)?;
    if counts.total == 0 {
        let mut columns: Vec<String> = Vec::new();
        for column in sources.iter().flat_map(|source| &source.columns) {
            let column = format!("`{column}`");
            if !columns.contains(&column) {
                columns.push(column);
            }
        }
        return Err(TrainError::NoText {
            rows: counts.rows,
            columns: columns.join(", "),
        });
    }
    let mut summary = Summary {
        texts: counts.texts,
        bytes: counts.bytes,
        words: counts.total,
        distinct: counts.words.len(),
        ..Summary::default()
    };
    let alphabet = count::Alphabet::new(&counts.words, spec.character_coverage);
    summary.rare_characters = alphabet.rare;
    let special = spec.special_tokens();
    let fits = |needed: Needed| match needed.1 + special.len() > spec.vocab_size {
        true => Err(TrainError::VocabularyTooSmall {
            vocab_size: spec.vocab_size,
            kind: spec.kind.name(),
            needed,
            special: special.len(),
        }),
        false => Ok(()),
    };
    let model = match spec.kind {
        Kind::Bpe => {
            fits(Needed("bytes", 256))?;
            let start = bpe::Start::new(&special, bpe::byte_alphabet(), None);
            let found = bpe::merge(&counts.words, start, spec, watch)?;
            files::Model::Bpe(found)
        }
        Kind::WordPiece => {
            let start = bpe::Start::of_words(&special, &alphabet, &counts.words);
            fits(Needed(
                "first and later characters of the text",
                start.letters(),
            ))?;
            let found = bpe::merge(&counts.words, start, spec, watch)?;
            files::Model::WordPiece(found)
        }
        Kind::Unigram => {
            fits(Needed("characters of the text", alphabet.chars.len()))?;
            let room = spec.vocab_size - special.len();
            let pieces = unigram::train(&counts.words, &alphabet, room, watch)?;
            files::Model::Unigram(pieces)
        }
        Kind::Char => {
            let mut chars = alphabet.chars;
            // Data is read line by line, but what a model writes has lines too.
            if let Err(place) = chars.binary_search(&'\n') {
                chars.insert(place, '\n');
            }
            fits(Needed("characters of the text", chars.len()))?;
            files::Model::Char(chars)
        }
    };
    let (files, vocab_size) = files::make(spec, model)?;
    summary.vocab_size = vocab_size;
    Ok(TrainedTokenizer { files, summary })
}
