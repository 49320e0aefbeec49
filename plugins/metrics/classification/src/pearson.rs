//! Pearson's r: the linear correlation of predicted with reference numbers.
//!
//! `Σ (x−x̄)(y−ȳ) / √(Σ (x−x̄)² · Σ (y−ȳ)²)`
//!
//! The pairs are kept (16 bytes each) and the means taken first: sums of squares alone lose all
//! digits on numbers far from zero. NaN of fewer than two pairs or when a side is constant.

use tenon_plugin_api::metric::prelude::*;

/// Linear correlation of predicted with reference numbers.
#[derive(Debug, Default)]
pub struct Pearson {
    predictions: Vec<f64>,
    references: Vec<f64>,
}

impl Metric for Pearson {
    const ID: &'static str = "pearson";
    const ABOUT: &'static str = "Linear correlation of predicted with reference numbers";
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
        let r = correlation(&self.predictions, &self.references);
        Scores::one("pearson", r)
            .higher_is_better()
            .unit("correlation")
    }
}

/// Pearson's r of two columns of the same length.
pub fn correlation(x: &[f64], y: &[f64]) -> f64 {
    let constant = |values: &[f64]| values.iter().all(|value| *value == values[0]);
    if x.len() < 2 || constant(x) || constant(y) {
        return f64::NAN;
    }
    let (x, y) = (direction(x), direction(y));
    let r = x
        .iter()
        .zip(&y)
        .map(|(x, y)| x * y)
        .sum::<f64>()
        .clamp(-1.0, 1.0);
    // Two points lie on a line.
    if x.len() == 2 { r.round() } else { r }
}

/// The deviations from the mean, scaled to length 1 without overflow.
fn direction(values: &[f64]) -> Vec<f64> {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let deviations = values.iter().map(|value| value - mean);
    let largest = deviations
        .clone()
        .fold(0.0, |largest: f64, d| largest.max(d.abs()));
    let scaled = deviations.map(|d| d / largest);
    let length = scaled.clone().map(|d| d * d).sum::<f64>().sqrt();
    scaled.map(|d| d / length).collect()
}
