//! Where rows start: one point in eight rows, one byte of memory a row.
//!
//! Between two points the reader walks, which costs less than parsing one row. A file is cut
//! into segments, which are scanned in parallel where a line end is a row end; quoted csv and
//! running text can only be read from their start.

use super::Rows;
use super::reader::RowReader;
use crate::data::error::DataError;
use crate::data::ring::in_order;

/// Rows between two points.
pub(crate) const STRIDE: u64 = 8;
/// Bytes of a segment. Offsets within one are kept in 32 bits.
const SEGMENT: u64 = 2 << 20;

/// The places of all rows of a file.
pub(crate) struct RowIndex {
    segments: Vec<Segment>,
    rows: u64,
}

/// A stretch of a file, from the start of a row.
struct Segment {
    first_row: u64,
    offset: u64,
    line: u64,
    rows: u64,
    lines: u64,
    /// Offset and line of every eighth row, relative to the segment's.
    points: Vec<(u32, u32)>,
}

/// A row whose place is known.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Point {
    pub(crate) row: u64,
    pub(crate) offset: u64,
    pub(crate) line: u64,
}

impl RowIndex {
    /// Scans the file from `start`, the beginning of line `line`.
    pub(crate) fn build(
        rows: &Rows,
        start: u64,
        line: u64,
        threads: usize,
    ) -> Result<Self, DataError> {
        let mut index = Self {
            segments: Vec::new(),
            rows: 0,
        };
        let mut line = line;
        let mut add = |mut segment: Segment| {
            segment.first_row = index.rows;
            segment.line = line;
            index.rows += segment.rows;
            line += segment.lines;
            if segment.rows > 0 {
                segment.points.shrink_to_fit();
                index.segments.push(segment);
            }
        };
        let len = rows.file.len().saturating_sub(start);
        if !rows.rule.is_by_line() {
            let mut reader = RowReader::new(rows, start, 1);
            while reader.offset() < rows.file.len() {
                let end = reader.offset() + SEGMENT;
                add(Segment::scan(&mut reader, end)?);
            }
        } else {
            let scan = |number: usize| {
                let from = start + number as u64 * SEGMENT;
                let mut reader = RowReader::new(rows, start, 1);
                reader.align(from)?;
                Segment::scan(&mut reader, from + SEGMENT)
            };
            let count = usize::try_from(len.div_ceil(SEGMENT)).unwrap_or(usize::MAX);
            in_order(count, threads, scan, |segment| {
                add(segment?);
                Ok::<_, DataError>(())
            })?;
        }
        Ok(index)
    }

    /// Number of rows.
    pub(crate) fn len(&self) -> u64 {
        self.rows
    }

    /// The last known place at or before `row`, which must be below `len`.
    pub(crate) fn point(&self, row: u64) -> Point {
        let number = self
            .segments
            .partition_point(|segment| segment.first_row <= row)
            - 1;
        let segment = &self.segments[number];
        let point = (row - segment.first_row) / STRIDE;
        let (offset, line) = segment.points[point as usize];
        Point {
            row: segment.first_row + point * STRIDE,
            offset: segment.offset + u64::from(offset),
            line: segment.line + u64::from(line),
        }
    }
}

impl Segment {
    /// Scans rows that start before `end`.
    fn scan(reader: &mut RowReader<'_>, end: u64) -> Result<Self, DataError> {
        let (offset, line) = (reader.offset(), reader.line());
        let mut segment = Self {
            first_row: 0,
            offset,
            line: 0,
            rows: 0,
            lines: 0,
            points: Vec::new(),
        };
        while let Some(row) = reader.next_row(end)? {
            if segment.rows.is_multiple_of(STRIDE) {
                // Rows start before `end`, so both differences are below 2 Mi.
                segment
                    .points
                    .push(((row.offset - offset) as u32, (row.line - line) as u32));
            }
            segment.rows += 1;
        }
        segment.lines = reader.line() - line;
        Ok(segment)
    }
}
