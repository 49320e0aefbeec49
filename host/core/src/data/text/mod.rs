//! Text files (jsonl, csv, tsv, lines, running text, SQuAD): rows by number at any size, in flat memory.

mod boundary;
mod delimited;
mod index;
mod jsonl;
mod positioned;
mod reader;
pub(crate) mod squad;
mod unpack;

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;

use self::boundary::Rule;
use self::delimited::Delimited;
use self::index::RowIndex;
pub(crate) use self::positioned::PositionedFile;
use self::reader::{RawRow, RowReader};
use super::error::{DataError, Location, RowProblem};
use super::format::{Encoding, Format};
use super::source::SourceFile;
use super::value::{Projection, Record};

/// A text file with the places of its rows.
pub(crate) struct TextFile {
    rows: Rows,
    /// Whether rows are lines of the file that the user knows.
    is_lines: bool,
    parser: Parser,
    index: RowIndex,
}

/// The bytes of a file and what ends a row in them.
pub(crate) struct Rows {
    pub(crate) file: PositionedFile,
    pub(crate) rule: Rule,
    /// Rows longer than this, in bytes, are bad.
    pub(crate) longest: u64,
}

enum Parser {
    Jsonl {
        encoding: Encoding,
        projection: Projection,
    },
    Delimited(Delimited),
}

impl TextFile {
    /// Opens a file and finds its rows, in one pass over it.
    ///
    /// `longest`: the limit on a row, in bytes. `unpacked`: the folder for unpacked gzip files.
    pub(crate) fn open(
        source: &SourceFile,
        format: &Format,
        projection: &Projection,
        longest: u64,
        threads: usize,
        unpacked: Option<&Path>,
    ) -> Result<Self, DataError> {
        if let (Format::Squad, Projection::Only { columns, required }) = (format, projection) {
            let known = squad::COLUMNS.map(str::to_owned);
            if let Some(missing) = columns[..*required]
                .iter()
                .find(|name| !known.contains(name))
            {
                return Err(DataError::missing_column(&source.shown, missing, &known));
            }
        }
        let path = &source.path;
        let file = match (format, source.gzip) {
            (Format::Squad, gzip) => squad::questions(path, gzip, unpacked)?,
            (_, true) => unpack::unpack(path, unpacked)?,
            (_, false) => PositionedFile::open(path)?.shown_as(&source.shown),
        };
        let rows = Rows {
            file,
            rule: Rule::of(format),
            longest,
        };
        let mut begin = RowReader::new(&rows, rows.after_mark()?, 1);
        let parser = match format {
            Format::Jsonl { encoding } => Parser::Jsonl {
                encoding: *encoding,
                projection: projection.clone(),
            },
            Format::Squad => Parser::Jsonl {
                encoding: Encoding::Utf8,
                projection: projection.clone(),
            },
            _ => Parser::Delimited(Delimited::new(format, projection, &mut begin)?),
        };
        let index = RowIndex::build(&rows, begin.offset(), begin.line(), threads)?;
        Ok(Self {
            rows,
            is_lines: *format != Format::Squad,
            parser,
            index,
        })
    }

    /// Number of rows, blank lines and the header left out.
    pub(crate) fn len(&self) -> u64 {
        self.index.len()
    }

    /// A reader with its own buffer; one for each thread.
    pub(crate) fn cursor(&self) -> Cursor<'_> {
        Cursor {
            walk: Walk {
                text: self,
                reader: RowReader::new(&self.rows, 0, 1),
                at: None,
            },
            path: Arc::from(&*self.rows.file.shown()),
            scratch: delimited::Scratch::default(),
            names: None,
        }
    }

    /// How lines are encoded where they are rows, each its only column.
    fn line_encoding(&self) -> Option<Encoding> {
        match &self.parser {
            Parser::Delimited(delimited) if !self.rows.rule.is_part() => delimited.line_encoding(),
            _ => None,
        }
    }
}

/// The columns of the file's first row, without reading further. None for an empty jsonl file.
pub(crate) fn columns(
    source: &SourceFile,
    format: &Format,
    longest: u64,
) -> Result<Vec<String>, DataError> {
    if let Format::Lines { columns, .. } = format {
        return Ok(columns.clone());
    }
    if let Format::Text { .. } = format {
        return Ok(vec![delimited::TEXT.to_owned()]);
    }
    if *format == Format::Squad {
        return Ok(squad::COLUMNS.map(str::to_owned).to_vec());
    }
    let file = match source.gzip {
        true => unpack::unpack_start(&source.path)?,
        false => PositionedFile::open(&source.path)?.shown_as(&source.shown),
    };
    let rows = Rows {
        file,
        rule: Rule::of(format),
        longest,
    };
    let mut reader = RowReader::new(&rows, rows.after_mark()?, 1);
    match format {
        Format::Jsonl { encoding } => {
            let Some(row) = reader.next_row(u64::MAX)? else {
                return Err(DataError::NoRows {
                    name: source.shown.display().to_string(),
                });
            };
            let line = row.line;
            let parsed = row
                .bytes(&rows)
                .and_then(|bytes| decode(bytes, *encoding))
                .and_then(|text| jsonl::parse(&text, &Projection::All, &mut None));
            let at = Location {
                path: source.shown.as_path().into(),
                number: line,
                is_line: true,
            };
            parsed
                .map(|(columns, _)| columns.to_vec())
                .map_err(|problem| DataError::Row { at, problem })
        }
        _ => Ok(Delimited::new(format, &Projection::All, &mut reader)?
            .columns()
            .to_vec()),
    }
}

/// A place in a text file from which rows are read; reading on is cheaper than jumping.
pub(crate) struct Cursor<'a> {
    walk: Walk<'a>,
    /// The file that the user knows. It is this cursor's own, as are the names: threads would
    /// wait for each other to count who holds what they share.
    path: Arc<Path>,
    scratch: delimited::Scratch,
    /// The column names of the last record, shared while they stay the same.
    names: Option<Arc<[String]>>,
}

/// Goes from row to row.
struct Walk<'a> {
    text: &'a TextFile,
    reader: RowReader<'a>,
    /// The row that the reader stands before.
    at: Option<u64>,
}

impl Walk<'_> {
    /// Row `row` (0-based, below [`TextFile::len`]) as it lies in the file.
    fn to(&mut self, row: u64) -> Result<RawRow<'_>, DataError> {
        let near = self
            .at
            .is_some_and(|at| (at..at + index::STRIDE).contains(&row));
        if !near {
            let point = self.text.index.point(row);
            self.reader.seek(point.offset, point.line);
            self.at = Some(point.row);
        }
        let rows = &self.text.rows;
        let mut at = self.at.take().unwrap_or(row);
        while at < row {
            self.reader
                .next_row(u64::MAX)?
                .ok_or_else(|| rows.file.changed())?;
            at += 1;
        }
        let found = self
            .reader
            .next_row(u64::MAX)?
            .ok_or_else(|| rows.file.changed())?;
        self.at = Some(row + 1);
        Ok(found)
    }
}

impl Cursor<'_> {
    /// Row `row` (0-based, below [`TextFile::len`]).
    pub(crate) fn get(&mut self, row: u64) -> Result<Record, DataError> {
        let text = self.walk.text;
        let found = self.walk.to(row)?;
        let location = Location {
            path: Arc::clone(&self.path),
            number: found.line,
            is_line: text.is_lines,
        };
        let names = &mut self.names;
        let parsed = found
            .bytes(&text.rows)
            .and_then(|bytes| match &text.parser {
                Parser::Jsonl {
                    encoding,
                    projection,
                } => jsonl::parse(&decode(bytes, *encoding)?, projection, names),
                Parser::Delimited(delimited) => delimited.parse(bytes, &mut self.scratch, names),
            });
        match parsed {
            Ok((names, values)) => {
                let goes_on = text.rows.rule.is_part() && row + 1 < text.len();
                Ok(Record::new(names, values, location).going_on(goes_on))
            }
            Err(problem) => Err(DataError::Row {
                at: location,
                problem,
            }),
        }
    }

    /// The text of row `row` where rows are lines, with the line's number; `None` where there is
    /// more to a row.
    pub(crate) fn line(&mut self, row: u64) -> Result<Option<(u64, Cow<'_, str>)>, DataError> {
        let text = self.walk.text;
        let Some(encoding) = text.line_encoding() else {
            return Ok(None);
        };
        let found = self.walk.to(row)?;
        let (number, bytes) = (found.line, found.bytes(&text.rows));
        match bytes.and_then(|bytes| decode(bytes, encoding)) {
            Ok(line) => Ok(Some((number, line))),
            Err(problem) => {
                let at = Location {
                    path: Arc::clone(&self.path),
                    number,
                    is_line: text.is_lines,
                };
                Err(DataError::Row { at, problem })
            }
        }
    }
}

/// Bytes as text, borrowed where they are UTF-8.
fn decode(bytes: &[u8], encoding: Encoding) -> Result<Cow<'_, str>, RowProblem> {
    match encoding {
        Encoding::Utf8 => simdutf8::compat::from_utf8(bytes)
            .map(Cow::Borrowed)
            .map_err(|error| RowProblem::Utf8 {
                byte: error.valid_up_to() + 1,
            }),
        Encoding::Latin1 => Ok(bytes.iter().map(|&byte| char::from(byte)).collect()),
    }
}
