//! Recall: the share of what should be predicted that is.
//!
//! `tp / (tp + fn)` of a class, `zero_division` for a class that is never referred to; averaged over
//! classes as in [`averaging`](crate::averaging).

use tenon_plugin_api::metric::prelude::*;

use crate::averaging::{Averaged, AveragingOptions};

/// Share of the references to a class that are predicted.
#[derive(Debug)]
pub struct Recall(Averaged);

impl Metric for Recall {
    const ID: &'static str = "recall";
    const ABOUT: &'static str = "Share of the references to a class that are predicted";
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
            .scores(Self::ID, |count| (count.hits, count.referred))
    }
}
