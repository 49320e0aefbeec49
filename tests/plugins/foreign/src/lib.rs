//! A plugin whose types differ from the host's although its minor version does not.

use tenon_plugin_api::metric::prelude::*;

/// The number of pairs.
pub struct Count(u64);

impl Metric for Count {
    const ID: &'static str = "foreign-count";
    type Options = ();
    type Input = Label;

    fn new((): ()) -> Result<Self> {
        Ok(Self(0))
    }

    fn update(&mut self, batch: Pairs<'_, Label>) -> Result<()> {
        self.0 += batch.len() as u64;
        Ok(())
    }

    fn merge(&mut self, other: Self) {
        self.0 += other.0;
    }

    fn compute(&self) -> Scores {
        Scores::one("count", self.0 as f64)
    }
}

tenon_plugin_api::register!(metric: Count);
