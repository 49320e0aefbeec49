//! Reads rows one after another through a buffer of bounded size.

use super::Rows;
use super::boundary::Scan;
use crate::data::error::{DataError, RowProblem};

/// First read after a jump, in bytes; doubled with each read on, up to [`MOST`].
const LEAST: usize = 8 << 10;
const MOST: usize = 1 << 20;

/// A row as it lies in the file.
pub(crate) struct RawRow<'a> {
    bytes: &'a [u8],
    /// Its size, which is more than that of `bytes` for a row beyond the limit.
    len: u64,
    /// The file ends within quotes.
    open: bool,
    /// 1-based line of its first byte.
    pub(crate) line: u64,
    /// Offset of its first byte.
    pub(crate) offset: u64,
}

impl<'a> RawRow<'a> {
    /// The row without its line end.
    pub(crate) fn bytes(&self, rows: &Rows) -> Result<&'a [u8], RowProblem> {
        if self.len > rows.longest {
            return Err(RowProblem::TooLong {
                bytes: self.len,
                limit: rows.longest,
            });
        }
        if self.open {
            return Err(RowProblem::OpenQuote);
        }
        Ok(rows.rule.content(self.bytes))
    }
}

impl Rows {
    /// The offset after a UTF-8 byte order mark, if there is one.
    pub(crate) fn after_mark(&self) -> Result<u64, DataError> {
        const MARK: &[u8] = b"\xEF\xBB\xBF";
        if self.file.len() < MARK.len() as u64 {
            return Ok(0);
        }
        let mut start = [0; MARK.len()];
        self.file.read_exact_at(&mut start, 0)?;
        Ok(if start == MARK { MARK.len() as u64 } else { 0 })
    }
}

/// A cursor over the rows of a file.
pub(crate) struct RowReader<'a> {
    rows: &'a Rows,
    buffer: Vec<u8>,
    /// File offset of `buffer[0]`.
    base: u64,
    /// Size of the next read.
    step: usize,
    offset: u64,
    line: u64,
}

impl<'a> RowReader<'a> {
    /// A reader that stands at `offset`, the start of line `line`.
    pub(crate) fn new(rows: &'a Rows, offset: u64, line: u64) -> Self {
        Self {
            rows,
            buffer: Vec::new(),
            base: 0,
            step: LEAST,
            offset,
            line,
        }
    }

    /// Offset of the next byte to be looked at.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// 1-based line of that byte.
    pub(crate) fn line(&self) -> u64 {
        self.line
    }

    /// The file that is read.
    pub(crate) fn rows(&self) -> &'a Rows {
        self.rows
    }

    /// Jumps to `offset`, the start of line `line`. What is buffered is kept.
    pub(crate) fn seek(&mut self, offset: u64, line: u64) {
        if offset < self.base || offset > self.base + self.buffer.len() as u64 {
            self.buffer.clear();
            self.step = LEAST;
        }
        (self.offset, self.line) = (offset, line);
    }

    /// The next row that starts before offset `limit`; lines that are no rows are passed over.
    pub(crate) fn next_row(&mut self, limit: u64) -> Result<Option<RawRow<'_>>, DataError> {
        loop {
            let (start, line) = (self.offset, self.line);
            if start >= limit || start >= self.rows.file.len() {
                return Ok(None);
            }
            let mut scan = Scan::new(self.rows.rule);
            let len = self.find_end(&mut scan)?;
            self.offset = start + len;
            self.line += scan.lines;
            let is_long = len > self.rows.longest;
            if !is_long && self.rows.rule.is_blank(self.slice(start, self.offset)) {
                continue;
            }
            let open = scan.is_open() && self.offset == self.rows.file.len();
            let bytes = if is_long {
                &[]
            } else {
                self.slice(start, start + len)
            };
            return Ok(Some(RawRow {
                bytes,
                len,
                open,
                line,
                offset: start,
            }));
        }
    }

    /// Moves on to the start of a line at or after `offset`. For rules by line only.
    pub(crate) fn align(&mut self, offset: u64) -> Result<(), DataError> {
        if offset > self.offset {
            // One byte earlier, so that a line that starts at `offset` itself is found.
            self.seek(offset - 1, 1);
            let len = self.find_end(&mut Scan::new(self.rows.rule))?;
            self.offset += len;
            self.line = 1;
        }
        Ok(())
    }

    /// Size of the row at `self.offset`. Rows within the limit are in the buffer afterwards.
    fn find_end(&mut self, scan: &mut Scan) -> Result<u64, DataError> {
        let (start, end) = (self.offset, self.rows.file.len());
        let mut scanned = start;
        loop {
            if scanned >= self.base + self.buffer.len() as u64 || scanned < self.base {
                if scanned >= end {
                    return Ok(end - start);
                }
                // A row beyond the limit is passed over without being kept.
                let keep = if scanned - start > self.rows.longest {
                    scanned
                } else {
                    start
                };
                self.fill(keep)?;
            }
            let piece = self.slice(scanned, self.base + self.buffer.len() as u64);
            match scan.feed(piece) {
                Some(taken) => return Ok(scanned + taken as u64 - start),
                None => scanned += piece.len() as u64,
            }
        }
    }

    /// Reads on, dropping what lies before offset `keep`.
    fn fill(&mut self, keep: u64) -> Result<(), DataError> {
        let buffered = self.base..=self.base + self.buffer.len() as u64;
        if buffered.contains(&keep) {
            self.buffer.drain(..(keep - self.base) as usize);
        } else {
            self.buffer.clear();
        }
        self.base = keep;
        let kept = self.buffer.len();
        let from = keep + kept as u64;
        // A long row grows by doubling, so it is copied no more than twice over.
        let wanted = self.step.max(kept) as u64;
        let read = wanted.min(self.rows.file.len().saturating_sub(from)) as usize;
        self.buffer.resize(kept + read, 0);
        self.rows
            .file
            .read_exact_at(&mut self.buffer[kept..], from)?;
        self.step = (self.step * 2).min(MOST);
        Ok(())
    }

    fn slice(&self, from: u64, to: u64) -> &[u8] {
        &self.buffer[(from - self.base) as usize..(to - self.base) as usize]
    }
}
