//! Edit distance to one reference, near the diagonal only.
//!
//! `D[i][j]` is the cost of turning the first `i` words of a prediction into the first `j` of the
//! reference. Row `i` is computed for the `j` that lie less than [`BEAM`] from `i · r/c`, for
//! lengths `c` and `r`; the others cannot be reached. Row `i` is a function of the first `i` words
//! and of the two lengths. So where words are moved about, the rows before the first change stay.

/// How far from the diagonal cells are computed.
const BEAM: usize = 25;
/// The cost of what cannot be reached.
const UNREACHED: u32 = u32::MAX / 2;

/// What the last step to a cell was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edit {
    Keep,
    Substitute,
    /// A word of the prediction is left out.
    Delete,
    /// A word of the reference is put in.
    Insert,
}

/// The matrix of a prediction, and rows of others that begin as it does.
#[derive(Debug, Default)]
pub struct Distances {
    reference: Vec<u32>,
    /// `(c + 1) × (r + 1)` cells of the prediction.
    cells: Vec<u32>,
    /// Two rows of another prediction.
    above: Vec<u32>,
    row: Vec<u32>,
    beam: usize,
    ratio: f64,
    length: usize,
}

impl Distances {
    /// Begins with a reference, for predictions of `length` words.
    pub fn begin(&mut self, reference: &[u32], length: usize) {
        self.reference.clear();
        self.reference.extend_from_slice(reference);
        self.length = length;
        self.ratio = match length {
            0 => 1.0,
            length => reference.len() as f64 / length as f64,
        };
        // Where lengths differ so much that a row would not meet the one before, it is wider.
        self.beam = match self.ratio / 2.0 {
            half if half > BEAM as f64 => (half + BEAM as f64).ceil() as usize,
            _ => BEAM,
        };
        let width = reference.len() + 1;
        self.cells.clear();
        self.cells.resize((length + 1) * width, UNREACHED);
        for (j, cell) in self.cells[..width].iter_mut().enumerate() {
            *cell = j as u32;
        }
        self.above.resize(width, UNREACHED);
        self.row.resize(width, UNREACHED);
    }

    /// Computes the matrix of a prediction from the row behind its first `same` words on, which
    /// are those of the prediction before; the distance.
    pub fn set(&mut self, prediction: &[u32], same: usize) -> u32 {
        let width = self.reference.len() + 1;
        for i in same + 1..=self.length {
            let range = self.range(i);
            let (above, row) = self.cells.split_at_mut(i * width);
            let above = &above[(i - 1) * width..];
            fill(
                above,
                &mut row[..width],
                prediction[i - 1],
                &self.reference,
                range,
            );
        }
        self.cells[(self.length + 1) * width - 1]
    }

    /// The distance of a prediction whose first `same` words are those of the one that was set, if
    /// it is at most `limit`.
    pub fn of(&mut self, prediction: &[u32], same: usize, limit: u32) -> Option<u32> {
        let width = self.reference.len() + 1;
        self.above
            .copy_from_slice(&self.cells[same * width..(same + 1) * width]);
        for i in same + 1..=self.length {
            let range = self.range(i);
            self.row.fill(UNREACHED);
            let (above, row) = (&self.above, &mut self.row);
            let least = fill(above, row, prediction[i - 1], &self.reference, range);
            // Every way to the end leads through this row.
            if least > limit {
                return None;
            }
            std::mem::swap(&mut self.above, &mut self.row);
        }
        let distance = self.above[width - 1];
        (distance <= limit).then_some(distance)
    }

    /// The edits that turn the prediction that was set into the reference, the last one first.
    ///
    /// Of edits that cost the same it is a kept or substituted word, then a deletion, then an
    /// insertion.
    pub fn trace(&self, prediction: &[u32], edits: &mut Vec<Edit>) {
        edits.clear();
        let width = self.reference.len() + 1;
        let cell = |i: usize, j: usize| self.cells[i * width + j];
        let (mut i, mut j) = (self.length, self.reference.len());
        while i > 0 || j > 0 {
            let here = cell(i, j);
            let same = i > 0 && j > 0 && prediction[i - 1] == self.reference[j - 1];
            let edit = match () {
                () if i == 0 => Edit::Insert,
                () if j == 0 => Edit::Delete,
                () if cell(i - 1, j - 1) + u32::from(!same) == here => match same {
                    true => Edit::Keep,
                    false => Edit::Substitute,
                },
                () if cell(i - 1, j) + 1 == here => Edit::Delete,
                () => Edit::Insert,
            };
            edits.push(edit);
            i -= usize::from(edit != Edit::Insert);
            j -= usize::from(edit != Edit::Delete);
        }
    }

    /// The cells of a row that are computed.
    fn range(&self, i: usize) -> std::ops::Range<usize> {
        let diagonal = (i as f64 * self.ratio).floor() as usize;
        let end = self.reference.len() + 1;
        let last = match i == self.length {
            true => end,
            false => end.min(diagonal + self.beam),
        };
        diagonal.saturating_sub(self.beam)..last
    }
}

/// Computes a range of a row from the one above; the least of it.
fn fill(
    above: &[u32],
    row: &mut [u32],
    word: u32,
    reference: &[u32],
    range: std::ops::Range<usize>,
) -> u32 {
    let mut start = range.start;
    let mut left = UNREACHED;
    let mut least = UNREACHED;
    if start == 0 {
        left = above[0] + 1;
        row[0] = left;
        least = left;
        start = 1;
    }
    let from = start - 1;
    let cells = row[start..range.end].iter_mut();
    let before = above[from..range.end].windows(2);
    for ((cell, before), referred) in cells.zip(before).zip(&reference[from..]) {
        let kept = before[0] + u32::from(word != *referred);
        left = kept.min(before[1] + 1).min(left + 1).min(UNREACHED);
        *cell = left;
        least = least.min(left);
    }
    least
}
