//! Means, intervals and p-values of scores that were drawn, as sacrebleu and numpy compute them.
//!
//! numpy computes on in the precision of what it is given. Scores that are all of single precision
//! (chrF's and TER's, whose statistics sacrebleu sums in it) stay so here.

use std::iter::Sum;
use std::ops::{Add, Div, Mul, Sub};

use super::Confidence;

/// How the mean is summed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mean {
    /// Exactly, and rounded once: Python's `statistics.mean`, of the scores of one system.
    Exact,
    /// Pairwise: numpy's `mean`, of scores in a paired test.
    Pairwise,
}

/// Mean and half the width of the interval that holds 95 % of the scores.
pub fn confidence(scores: &[f64], mean: Mean) -> Confidence {
    match singles(scores) {
        Some(singles) => interval(singles, mean),
        None => interval(scores.to_vec(), mean),
    }
}

/// The p-value of a paired bootstrap: how often the systems' scores on a draw lie farther apart
/// than on average, by more than they lie apart on all examples.
pub fn bootstrap_p(system: &[f64], baseline: &[f64], difference: f64) -> f64 {
    match (singles(system), singles(baseline)) {
        (Some(system), Some(baseline)) => centred_p(&system, &baseline, difference),
        _ => centred_p(system, baseline, difference),
    }
}

/// The share of the trials whose statistic exceeds that of the systems, which counts as one of
/// them.
pub fn p_value(exceeding: usize, trials: usize) -> f64 {
    (exceeding + 1) as f64 / (trials + 1) as f64
}

fn centred_p<T: Number>(system: &[T], baseline: &[T], difference: f64) -> f64 {
    let apart = |(a, b): (&T, &T)| (*a - *b).abs();
    let apart: Vec<T> = system.iter().zip(baseline).map(apart).collect();
    let mean = pairwise_mean(&apart);
    let difference = T::of(difference);
    let exceeding = apart.iter().filter(|apart| **apart - mean > difference);
    p_value(exceeding.count(), apart.len())
}

fn interval<T: Number>(mut scores: Vec<T>, mean: Mean) -> Confidence {
    scores.sort_by(|a, b| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal));
    let count = scores.len();
    let Some((lower, upper)) = scores
        .get(count / 40)
        .zip(scores.get(count - count / 40 - 1))
    else {
        return Confidence {
            mean: f64::NAN,
            interval: f64::NAN,
        };
    };
    let mean = match mean {
        Mean::Exact => T::of(exact_mean(&scores)),
        Mean::Pairwise => pairwise_mean(&scores),
    };
    Confidence {
        mean: mean.into(),
        interval: (T::of(0.5) * (*upper - *lower)).into(),
    }
}

/// The scores in single precision, if they were computed in it: then all have room in it, and
/// some need its last bits, which shares of a power of two do not.
fn singles(scores: &[f64]) -> Option<Vec<f32>> {
    let single = |score: &f64| Some(*score as f32).filter(|single| f64::from(*single) == *score);
    let singles: Vec<f32> = scores.iter().map(single).collect::<Option<_>>()?;
    let full = |single: &f32| single.to_bits() & 0x3f != 0;
    singles.iter().any(full).then_some(singles)
}

fn pairwise_mean<T: Number>(scores: &[T]) -> T {
    pairwise_sum(scores) / T::of(scores.len() as f64)
}

/// numpy's sum of what lies in a row: halves of halves, and stretches of 128 in eight sums.
fn pairwise_sum<T: Number>(scores: &[T]) -> T {
    match scores.len() {
        0..8 => scores.iter().copied().sum(),
        8..=128 => {
            let blocks = scores.chunks_exact(8);
            let rest = blocks.remainder();
            let mut sums = [T::of(0.0); 8];
            for block in blocks {
                for (sum, score) in sums.iter_mut().zip(block) {
                    *sum = *sum + *score;
                }
            }
            let [a, b, c, d, e, f, g, h] = sums;
            let sum = ((a + b) + (c + d)) + ((e + f) + (g + h));
            rest.iter().fold(sum, |sum, score| sum + *score)
        }
        count => {
            let half = count / 2 / 8 * 8;
            pairwise_sum(&scores[..half]) + pairwise_sum(&scores[half..])
        }
    }
}

/// The mean without rounding on the way: what a sum loses (Knuth's TwoSum) is summed apart.
fn exact_mean<T: Number>(scores: &[T]) -> f64 {
    let (mut sum, mut lost) = (0.0_f64, 0.0_f64);
    for score in scores {
        let score: f64 = (*score).into();
        let next = sum + score;
        let part = next - sum;
        lost += (sum - (next - part)) + (score - part);
        sum = next;
    }
    let count = scores.len() as f64;
    let mean = sum / count;
    mean + (f64::mul_add(-mean, count, sum) + lost) / count
}

trait Number:
    Copy
    + PartialOrd
    + Into<f64>
    + Sum
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
{
    fn of(number: f64) -> Self;
    fn abs(self) -> Self;
}

impl Number for f64 {
    fn of(number: f64) -> Self {
        number
    }

    fn abs(self) -> Self {
        self.abs()
    }
}

impl Number for f32 {
    fn of(number: f64) -> Self {
        number as Self
    }

    fn abs(self) -> Self {
        self.abs()
    }
}
