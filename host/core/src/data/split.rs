//! Splits by fraction, and random subsets.
//!
//! Row r of n has the key `hash(derive_seed(seed, 0, 0, "split"), r)`. The rows are put in the
//! order of (key, row); the first part takes its share from the front, the next part the next
//! share, and the last part what remains. So parts never overlap, every row is in one of them,
//! and the outcome depends on n, the shares and the seed alone: on no thread, platform or file
//! order of a folder listing. Shares are rounded to the nearest row, and a part with a share has
//! at least one.
//!
//! Stratified: the same within each class, where a part's rows are shared out among the classes
//! by largest remainder, so that sizes in total are those of the plain split and no class is off
//! by more than one row.

use super::error::DataError;
use super::rng::{derive_seed, hash};
use super::rows::Rows;

/// How to split.
#[derive(Clone, Debug)]
pub struct SplitOptions {
    /// Shares of all parts but the last, each above 0, together below 1.
    pub shares: Vec<f64>,
    /// The run's seed.
    pub seed: u64,
}

/// Splits rows `0..len` into `shares.len() + 1` parts, the remainder last. `classes`, if given,
/// holds the class of each row, as from [`super::Labels::classes`].
///
/// # Errors
/// [`DataError::Split`] for shares out of range, or parts that would be empty.
pub fn split(
    len: usize,
    options: &SplitOptions,
    classes: Option<&[u32]>,
) -> Result<Vec<Rows>, DataError> {
    let sizes = sizes(len, &options.shares)?;
    let seed = derive_seed(options.seed, 0, 0, "split");
    let taken: Vec<Vec<u64>> = match classes {
        None => {
            let mut chosen = least_keys(
                (0..len as u64).map(|row| (hash(seed, row), row)),
                sizes.iter().sum(),
            )
            .into_iter();
            sizes
                .iter()
                .map(|&size| chosen.by_ref().take(size).map(|(_, row)| row).collect())
                .collect()
        }
        Some(classes) if classes.len() != len => {
            return Err(DataError::Split(format!(
                "{} classes were given for {len} rows",
                classes.len()
            )));
        }
        Some(classes) => stratified(seed, &sizes, classes),
    };
    let all = taken.iter().flatten().copied().collect();
    let mut parts: Vec<Rows> = taken.into_iter().map(Rows::only).collect();
    parts.push(Rows::except(len, all));
    Ok(parts)
}

/// Rows in each part but the last.
pub(super) fn sizes(len: usize, shares: &[f64]) -> Result<Vec<usize>, DataError> {
    if let Some(share) = shares
        .iter()
        .find(|share| !(share.is_finite() && **share > 0.0 && **share < 1.0))
    {
        return Err(DataError::Split(format!(
            "a share must lie between 0 and 1, found {share}"
        )));
    }
    let total: f64 = shares.iter().sum();
    // A sum such as 0.7 + 0.3 may round to just below 1.
    if total > 1.0 - 1e-9 {
        return Err(DataError::Split(format!(
            "shares add up to {total}; they must leave something for the rest"
        )));
    }
    let sizes: Vec<usize> = shares
        .iter()
        .map(|share| ((share * len as f64).round() as usize).max(1))
        .collect();
    if sizes.iter().sum::<usize>() >= len {
        return Err(DataError::Split(format!(
            "{len} rows are too few for {} parts",
            shares.len() + 1
        )));
    }
    Ok(sizes)
}

/// The `count` least of `keys`, ascending, in memory for twice as many.
fn least_keys(keys: impl Iterator<Item = (u64, u64)>, count: usize) -> Vec<(u64, u64)> {
    let mut kept: Vec<(u64, u64)> = Vec::new();
    let mut highest = (u64::MAX, u64::MAX);
    for key in keys {
        if key > highest {
            continue;
        }
        kept.push(key);
        if kept.len() >= 2 * count + 1024 {
            kept.select_nth_unstable(count);
            kept.truncate(count);
            highest = kept.iter().max().copied().unwrap_or(highest);
        }
    }
    kept.sort_unstable();
    kept.truncate(count);
    kept
}

/// Rows of each part, by class.
fn stratified(seed: u64, sizes: &[usize], classes: &[u32]) -> Vec<Vec<u64>> {
    let count = classes.iter().max().map_or(0, |&class| class as usize + 1);
    let mut members: Vec<Vec<(u64, u64)>> = vec![Vec::new(); count];
    for (row, &class) in classes.iter().enumerate() {
        members[class as usize].push((hash(seed, row as u64), row as u64));
    }
    for class in &mut members {
        class.sort_unstable();
    }
    let mut used = vec![0; count];
    let mut parts = Vec::with_capacity(sizes.len());
    for &size in sizes {
        let shares = largest_remainder(size, classes.len(), &members, &used);
        let mut part = Vec::with_capacity(size);
        for (class, share) in shares.into_iter().enumerate() {
            part.extend(
                members[class][used[class]..used[class] + share]
                    .iter()
                    .map(|(_, row)| *row),
            );
            used[class] += share;
        }
        parts.push(part);
    }
    parts
}

/// Shares `size` rows out in proportion to the size of each class, none beyond what is left of it.
fn largest_remainder(
    size: usize,
    total: usize,
    members: &[Vec<(u64, u64)>],
    used: &[usize],
) -> Vec<usize> {
    // Integer arithmetic: quota = size · class / total, exactly.
    let quota = |class: usize| size as u128 * members[class].len() as u128;
    let left = |class: usize| members[class].len() - used[class];
    let mut shares: Vec<usize> = (0..members.len())
        .map(|class| ((quota(class) / total.max(1) as u128) as usize).min(left(class)))
        .collect();
    let mut order: Vec<usize> = (0..members.len()).collect();
    order.sort_by_key(|&class| {
        (
            std::cmp::Reverse(quota(class) % total.max(1) as u128),
            class,
        )
    });
    let mut missing = size - shares.iter().sum::<usize>();
    // A second round is needed only where classes have run out.
    while missing > 0 {
        let before = missing;
        for &class in &order {
            if missing > 0 && shares[class] < left(class) {
                shares[class] += 1;
                missing -= 1;
            }
        }
        if missing == before {
            break;
        }
    }
    shares
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(len: usize, shares: &[f64], classes: Option<&[u32]>) -> Vec<Vec<usize>> {
        let options = SplitOptions {
            shares: shares.to_vec(),
            seed: 17,
        };
        let parts = split(len, &options, classes).expect("splits");
        parts
            .iter()
            .map(|rows| {
                (0..rows.len())
                    .filter_map(|index| rows.get(index))
                    .collect()
            })
            .collect()
    }

    #[test]
    fn parts_cover_everything_once() {
        for len in [3, 10, 101, 5000] {
            let classes: Vec<u32> = (0..len as u32).map(|row| row % 7 / 3).collect();
            for classes in [None, Some(classes.as_slice())] {
                let parts = parts(len, &[0.1, 0.2], classes);
                let mut all: Vec<usize> = parts.concat();
                all.sort_unstable();
                assert_eq!(all, (0..len).collect::<Vec<_>>());
                assert_eq!(parts[0].len(), ((len as f64 * 0.1).round() as usize).max(1));
            }
        }
    }

    #[test]
    fn the_same_rows_on_every_platform() {
        assert_eq!(parts(30, &[0.1, 0.1], None)[..2], FROZEN);
    }
    const FROZEN: [[usize; 3]; 2] = [[2, 10, 23], [5, 24, 25]];

    #[test]
    fn strata_keep_their_shares() {
        // 90 % of class 0, 9 % of class 1, 1 % of class 2.
        let classes: Vec<u32> = (0..1000)
            .map(|row| {
                if row % 100 == 0 {
                    2
                } else {
                    u32::from(row % 10 == 1)
                }
            })
            .collect();
        let parts = parts(1000, &[0.1], Some(&classes));
        let of_class = |class| {
            parts[0]
                .iter()
                .filter(|&&row| classes[row] == class)
                .count()
        };
        let all_of_class = |class| classes.iter().filter(|&&found| found == class).count();
        for class in 0..3 {
            let quota = all_of_class(class) as f64 * 0.1;
            assert!(
                (of_class(class) as f64 - quota).abs() <= 1.0,
                "class {class}"
            );
        }
        assert_eq!(parts[0].len(), 100);
    }

    #[test]
    fn splits_that_cannot_be() {
        let cases: [(usize, &[f64]); 6] = [
            (10, &[0.0]),
            (10, &[1.5]),
            (10, &[f64::NAN]),
            (10, &[0.7, 0.3]),
            (1, &[0.5]),
            (2, &[0.1, 0.1]),
        ];
        let messages: Vec<_> = cases
            .iter()
            .map(|(len, shares)| {
                let options = SplitOptions {
                    shares: shares.to_vec(),
                    seed: 0,
                };
                split(*len, &options, None)
                    .expect_err("no split")
                    .to_string()
            })
            .collect();
        insta::assert_snapshot!(messages.join("\n"));
    }
}
