//! Tables that compare two sequences, 64 columns at a time: longest common subsequences and edit
//! distances. Items are small integers.
//!
//! Row `i` of `L[i][j]`, the length of a longest common subsequence, is a bit vector `V` with a zero
//! where `L[i][j+1] = L[i][j] + 1`. With `M` the columns that hold the row's item, the next row is
//! `(V + (V & M)) | (V & !M)` (Hyyrö 2004, "Bit-parallel LCS-length computation revisited"). Of edit
//! distances, two vectors hold where the distance grows and falls by a column (Myers 1999; Hyyrö
//! 2003, "A bit-vector algorithm for computing Levenshtein and Damerau edit distances").

/// No column, or no mask.
const NONE: u32 = u32::MAX;
/// Words that are kept at most: of masks; of rows for reading a subsequence out. Beyond, masks and
/// stretches of rows are made when they are needed.
const KEPT: usize = 1 << 20;

/// The sequence across the table, and room for rows.
#[derive(Default)]
pub struct Columns {
    items: Vec<u32>,
    masks: Masks,
    vector: Vec<u64>,
    falls: Vec<u64>,
    rows: Vec<u64>,
}

impl Columns {
    /// Sets the sequence across.
    pub fn set(&mut self, items: &[u32]) {
        self.masks.set(&self.items, items, KEPT);
        self.items.clear();
        self.items.extend_from_slice(items);
    }

    /// The length of the longest common subsequence with `down`.
    pub fn common(&mut self, down: &[u32]) -> usize {
        self.start();
        down.iter().for_each(|item| self.advance(*item));
        zeros(&self.vector, self.items.len())
    }

    /// Calls `found` with the places in `down` of one longest common subsequence, from its end: the
    /// one that goes back by a column only where the table asks for it, as rouge-score does.
    pub fn subsequence(&mut self, down: &[u32], found: impl FnMut(usize)) {
        self.read_out(down, KEPT, found);
    }

    fn read_out(&mut self, down: &[u32], kept: usize, mut found: impl FnMut(usize)) {
        let words = self.masks.words;
        let stretch = match down.len() * words <= kept {
            true => down.len().max(1),
            false => down.len().isqrt() + 1,
        };
        let mut starts = Vec::new();
        self.start();
        for (index, rows) in down.chunks(stretch).enumerate() {
            starts.extend_from_slice(&self.vector);
            if (index + 1) * stretch < down.len() {
                rows.iter().for_each(|item| self.advance(*item));
            }
        }
        // What the table up to here still holds of the subsequence; unknown before the last row.
        let mut left = None;
        let mut column = self.items.len();
        for (index, rows) in down.chunks(stretch).enumerate().rev() {
            self.vector
                .copy_from_slice(&starts[index * words..(index + 1) * words]);
            self.rows.clear();
            for item in rows {
                self.rows.extend_from_slice(&self.vector);
                self.advance(*item);
            }
            let mut remaining = left.unwrap_or_else(|| zeros(&self.vector, column));
            let mut row = rows.len();
            while row > 0 && remaining > 0 {
                let above = &self.rows[(row - 1) * words..row * words];
                if rows[row - 1] == self.items[column - 1] {
                    (row, column, remaining) = (row - 1, column - 1, remaining - 1);
                    found(index * stretch + row);
                } else if zeros(above, column) < remaining {
                    column -= 1;
                } else {
                    row -= 1;
                }
            }
            if remaining == 0 {
                return;
            }
            left = Some(remaining);
        }
    }

    /// Before the first row nothing is common, and each column adds an edit.
    fn start(&mut self) {
        self.vector.clear();
        self.vector.resize(self.masks.words, u64::MAX);
    }

    /// One row of common subsequences down.
    fn advance(&mut self, item: u32) {
        let Some(mask) = self.masks.of(item) else {
            return;
        };
        let mut carry = false;
        for (vector, mask) in self.vector.iter_mut().zip(mask) {
            let (sum, over) = vector.overflowing_add(*vector & *mask);
            let (sum, again) = sum.overflowing_add(u64::from(carry));
            carry = over || again;
            *vector = sum | (*vector & !*mask);
        }
    }

    /// The least number of items to insert, delete or replace between the sequences (Levenshtein).
    pub fn distance(&mut self, down: &[u32]) -> usize {
        let Some(last) = self.items.len().checked_sub(1) else {
            return down.len();
        };
        self.start();
        self.falls.clear();
        self.falls.resize(self.masks.words, 0);
        let mut distance = self.items.len();
        let nowhere = vec![0; self.masks.words];
        for item in down {
            let mask = self.masks.of(*item).unwrap_or(&nowhere);
            let (up, down) = edit_row(mask, &mut self.vector, &mut self.falls);
            distance += (up >> (last % 64) & 1) as usize;
            distance -= (down >> (last % 64) & 1) as usize;
        }
        distance
    }
}

/// One row of edit distances down; where the distances grow and fall in the columns of the last
/// word.
fn edit_row(mask: &[u64], rises: &mut [u64], falls: &mut [u64]) -> (u64, u64) {
    let (mut up, mut down) = (0, 0);
    let (mut up_in, mut down_in) = (1, 0);
    for ((equal, rise), fall) in mask.iter().zip(rises).zip(falls) {
        let x = equal | down_in;
        let diagonal = ((x & *rise).wrapping_add(*rise) ^ *rise) | x | *fall;
        up = *fall | !(diagonal | *rise);
        down = *rise & diagonal;
        let (up_shifted, down_shifted) = (up << 1 | up_in, down << 1 | down_in);
        (up_in, down_in) = (up >> 63, down >> 63);
        *rise = down_shifted | !(diagonal | up_shifted);
        *fall = up_shifted & diagonal;
    }
    (up, down)
}

/// Zeros among the first `bits`.
fn zeros(vector: &[u64], bits: usize) -> usize {
    let whole = vector[..bits / 64].iter().map(|word| word.count_zeros());
    let whole: u32 = whole.sum();
    let rest = match bits % 64 {
        0 => 0,
        rest => (!vector[bits / 64] & ((1 << rest) - 1)).count_ones(),
    };
    (whole + rest) as usize
}

/// Which columns hold an item.
#[derive(Default)]
struct Masks {
    /// Words of a row.
    words: usize,
    /// Item → the last column that holds it, and the number of its mask.
    last: Vec<[u32; 2]>,
    /// Column → the one before with the same item.
    before: Vec<u32>,
    /// A row for each item that occurs; empty where there would be too many.
    all: Vec<u64>,
    /// That of the present item, made when it is needed.
    one: Vec<u64>,
}

impl Masks {
    fn set(&mut self, old: &[u32], items: &[u32], kept: usize) {
        for item in old {
            self.last[*item as usize] = [NONE; 2];
        }
        self.words = items.len().div_ceil(64);
        self.before.clear();
        self.all.clear();
        let mut occurring = 0;
        for (column, item) in (0..).zip(items) {
            let item = *item as usize;
            if item >= self.last.len() {
                self.last.resize(item + 1, [NONE; 2]);
            }
            let [last, number] = &mut self.last[item];
            self.before.push(*last);
            if *last == NONE {
                *number = occurring;
                occurring += 1;
            }
            *last = column;
        }
        let count = occurring as usize * self.words;
        if count > kept {
            return;
        }
        self.all.resize(count, 0);
        for (column, item) in items.iter().enumerate() {
            let [_, number] = self.last[*item as usize];
            self.all[number as usize * self.words + column / 64] |= 1 << (column % 64);
        }
    }

    /// The columns that hold `item`; `None` if there is none.
    fn of(&mut self, item: u32) -> Option<&[u64]> {
        let [last, number] = *self.last.get(item as usize)?;
        if last == NONE {
            return None;
        }
        if !self.all.is_empty() {
            let start = number as usize * self.words;
            return Some(&self.all[start..start + self.words]);
        }
        self.one.clear();
        self.one.resize(self.words, 0);
        let mut column = last;
        while column != NONE {
            self.one[column as usize / 64] |= 1 << (column % 64);
            column = self.before[column as usize];
        }
        Some(&self.one)
    }
}

#[cfg(test)]
mod tests {
    use tenon_testkit::columns::Draws;

    use super::*;

    /// The textbook's tables, and rouge-score's way back through that of subsequences: length,
    /// places, distance.
    fn textbook(down: &[u32], across: &[u32]) -> (usize, Vec<usize>, usize) {
        let mut common = vec![vec![0; across.len() + 1]; down.len() + 1];
        let mut edits: Vec<Vec<usize>> = vec![(0..=across.len()).collect(); down.len() + 1];
        for i in 1..=down.len() {
            edits[i][0] = i;
            for j in 1..=across.len() {
                let equal = down[i - 1] == across[j - 1];
                common[i][j] = match equal {
                    true => common[i - 1][j - 1] + 1,
                    false => common[i - 1][j].max(common[i][j - 1]),
                };
                edits[i][j] = (edits[i - 1][j - 1] + usize::from(!equal))
                    .min(edits[i - 1][j] + 1)
                    .min(edits[i][j - 1] + 1);
            }
        }
        let (mut i, mut j, mut places) = (down.len(), across.len(), Vec::new());
        while i > 0 && j > 0 {
            if down[i - 1] == across[j - 1] {
                places.push(i - 1);
                (i, j) = (i - 1, j - 1);
            } else if common[i][j - 1] > common[i - 1][j] {
                j -= 1;
            } else {
                i -= 1;
            }
        }
        let end = (down.len(), across.len());
        (common[end.0][end.1], places, edits[end.0][end.1])
    }

    fn draw(draws: &mut Draws, length: usize, items: usize) -> Vec<u32> {
        (0..length).map(|_| draws.below(items) as u32).collect()
    }

    #[track_caller]
    fn check(columns: &mut Columns, down: &[u32], across: &[u32], kept: usize) {
        let (length, places, distance) = textbook(down, across);
        let what = format!("{} by {}, {kept} words kept", down.len(), across.len());
        assert_eq!(columns.common(down), length, "{what}");
        assert_eq!(columns.distance(down), distance, "{what}");
        let mut found = Vec::new();
        columns.read_out(down, kept, |place| found.push(place));
        assert_eq!(found, places, "{what}");
    }

    #[test]
    fn equal_to_the_textbook_at_every_length() {
        let mut draws = Draws(3);
        let mut columns = Columns::default();
        let lengths = [0, 1, 2, 7, 63, 64, 65, 127, 128, 129, 300];
        for (down, across) in lengths.iter().flat_map(|d| lengths.map(|a| (*d, a))) {
            for items in [1, 3, 40] {
                let down = draw(&mut draws, down, items);
                let across = draw(&mut draws, across, items);
                columns.set(&across);
                check(&mut columns, &down, &across, KEPT);
            }
        }
    }

    /// Where masks and rows would be too many, they are made anew.
    #[test]
    fn long_sequences_take_little_memory() {
        let mut draws = Draws(5);
        let down = draw(&mut draws, 450, 50);
        let across = draw(&mut draws, 500, 50);
        let mut columns = Columns::default();
        columns.set(&across);
        let old = columns.items.clone();
        columns.masks.set(&old, &across, 100);
        assert!(columns.masks.all.is_empty());
        check(&mut columns, &down, &across, 100);
    }
}
