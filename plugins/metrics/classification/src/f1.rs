//! F1: the harmonic mean of precision and recall.
//!
//! `2 tp / (2 tp + fp + fn)` of a class, `zero_division` for a class that is neither predicted nor
//! referred to; averaged over classes as in [`averaging`](crate::averaging).

use tenon_plugin_api::metric::prelude::*;

use crate::averaging::{Averaged, AveragingOptions};

/// Harmonic mean of precision and recall.
#[derive(Debug)]
pub struct F1(Averaged);

impl Metric for F1 {
    const ID: &'static str = "f1";
    const ABOUT: &'static str = "Harmonic mean of precision and recall";
    type Options = AveragingOptions;
    type Input = Classes;

    fn new(options: AveragingOptions) -> Result<Self> {
        Ok(Self(Averaged::new(options)))
    }

    fn begin(&mut self, output: &OutputInfo) -> Result<()> {
        self.0.begin(output)
    }

    fn update(&mut self, batch: Pairs<'_, Classes>) -> Result<()> {
        self.0.update(batch)
    }

    fn merge(&mut self, other: Self) {
        self.0.merge(other.0);
    }

    fn compute(&self) -> Scores {
        self.0.scores(Self::ID, |count| {
            (2 * count.hits, count.predicted + count.referred)
        })
    }
}
