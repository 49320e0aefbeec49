//! A dataset: the rows of one or more files, by number.

use std::borrow::Cow;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use super::error::DataError;
use super::format::{Format, FormatOptions};
use super::parquet::{self, ParquetFile};
use super::ring::in_order;
use super::rows::Rows;
use super::source::{Source, SourceSpec};
use super::text::{self, TextFile};
use super::value::{Projection, Record};

/// Rows that are read in one piece of a parallel pass.
const PIECE: usize = 1024;
/// How many bad rows are kept with their reason.
const REPORTED: usize = 5;

/// What to do about a row that cannot be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BadRows {
    /// The first one read is an error.
    #[default]
    Error,
    /// All are found in one pass when the dataset is opened, left out, and counted.
    Skip,
}

/// How a dataset is read.
#[derive(Clone, Debug)]
pub struct OpenOptions {
    /// Columns to read.
    pub columns: Projection,
    /// What to do about bad rows.
    pub bad_rows: BadRows,
    /// The longest row that is accepted, in bytes (default 64 MiB).
    pub longest_row: u64,
    /// Threads for passes over the data (default: one a core).
    pub threads: usize,
    /// Bytes of decoded parquet kept in memory, besides those in use (default 64 MiB).
    pub parquet_budget: usize,
    /// Folder that keeps unpacked gzip files between runs; without it they are unpacked into a
    /// temporary file each time.
    pub cache: Option<PathBuf>,
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self {
            columns: Projection::All,
            bad_rows: BadRows::Error,
            longest_row: 64 << 20,
            threads: thread::available_parallelism().map_or(1, NonZero::get),
            parquet_budget: 64 << 20,
            cache: None,
        }
    }
}

/// The bad rows that were left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Skipped {
    /// How many.
    pub count: u64,
    /// The first few, with file, line and reason.
    pub first: Vec<String>,
}

impl Skipped {
    pub(crate) fn add(&mut self, error: &DataError) {
        self.count += 1;
        if self.first.len() < REPORTED {
            self.first.push(error.to_string());
        }
    }
}

/// The rows of a source, by number. Memory does not grow with the size of the files, apart from
/// about one byte a row of text.
pub struct Dataset {
    name: String,
    format: Format,
    files: Vec<DataFile>,
    /// Rows that can be read, of all rows of the files.
    rows: Rows,
    skipped: Skipped,
    threads: usize,
}

struct DataFile {
    path: PathBuf,
    first_row: usize,
    body: Body,
}

enum Body {
    Text(TextFile),
    Parquet(ParquetFile),
}

impl Dataset {
    /// Opens the files of `source` and finds their rows: one pass over text, the footers of
    /// parquet; one more pass that parses every row where bad ones are to be skipped.
    ///
    /// # Errors
    /// A file that cannot be read or lacks a column, no rows at all, or, when skipping, more than
    /// half of them bad.
    pub fn open(source: &Source, options: &OpenOptions) -> Result<Self, DataError> {
        let mut files = Vec::with_capacity(source.files.len());
        let mut total = 0;
        let cache = parquet::Cache::new(options.parquet_budget);
        for file in &source.files {
            let body = match &source.format {
                Format::Parquet => Body::Parquet(ParquetFile::open(
                    &file.path,
                    &options.columns,
                    Arc::clone(&cache),
                    files.len(),
                )?),
                format => Body::Text(TextFile::open(
                    file,
                    format,
                    &options.columns,
                    options.longest_row,
                    options.threads,
                    options.cache.as_deref(),
                )?),
            };
            let len = match &body {
                Body::Text(rows) => rows.len(),
                Body::Parquet(rows) => rows.len(),
            };
            // An empty shard is no fault; it has no row to be found in.
            if len > 0 {
                files.push(DataFile {
                    path: file.path.clone(),
                    first_row: total,
                    body,
                });
                total += usize::try_from(len).map_err(|_| {
                    DataError::format(&file.shown, "more rows than this machine can count")
                })?;
            }
        }
        if total == 0 {
            return Err(DataError::NoRows {
                name: source.name.clone(),
            });
        }
        let mut dataset = Self {
            name: source.name.clone(),
            format: source.format.clone(),
            files,
            rows: Rows::All(total),
            skipped: Skipped::default(),
            threads: options.threads.max(1),
        };
        if options.bad_rows == BadRows::Skip {
            dataset.leave_out_bad_rows()?;
        }
        Ok(dataset)
    }

    /// The source as the run file names it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How its files are read.
    pub fn format(&self) -> &Format {
        &self.format
    }

    /// Number of rows, bad ones left out if so chosen.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Never true: a dataset without rows does not open.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The bad rows that were left out.
    pub fn skipped(&self) -> &Skipped {
        &self.skipped
    }

    /// Threads for passes over the data.
    pub fn threads(&self) -> usize {
        self.threads
    }

    /// Paths of the files with rows.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.files.iter().map(|file| file.path.as_path())
    }

    /// Names of the classes of `column`, by number, where a parquet file written by Hugging
    /// Face's `datasets` declares them (`ClassLabel`). The cells of such a column are these names.
    pub fn class_names(&self, column: &str) -> Option<Vec<String>> {
        self.files.iter().find_map(|file| match &file.body {
            Body::Parquet(file) => file.class_names(column),
            Body::Text(_) => None,
        })
    }

    /// Row `row`, 0-based.
    ///
    /// # Errors
    /// A bad row, a file that cannot be read, or a row beyond [`Dataset::len`].
    pub fn get(&self, row: usize) -> Result<Record, DataError> {
        self.reader().get(row)
    }

    /// Rows in the order given; neighbours cost least.
    ///
    /// # Errors
    /// As for [`Dataset::get`]; the first one ends the call.
    pub fn get_many(&self, rows: &[usize]) -> Result<Vec<Record>, DataError> {
        let mut reader = self.reader();
        rows.iter().map(|&row| reader.get(row)).collect()
    }

    /// A reader with its own buffers, for one thread.
    pub fn reader(&self) -> Reader<'_> {
        Reader {
            dataset: self,
            file: usize::MAX,
            cursor: None,
        }
    }

    /// Which rows of the files are in the dataset.
    pub(crate) fn rows(&self) -> &Rows {
        &self.rows
    }

    fn leave_out_bad_rows(&mut self) -> Result<(), DataError> {
        let total = self.len();
        let mut bad = Vec::new();
        let mut skipped = Skipped::default();
        let check = |piece: usize| {
            let mut reader = self.reader();
            let rows = piece * PIECE..total.min((piece + 1) * PIECE);
            rows.filter_map(|row| reader.get(row).err().map(|error| (row, error)))
                .collect::<Vec<_>>()
        };
        in_order(total.div_ceil(PIECE), self.threads, check, |found| {
            for (row, error) in found {
                if !error.is_row() {
                    return Err(error);
                }
                skipped.add(&error);
                bad.push(row as u64);
            }
            Ok(())
        })?;
        if bad.len() * 2 > total {
            let first = skipped.first.into_iter().next().unwrap_or_default();
            return Err(DataError::TooManyBadRows {
                bad: bad.len() as u64,
                total: total as u64,
                first,
            });
        }
        self.rows = Rows::except(total, bad);
        self.skipped = skipped;
        Ok(())
    }
}

/// Reads rows of a [`Dataset`] one at a time; reading on is cheaper than jumping.
pub struct Reader<'a> {
    dataset: &'a Dataset,
    file: usize,
    cursor: Option<Cursor<'a>>,
}

enum Cursor<'a> {
    Text(text::Cursor<'a>),
    Parquet(parquet::Cursor<'a>),
}

impl<'a> Reader<'a> {
    /// Row `row`, 0-based.
    ///
    /// # Errors
    /// As for [`Dataset::get`].
    pub fn get(&mut self, row: usize) -> Result<Record, DataError> {
        match self.find(row)? {
            (Cursor::Text(cursor), row) => cursor.get(row),
            (Cursor::Parquet(cursor), row) => cursor.get(row),
        }
    }

    /// The text of row `row` where rows are lines and nothing else, with the line's number;
    /// without a copy where it is UTF-8. `None` where there is more to a row.
    ///
    /// # Errors
    /// As for [`Dataset::get`].
    pub fn line(&mut self, row: usize) -> Result<Option<(u64, Cow<'_, str>)>, DataError> {
        match self.find(row)? {
            (Cursor::Text(cursor), row) => cursor.line(row),
            (Cursor::Parquet(_), _) => Ok(None),
        }
    }

    /// The file of a row, and the row's number in it.
    fn find(&mut self, row: usize) -> Result<(&mut Cursor<'a>, u64), DataError> {
        let dataset = self.dataset;
        let place = dataset.rows.get(row).ok_or(DataError::OutOfRange {
            row,
            len: dataset.len(),
        })?;
        let number = dataset
            .files
            .partition_point(|file| file.first_row <= place)
            - 1;
        let file = &dataset.files[number];
        if self.file != number {
            self.cursor = None;
            self.file = number;
        }
        let cursor = self.cursor.get_or_insert_with(|| match &file.body {
            Body::Text(file) => Cursor::Text(file.cursor()),
            Body::Parquet(file) => Cursor::Parquet(file.cursor()),
        });
        Ok((cursor, (place - file.first_row) as u64))
    }
}

/// Columns of the data at `path`, as the check of a run file asks for them.
///
/// # Errors
/// What is wrong with the file, in words.
pub fn probe(path: &Path, format: &FormatOptions) -> Result<Vec<String>, String> {
    let spec = SourceSpec {
        paths: vec![path.to_string_lossy().into_owned()],
        format: format.clone(),
        base: PathBuf::new(),
    };
    let source = Source::resolve(&spec, "train").map_err(|error| error.to_string())?;
    columns(&source).map_err(|error| error.to_string())
}

/// Columns of the first file of `source`, from its first row, header or schema, at little cost.
/// Later rows of jsonl may have others.
///
/// # Errors
/// A file that cannot be read, or a first row that is bad.
pub fn columns(source: &Source) -> Result<Vec<String>, DataError> {
    let Some(file) = source.files.first() else {
        return Err(DataError::NoRows {
            name: source.name.clone(),
        });
    };
    match &source.format {
        Format::Parquet => parquet::columns(&file.path),
        format => text::columns(file, format, OpenOptions::default().longest_row),
    }
}
