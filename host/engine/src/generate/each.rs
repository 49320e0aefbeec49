//! Work on rows of scores side by side.

use std::sync::OnceLock;

use tenon_nn::bridge::parallel_for;

/// What `work` makes of each of `count` rows, in their order. On libtorch's threads: those of another pool would
/// find the processors taken by them while they wait for the model's next product.
pub fn each<T: Send + Sync>(count: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let made: Vec<OnceLock<T>> = (0..count).map(|_| OnceLock::new()).collect();
    parallel_for(count, 1, |begin, end| {
        for (row, slot) in (begin..end).zip(&made[begin..end]) {
            slot.get_or_init(|| work(row));
        }
    });
    made.into_iter().filter_map(OnceLock::into_inner).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_the_order_of_rows() {
        let made = each(100, |row| row * row);
        assert_eq!(made, (0..100).map(|row| row * row).collect::<Vec<_>>());
        assert!(each(0, |row| row).is_empty());
    }
}
