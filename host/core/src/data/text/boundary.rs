//! Where rows end: at a line feed, in quoted csv at a line feed outside quotes, in running text
//! where a document ends or is long enough to be cut.
//!
//! The quoted rule is the csv crate's: a quote opens a field only at the field's very start, two
//! quotes inside stand for one, and after the closing quote the field goes on unquoted. A lone
//! carriage return is content.

use memchr::{memchr, memchr_iter, memchr2};

use crate::data::format::{Documents, Format};

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
    /// A file is one document, whose rows are parts of a bounded size. No byte is left out.
    Part,
    /// A blank line, which belongs to the row before it; white space only is no row.
    Paragraph,
}

/// A part of a document ends, from this size on, at a line feed between two characters that are no
/// white space: there tokenizers cut as well, so that the tokens are those of the whole.
const PART: u64 = 16 << 10;
/// From this size on a part ends at any line feed.
const PART_AT_LINE: u64 = 4 * PART;
/// From this size on a part ends before any space.
const PART_AT_SPACE: u64 = 16 * PART;

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
            Format::Text {
                documents: Documents::File,
                ..
            } => Self::Part,
            Format::Text {
                documents: Documents::Paragraph,
                ..
            } => Self::Paragraph,
            Format::Jsonl { .. } | Format::Lines { .. } | Format::Squad | Format::Parquet => {
                Self::Line
            }
        }
    }

    /// Whether every line feed is the end of a row, so that a file can be scanned from any of them.
    pub(crate) fn is_by_line(self) -> bool {
        matches!(self, Self::Line | Self::Unquoted)
    }

    /// Whether the rows of a file are one document, each but the last going on in the next.
    pub(crate) fn is_part(self) -> bool {
        self == Self::Part
    }

    /// A row without what ends it.
    pub(crate) fn content(self, row: &[u8]) -> &[u8] {
        match self {
            Self::Part => row,
            Self::Paragraph => row.trim_ascii_end(),
            Self::Line | Self::Unquoted | Self::Quoted { .. } => {
                let row = row.strip_suffix(b"\n").unwrap_or(row);
                row.strip_suffix(b"\r").unwrap_or(row)
            }
        }
    }

    /// Whether a line, with its end, is no row.
    pub(crate) fn is_blank(self, line: &[u8]) -> bool {
        match self {
            Self::Line | Self::Paragraph => line.iter().all(u8::is_ascii_whitespace),
            Self::Part => false,
            Self::Unquoted | Self::Quoted { .. } => matches!(line, b"" | b"\n" | b"\r\n" | b"\r"),
        }
    }
}

/// Looks for the end of one row in pieces of a file.
#[derive(Debug)]
pub(crate) struct Scan {
    rule: Rule,
    state: State,
    /// Bytes fed so far, and the last two of them; of running text.
    fed: u64,
    last: [u8; 2],
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
            fed: 0,
            last: [b'\n'; 2],
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
            Rule::Part => {
                let end = self.part_end(piece);
                let taken = &piece[..end.unwrap_or(piece.len())];
                self.lines += memchr_iter(b'\n', taken).count() as u64;
                end
            }
            Rule::Paragraph => self.paragraph_end(piece),
        }
    }

    /// The place in `piece` before which a part of a document ends.
    fn part_end(&mut self, piece: &[u8]) -> Option<usize> {
        // Nothing ends before the least size; only the last two bytes before it matter.
        let skip = usize::try_from(PART.saturating_sub(self.fed)).unwrap_or(usize::MAX);
        let skip = skip.saturating_sub(2).min(piece.len());
        for (at, &byte) in piece.iter().enumerate().skip(skip) {
            let size = self.fed + at as u64;
            let [before, last] = self.last;
            let is_break = last == b'\n'
                && (size >= PART_AT_LINE
                    || !before.is_ascii_whitespace() && !byte.is_ascii_whitespace());
            if size >= PART && is_break || size >= PART_AT_SPACE && byte == b' ' {
                return Some(at);
            }
            self.last = [last, byte];
        }
        self.fed += piece.len() as u64;
        None
    }

    /// The place in `piece` after the first blank line that follows text, or after a blank line at
    /// the very start.
    fn paragraph_end(&mut self, piece: &[u8]) -> Option<usize> {
        for (at, &byte) in piece.iter().enumerate() {
            if byte == b'\n' {
                self.lines += 1;
                if self.state == State::FieldStart {
                    return Some(at + 1);
                }
                self.state = State::FieldStart;
            } else if !byte.is_ascii_whitespace() {
                self.state = State::InField;
            }
        }
        None
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
