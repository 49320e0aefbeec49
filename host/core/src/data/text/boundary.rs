//! Where rows end: at a line feed, or, in quoted csv, at a line feed outside quotes.
//!
//! The quoted rule is the csv crate's: a quote opens a field only at the field's very start, two
//! quotes inside stand for one, and after the closing quote the field goes on unquoted. A lone
//! carriage return is content.

use memchr::{memchr, memchr_iter, memchr2};

use crate::data::format::Format;

/// What ends a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    /// Any line feed. Lines of white space only are no rows.
    Line,
    /// Any line feed; only empty lines are no rows.
    Unquoted,
    /// A line feed outside double quotes; only empty lines are no rows.
    Quoted {
        /// Between fields.
        delimiter: u8,
    },
}

impl Rule {
    pub(crate) fn of(format: &Format) -> Self {
        match format {
            Format::Csv {
                delimiter,
                quoting: true,
                ..
            } => Self::Quoted {
                delimiter: *delimiter,
            },
            Format::Csv { .. } => Self::Unquoted,
            Format::Jsonl { .. } | Format::Lines { .. } | Format::Parquet => Self::Line,
        }
    }

    /// Whether a line, with its end, is no row.
    pub(crate) fn is_blank(self, line: &[u8]) -> bool {
        match self {
            Self::Line => line.iter().all(u8::is_ascii_whitespace),
            Self::Unquoted | Self::Quoted { .. } => matches!(line, b"" | b"\n" | b"\r\n" | b"\r"),
        }
    }
}

/// Looks for the end of one row in pieces of a file.
#[derive(Debug)]
pub(crate) struct Scan {
    rule: Rule,
    state: State,
    /// Line feeds met, the last one included.
    pub(crate) lines: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Just after a delimiter, or at the row's start.
    FieldStart,
    InField,
    InQuotes,
    /// After a quote inside quotes: the end of them, or the first of two.
    AfterQuote,
}

impl Scan {
    pub(crate) fn new(rule: Rule) -> Self {
        Self {
            rule,
            state: State::FieldStart,
            lines: 0,
        }
    }

    /// Whether the file, ending here, leaves a quoted field open.
    pub(crate) fn is_open(&self) -> bool {
        self.state == State::InQuotes
    }

    /// The next piece: how many of its bytes belong to the row, its end included, or `None` where
    /// the row goes on beyond the piece.
    pub(crate) fn feed(&mut self, piece: &[u8]) -> Option<usize> {
        match self.rule {
            Rule::Line | Rule::Unquoted => {
                let end = memchr(b'\n', piece)?;
                self.lines += 1;
                Some(end + 1)
            }
            Rule::Quoted { delimiter } => self.feed_quoted(piece, delimiter),
        }
    }

    fn feed_quoted(&mut self, piece: &[u8], delimiter: u8) -> Option<usize> {
        let mut at = 0;
        while at < piece.len() {
            match self.state {
                State::FieldStart | State::InField => {
                    let Some(found) = memchr2(b'"', b'\n', &piece[at..]).map(|found| at + found)
                    else {
                        self.state = after_field_bytes(piece, delimiter, self.state, at);
                        return None;
                    };
                    if piece[found] == b'\n' {
                        self.lines += 1;
                        return Some(found + 1);
                    }
                    let opens = match found == at {
                        true => self.state == State::FieldStart,
                        false => piece[found - 1] == delimiter,
                    };
                    self.state = if opens {
                        State::InQuotes
                    } else {
                        State::InField
                    };
                    at = found + 1;
                }
                State::InQuotes => {
                    let found = memchr(b'"', &piece[at..]).map(|found| at + found);
                    let end = found.unwrap_or(piece.len());
                    self.lines += memchr_iter(b'\n', &piece[at..end]).count() as u64;
                    at = end + 1;
                    if found.is_some() {
                        self.state = State::AfterQuote;
                    }
                }
                State::AfterQuote => match piece[at] {
                    b'"' => {
                        self.state = State::InQuotes;
                        at += 1;
                    }
                    // The byte itself is looked at again, as one of the field.
                    _ => self.state = State::InField,
                },
            }
        }
        None
    }
}

/// The state after `piece[at..]`, which holds neither quote nor line feed.
fn after_field_bytes(piece: &[u8], delimiter: u8, state: State, at: usize) -> State {
    match piece.last() {
        Some(&last) if at < piece.len() => {
            if last == delimiter {
                State::FieldStart
            } else {
                State::InField
            }
        }
        _ => state,
    }
}
