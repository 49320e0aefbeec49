//! Precision: the share of what was predicted that is right.
//!
//! `tp / (tp + fp)` of a class, `zero_division` for a class that is never predicted; averaged over
//! classes as in [`averaging`](crate::averaging).

use tenon_plugin_api::metric::prelude::*;

use crate::averaging::{Averaged, AveragingOptions};

/// Share of the predictions of a class that are right.
#[derive(Debug)]
pub struct Precision(Averaged);

impl Metric for Precision {
    const ID: &'static str = "precision";
    const ABOUT: &'static str = "Share of the predictions of a class that are right";
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
        self.0
            .scores(Self::ID, |count| (count.hits, count.predicted))
    }
}
