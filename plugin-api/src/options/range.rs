//! `#[range(…)]`: bounds of numbers, checked while reading.

use std::fmt;

use serde::de::{Deserializer, Error};

use super::OptionValue;

/// Bounds of a number; either side may be open.
#[derive(Debug, Clone, Copy)]
pub struct Range {
    /// The least number allowed.
    pub min: Option<Bound>,
    /// The greatest number allowed.
    pub max: Option<Bound>,
}

/// One end of a range.
#[derive(Debug, Clone, Copy)]
pub struct Bound {
    /// Where the range ends.
    pub value: f64,
    /// The bound itself is not allowed.
    pub exclusive: bool,
}

/// A value that `#[range(…)]` can bound: a number, or an optional one.
#[diagnostic::on_unimplemented(
    message = "`#[range]` bounds numbers, not `{Self}`",
    note = "it applies to integers, floats and `Option`s of these"
)]
pub trait Bounded {
    /// The number to compare; `None` passes. Integers beyond 2⁵³ are rounded,
    /// as are the bounds.
    fn number(&self) -> Option<f64>;
}

/// Reads a value and checks its bounds.
pub fn in_range<'de, T, D>(deserializer: D, range: Range) -> Result<T, D::Error>
where
    T: OptionValue + Bounded,
    D: Deserializer<'de>,
{
    let value = T::deserialize(deserializer)?;
    match value.number() {
        Some(number) if !range.contains(number) => Err(D::Error::custom(format_args!(
            "expected a number {range}, found {number}"
        ))),
        _ => Ok(value),
    }
}

impl Range {
    fn contains(self, number: f64) -> bool {
        let above = |b: Bound| {
            if b.exclusive {
                number > b.value
            } else {
                number >= b.value
            }
        };
        let below = |b: Bound| {
            if b.exclusive {
                number < b.value
            } else {
                number <= b.value
            }
        };
        self.min.is_none_or(above) && self.max.is_none_or(below)
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = |bound: Bound, exclusive, inclusive| {
            if bound.exclusive {
                exclusive
            } else {
                inclusive
            }
        };
        if let Some(min) = self.min {
            write!(f, "{} {}", sign(min, ">", "≥"), min.value)?;
        }
        if self.min.is_some() && self.max.is_some() {
            f.write_str(" and ")?;
        }
        if let Some(max) = self.max {
            write!(f, "{} {}", sign(max, "<", "≤"), max.value)?;
        }
        Ok(())
    }
}

impl<T: Bounded> Bounded for Option<T> {
    fn number(&self) -> Option<f64> {
        self.as_ref().and_then(T::number)
    }
}

macro_rules! bounded {
    ($($number:ty),*) => {$(
        impl Bounded for $number {
            fn number(&self) -> Option<f64> {
                Some(*self as f64)
            }
        }
    )*};
}

bounded!(i8, i16, i32, i64, isize, u8, u16, u32, u64, usize, f32, f64);
