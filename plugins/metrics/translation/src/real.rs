//! Numbers in single or double precision.

use std::ops::{Add, Div, Mul};

/// The precision in which a score is computed.
///
/// Scores are computed in double precision. sacrebleu sums what it resamples in single precision,
/// and numpy then computes on in single precision: so do we there, to find the same digits.
pub trait Real:
    Copy + PartialOrd + Into<f64> + Add<Output = Self> + Mul<Output = Self> + Div<Output = Self>
{
    /// The number in this precision.
    fn of(number: f64) -> Self;
}

impl Real for f64 {
    fn of(number: f64) -> Self {
        number
    }
}

impl Real for f32 {
    fn of(number: f64) -> Self {
        number as Self
    }
}
