//! Overrides what a metric need not say.

use tenon_plugin_api::metric::prelude::*;

/// The number of label names that it was told of.
pub struct Told(usize);

impl Metric for Told {
    const ID: &'static str = "told";
    const ABOUT: &'static str = "Overrides what a metric may.";
    type Options = ();
    type Input = Label;

    fn new((): ()) -> Result<Self> {
        Ok(Self(0))
    }

    fn begin(&mut self, output: &OutputInfo) -> Result<()> {
        self.0 = output.labels.len();
        Ok(())
    }

    fn update(&mut self, _: Pairs<'_, Label>) -> Result<()> {
        Ok(())
    }

    fn merge(&mut self, _: Self) {}

    fn compute(&self) -> Scores {
        Scores::one("told", self.0 as f64)
    }

    fn keep_examples(&mut self) -> bool {
        true
    }

    fn resample(&self, draws: Draws<'_>) -> Result<Vec<Vec<f64>>> {
        let sum = |draw: &[u32]| draw.iter().map(|example| f64::from(*example)).sum();
        let exchange = f64::from(draws.how() == Resampling::Exchange);
        Ok(draws.iter().map(|draw| vec![sum(draw), exchange]).collect())
    }
}
