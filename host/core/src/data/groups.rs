//! Splits that keep rows together which belong together: all questions about one article are held out, or none.
//!
//! A group has the key `derive_seed(seed, 0, 0, "split:" + value)`, where the value is the text of its column. The
//! groups are put in the order of their keys; the first part takes whole groups from the front while that brings it
//! nearer to its share of the rows, the next part the groups after them, and the last part what remains. So parts
//! share no group, and the outcome depends on the values, the shares and the seed, not on the order of rows.

use std::collections::BTreeMap;

use super::error::DataError;
use super::rng::{derive_seed, hash};
use super::rows::Rows;
use super::split::{SplitOptions, sizes};
use super::value::Value;
use super::view::View;

/// Splits the rows of `view` into `shares.len() + 1` parts, the remainder last, so that no two parts have rows of the
/// same value in `column`. A row without a value is a group of its own.
///
/// # Errors
/// A bad row, or [`DataError::Split`] for shares out of range and parts that would be empty.
pub fn split_groups(
    view: &View,
    column: &str,
    options: &SplitOptions,
) -> Result<Vec<Rows>, DataError> {
    let seed = options.seed;
    let key = |row: usize, cell: Option<&Value>| match cell.and_then(Value::to_label) {
        Some(value) => derive_seed(seed, 0, 0, &format!("split:{value}")),
        None => hash(seed, row as u64),
    };
    let mut groups: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    view.scan(
        |first, records| -> Vec<(u64, u64)> {
            let numbered = (first..).zip(records);
            numbered
                .map(|(row, record)| (key(row, record.get(column)), row as u64))
                .collect()
        },
        |chunk| {
            for (key, row) in chunk {
                groups.entry(key).or_default().push(row);
            }
            Ok(())
        },
    )?;
    parts(
        view.len(),
        groups.into_values().collect(),
        &options.shares,
        column,
    )
}

/// Parts of whole groups, which come in the order in which they are taken.
fn parts(
    len: usize,
    groups: Vec<Vec<u64>>,
    shares: &[f64],
    column: &str,
) -> Result<Vec<Rows>, DataError> {
    let sizes = sizes(len, shares)?;
    if groups.len() <= sizes.len() {
        return Err(DataError::Split(format!(
            "column `{column}` has {} different values, too few for {} parts",
            groups.len(),
            sizes.len() + 1
        )));
    }
    let mut left = groups.len();
    let mut groups = groups.into_iter().peekable();
    let mut taken = Vec::with_capacity(sizes.len() + 1);
    for (number, size) in sizes.iter().enumerate() {
        let after = sizes.len() - number;
        let mut part: Vec<u64> = Vec::new();
        while let Some(group) = groups.peek() {
            let nearer = (part.len() + group.len()).abs_diff(*size) < part.len().abs_diff(*size);
            // every part has a group, and those after it as well
            if left <= after || !(part.is_empty() || nearer) {
                break;
            }
            part.extend(groups.next().unwrap_or_default());
            left -= 1;
        }
        taken.push(part);
    }
    taken.push(groups.flatten().collect());
    let ascending = |mut rows: Vec<u64>| {
        rows.sort_unstable();
        Rows::only(rows)
    };
    Ok(taken.into_iter().map(ascending).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(lengths: &[usize], shares: &[f64]) -> Result<Vec<Vec<usize>>, DataError> {
        let mut row = 0;
        let groups = lengths.iter().map(|length| {
            row += *length as u64;
            (row - *length as u64..row).collect()
        });
        let parts = parts(lengths.iter().sum(), groups.collect(), shares, "title")?;
        let rows = |part: &Rows| (0..part.len()).filter_map(|at| part.get(at)).collect();
        Ok(parts.iter().map(rows).collect())
    }

    #[test]
    fn parts_have_whole_groups_near_their_shares() {
        let cases: [(&[usize], &[f64], &[usize]); 6] = [
            (&[3, 3, 3, 3], &[0.25], &[3, 9]),
            (&[2, 2, 2, 2, 2], &[0.3], &[2, 8]),
            (&[2, 3, 5], &[0.4], &[5, 5]),
            (&[9, 1], &[0.1], &[9, 1]),
            (&[1, 1, 1], &[0.4, 0.4], &[1, 1, 1]),
            (&[1, 1, 1, 9], &[0.7, 0.1], &[2, 1, 9]),
        ];
        for (lengths, shares, expected) in cases {
            let parts = split(lengths, shares).expect("splits");
            let sizes: Vec<usize> = parts.iter().map(Vec::len).collect();
            assert_eq!(sizes, expected, "{lengths:?} {shares:?}");
            let all: Vec<usize> = parts.concat();
            assert_eq!(all, (0..all.len()).collect::<Vec<_>>());
        }
    }

    #[test]
    fn too_few_groups() {
        let error = split(&[5, 5], &[0.1, 0.1]).expect_err("three parts of two groups");
        let error = error.to_string();
        assert!(error.contains("`title` has 2 different values"), "{error}");
    }
}
