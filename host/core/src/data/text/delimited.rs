//! Rows of fields between delimiters: csv, tsv and lines.

use std::sync::Arc;

use memchr::{memchr, memmem};

use super::decode;
use super::reader::RowReader;
use crate::data::error::{DataError, Location, RowProblem};
use crate::data::format::{Encoding, Format, check_names};
use crate::data::value::{Projection, Value};

/// The column of running text.
pub(super) const TEXT: &str = "text";

/// How the rows of one file are cut into the columns asked for.
pub(super) struct Delimited {
    cut: Cut,
    encoding: Encoding,
    /// Columns of the file.
    columns: Arc<[String]>,
    /// Columns asked for, and the place of each in the file.
    wanted: Arc<[String]>,
    places: Vec<Option<usize>>,
}

enum Cut {
    Csv {
        delimiter: u8,
        quoting: bool,
    },
    /// At the first delimiters; empty for a line that is one column.
    Lines {
        delimiter: String,
    },
}

/// Buffers that are reused from row to row.
#[derive(Default)]
pub(super) struct Scratch {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Delimited {
    /// Reads the header, if the format has one, from `start`, which then stands after it.
    pub(super) fn new(
        format: &Format,
        projection: &Projection,
        start: &mut RowReader<'_>,
    ) -> Result<Self, DataError> {
        let (cut, encoding, columns) = match format {
            Format::Csv {
                delimiter,
                quoting,
                header,
                columns,
                encoding,
            } => {
                let cut = Cut::Csv {
                    delimiter: *delimiter,
                    quoting: *quoting,
                };
                let read = if *header {
                    Some(header_of(start, &cut, *encoding)?)
                } else {
                    None
                };
                (cut, *encoding, columns.clone().or(read).unwrap_or_default())
            }
            Format::Lines {
                delimiter,
                columns,
                encoding,
            } => (
                Cut::Lines {
                    delimiter: delimiter.clone(),
                },
                *encoding,
                columns.clone(),
            ),
            Format::Text { encoding, .. } => (
                Cut::Lines {
                    delimiter: String::new(),
                },
                *encoding,
                vec![TEXT.to_owned()],
            ),
            Format::Jsonl { .. } | Format::Squad | Format::Parquet => {
                unreachable!("formats without delimiters")
            }
        };
        let path = start.rows().file.shown();
        check_names(&columns).map_err(|problem| DataError::format(&path, problem))?;
        let (wanted, places) = match projection {
            Projection::All => (
                columns.clone().into(),
                (0..columns.len()).map(Some).collect(),
            ),
            Projection::Only {
                columns: wanted,
                required,
            } => {
                let place = |name: &String| columns.iter().position(|column| column == name);
                let places: Vec<_> = wanted.iter().map(place).collect();
                if let Some(missing) = places.iter().take(*required).position(Option::is_none) {
                    return Err(DataError::missing_column(&path, &wanted[missing], &columns));
                }
                (Arc::clone(wanted), places)
            }
        };
        Ok(Self {
            cut,
            encoding,
            columns: columns.into(),
            wanted,
            places,
        })
    }

    /// All columns of the file.
    pub(super) fn columns(&self) -> &[String] {
        &self.columns
    }

    /// The encoding of lines that are the one column asked for, uncut.
    pub(super) fn line_encoding(&self) -> Option<Encoding> {
        let is_whole = self.columns.len() == 1 && self.places == [Some(0)];
        (is_whole && matches!(self.cut, Cut::Lines { .. })).then_some(self.encoding)
    }

    /// Cuts one row, without its line end. `names` holds the columns of the last row.
    pub(super) fn parse(
        &self,
        row: &[u8],
        scratch: &mut Scratch,
        names: &mut Option<Arc<[String]>>,
    ) -> Result<(Arc<[String]>, Vec<Value>), RowProblem> {
        let values = match &self.cut {
            Cut::Csv { delimiter, quoting } => {
                split_csv(row, *delimiter, *quoting, scratch);
                self.check_count(scratch.ends.len())?;
                let field = |place: usize| {
                    let start = if place == 0 {
                        0
                    } else {
                        scratch.ends[place - 1]
                    };
                    &scratch.bytes[start..scratch.ends[place]]
                };
                self.values(field)
            }
            Cut::Lines { delimiter } => {
                let fields = split_line(row, delimiter.as_bytes(), self.columns.len());
                self.check_count(fields.len())?;
                self.values(|place| fields[place])
            }
        };
        let names = names.get_or_insert_with(|| self.wanted.iter().cloned().collect());
        Ok((
            Arc::clone(names),
            values.map_err(|problem| locate_utf8(problem, row))?,
        ))
    }

    fn values<'a>(&self, field: impl Fn(usize) -> &'a [u8]) -> Result<Vec<Value>, RowProblem> {
        let value = |place: &Option<usize>| match place {
            Some(place) => Ok(Value::Text(
                decode(field(*place), self.encoding)?.into_owned(),
            )),
            None => Ok(Value::Null),
        };
        self.places.iter().map(value).collect()
    }

    fn check_count(&self, found: usize) -> Result<(), RowProblem> {
        let expected = self.columns.len();
        if found == expected {
            return Ok(());
        }
        let hint = match &self.cut {
            Cut::Csv { quoting: true, .. } if found > expected => {
                "; a field that holds the delimiter needs quotes"
            }
            Cut::Csv { .. } => "",
            Cut::Lines { .. } => "; is `delimiter` right?",
        };
        Err(RowProblem::Ragged {
            expected,
            columns: self.columns.join(", "),
            found,
            hint,
        })
    }
}

/// Bytes are counted from the row's start, not the field's.
fn locate_utf8(problem: RowProblem, row: &[u8]) -> RowProblem {
    match (problem, std::str::from_utf8(row)) {
        (RowProblem::Utf8 { .. }, Err(error)) => RowProblem::Utf8 {
            byte: error.valid_up_to() + 1,
        },
        (problem, _) => problem,
    }
}

/// Column names from the first row.
fn header_of(
    start: &mut RowReader<'_>,
    cut: &Cut,
    encoding: Encoding,
) -> Result<Vec<String>, DataError> {
    let rows = start.rows();
    let path = rows.file.shown();
    let Some(row) = start.next_row(u64::MAX)? else {
        return Err(DataError::NoRows {
            name: path.display().to_string(),
        });
    };
    let at = Location {
        path,
        number: row.line,
        is_line: true,
    };
    let names = || {
        let bytes = row.bytes(rows)?;
        let Cut::Csv { delimiter, quoting } = cut else {
            return Ok(Vec::new());
        };
        let mut scratch = Scratch::default();
        split_csv(bytes, *delimiter, *quoting, &mut scratch);
        let mut from = 0;
        let mut name = |end: &usize| {
            let field = decode(&scratch.bytes[from..*end], encoding)?
                .trim()
                .to_owned();
            from = *end;
            Ok(field)
        };
        scratch.ends.iter().map(&mut name).collect()
    };
    names().map_err(|problem| DataError::Row { at, problem })
}

/// Fills `scratch` with the unescaped fields of `row`, by the rule of [`super::boundary`].
fn split_csv(row: &[u8], delimiter: u8, quoting: bool, scratch: &mut Scratch) {
    let Scratch { bytes, ends } = scratch;
    bytes.clear();
    ends.clear();
    let mut at = 0;
    loop {
        if quoting && row.get(at) == Some(&b'"') {
            at = unquote(row, at + 1, bytes);
        }
        // What follows the closing quote, or a field without quotes.
        let end = memchr(delimiter, &row[at..]).map_or(row.len(), |found| at + found);
        bytes.extend_from_slice(&row[at..end]);
        ends.push(bytes.len());
        if end == row.len() {
            return;
        }
        at = end + 1;
    }
}

/// Copies what lies within quotes, from after the first one; returns the place after the last.
fn unquote(row: &[u8], mut at: usize, bytes: &mut Vec<u8>) -> usize {
    while let Some(found) = memchr(b'"', &row[at..]) {
        bytes.extend_from_slice(&row[at..at + found]);
        at += found + 1;
        if row.get(at) != Some(&b'"') {
            return at;
        }
        bytes.push(b'"');
        at += 1;
    }
    bytes.extend_from_slice(&row[at..]);
    row.len()
}

/// Up to `columns` parts; the last one takes the rest, delimiters included.
fn split_line<'a>(row: &'a [u8], delimiter: &[u8], columns: usize) -> Vec<&'a [u8]> {
    let mut parts = Vec::with_capacity(columns);
    let mut rest = row;
    while parts.len() + 1 < columns {
        let Some(end) = memmem::find(rest, delimiter) else {
            break;
        };
        parts.push(&rest[..end]);
        rest = &rest[end + delimiter.len()..];
    }
    parts.push(rest);
    parts
}
