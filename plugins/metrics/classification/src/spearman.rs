//! Spearman's ρ: the correlation of ranks, so of any monotone relation.
//!
//! Pearson's r of the ranks, where tied numbers share the mean of their ranks. NaN of fewer than
//! two pairs, when a side is constant, or when a number is NaN.

use tenon_plugin_api::metric::prelude::*;

/// Correlation of the ranks of predicted and reference numbers.
#[derive(Debug, Default)]
pub struct Spearman {
    predictions: Vec<f64>,
    references: Vec<f64>,
}

impl Metric for Spearman {
    const ID: &'static str = "spearman";
    const ABOUT: &'static str = "Rank correlation of predicted with reference numbers";
    type Options = ();
    type Input = Number;

    fn new((): ()) -> Result<Self> {
        Ok(Self::default())
    }

    fn update(&mut self, batch: Pairs<'_, Number>) -> Result<()> {
        for (prediction, reference) in batch {
            self.predictions.push(prediction);
            self.references.push(reference);
        }
        Ok(())
    }

    fn merge(&mut self, other: Self) {
        self.predictions.extend(other.predictions);
        self.references.extend(other.references);
    }

    fn compute(&self) -> Scores {
        let rho = rank_correlation(&self.predictions, &self.references);
        Scores::one("spearman", rho)
            .higher_is_better()
            .unit("correlation")
    }
}

fn rank_correlation(x: &[f64], y: &[f64]) -> f64 {
    if x.iter().chain(y).any(|value| value.is_nan()) {
        return f64::NAN;
    }
    let (x, y) = (centred_ranks(x), centred_ranks(y));
    let sum = |a: &[i64], b: &[i64]| {
        a.iter()
            .zip(b)
            .map(|(a, b)| i128::from(*a) * i128::from(*b))
            .sum::<i128>()
    };
    let (xx, yy, xy) = (sum(&x, &x), sum(&y, &y), sum(&x, &y));
    // 0/0, so NaN, for a constant and for fewer than two.
    xy as f64 / ((xx as f64).sqrt() * (yy as f64).sqrt())
}

/// Twice the ranks less twice their mean: whole numbers, so that their sums are exact.
fn centred_ranks(values: &[f64]) -> Vec<i64> {
    let n = values.len();
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_unstable_by(|a, b| values[*a].total_cmp(&values[*b]));
    let mut ranks = vec![0; n];
    let mut start = 0;
    for tied in order.chunk_by(|a, b| values[*a] == values[*b]) {
        // The ranks start+1 ..= start+len have the mean start + (len+1)/2.
        let twice = (2 * start + tied.len() + 1) as i64 - (n as i64 + 1);
        tied.iter().for_each(|index| ranks[*index] = twice);
        start += tied.len();
    }
    ranks
}
