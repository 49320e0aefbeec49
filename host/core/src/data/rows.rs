//! Sets of row numbers: what a split or a limit leaves of a dataset.

use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::hex;

/// A set of row numbers in ascending order, as compact as its origin allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rows {
    /// Rows `0..len`.
    All(usize),
    /// These rows, ascending.
    Only(Arc<[u64]>),
    /// Rows `0..total` but these, ascending.
    Except {
        /// Number of rows before any was left out.
        total: usize,
        /// The rows left out.
        left_out: Arc<[u64]>,
    },
}

impl Rows {
    /// How many rows are in the set.
    pub fn len(&self) -> usize {
        match self {
            Self::All(len) => *len,
            Self::Only(rows) => rows.len(),
            Self::Except { total, left_out } => total - left_out.len(),
        }
    }

    /// Whether the set is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Row `index` of the set, in ascending order; `None` beyond its end.
    pub fn get(&self, index: usize) -> Option<usize> {
        match self {
            Self::All(len) => (index < *len).then_some(index),
            Self::Only(rows) => rows.get(index).map(|row| *row as usize),
            Self::Except { total, left_out } => {
                if index >= total - left_out.len() {
                    return None;
                }
                // Row r is preceded by r − (rows left out below r) rows of the set; the number
                // left out is where `left_out[k] − k` first exceeds the index.
                let (mut low, mut high) = (0, left_out.len());
                while low < high {
                    let middle = usize::midpoint(low, high);
                    match left_out[middle] as usize - middle <= index {
                        true => low = middle + 1,
                        false => high = middle,
                    }
                }
                Some(index + low)
            }
        }
    }

    /// Rows `0..total` without `left_out`, in any order, each once.
    pub(crate) fn except(total: usize, mut left_out: Vec<u64>) -> Self {
        left_out.sort_unstable();
        match left_out.is_empty() {
            true => Self::All(total),
            false => Self::Except {
                total,
                left_out: left_out.into(),
            },
        }
    }

    /// `rows`, in any order, each once.
    pub(crate) fn only(mut rows: Vec<u64>) -> Self {
        rows.sort_unstable();
        Self::Only(rows.into())
    }

    /// The members of this set at the places `inner`, as a set of its own.
    pub(crate) fn select(&self, inner: &Rows) -> Self {
        match (self, inner) {
            (Self::All(_), inner) => inner.clone(),
            (_, Self::All(len)) if *len == self.len() => self.clone(),
            _ => Self::Only(
                (0..inner.len())
                    .filter_map(|index| self.get(inner.get(index)?))
                    .map(|row| row as u64)
                    .collect(),
            ),
        }
    }

    /// A digest that differs for sets that differ, for cache keys.
    pub(crate) fn fingerprint(&self) -> String {
        let mut digest = Sha256::new();
        let (kind, total, rows): (&str, usize, &[u64]) = match self {
            Self::All(len) => ("all", *len, &[]),
            Self::Only(rows) => ("only", rows.len(), rows),
            Self::Except { total, left_out } => ("except", *total, left_out),
        };
        digest.update(kind);
        digest.update((total as u64).to_le_bytes());
        for row in rows {
            digest.update(row.to_le_bytes());
        }
        hex(&digest.finalize())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_agree_with_plain_lists() {
        for total in [0, 1, 5, 40] {
            for step in [1, 2, 3, 7] {
                let out: Vec<u64> = (0..total as u64)
                    .filter(|row| row % step == 1 || row % 11 == 0)
                    .collect();
                let kept: Vec<usize> = (0..total)
                    .filter(|row| !out.contains(&(*row as u64)))
                    .collect();
                let rows = Rows::except(total, out);
                let listed: Vec<usize> = (0..rows.len())
                    .filter_map(|index| rows.get(index))
                    .collect();
                assert_eq!(listed, kept, "{total} {step}");
                assert_eq!(rows.get(kept.len()), None);
            }
        }
    }

    #[test]
    fn a_selection_of_a_selection() {
        let outer = Rows::except(10, vec![0, 4]); // 1 2 3 5 6 7 8 9
        let inner = Rows::only(vec![7, 0, 3]);
        assert_eq!(outer.select(&inner), Rows::only(vec![1, 5, 9]));
        assert_eq!(Rows::All(10).select(&outer), outer);
        assert_eq!(outer.select(&Rows::All(8)), outer);
    }
}
