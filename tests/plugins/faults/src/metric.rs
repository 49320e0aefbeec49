//! A metric that counts, and has faults.

use tenon_plugin_api::metric::prelude::*;

use crate::options::Faults;

/// The number of pairs.
pub struct FaultyMetric {
    faults: Faults,
    seen: u64,
}

impl Metric for FaultyMetric {
    const ID: &'static str = "faulty-metric";
    type Options = Faults;
    type Input = Label;

    fn new(faults: Faults) -> Result<Self> {
        faults.at("new")?;
        Ok(Self { faults, seen: 0 })
    }

    fn begin(&mut self, _: &OutputInfo) -> Result<()> {
        self.faults.at("begin")
    }

    fn update(&mut self, batch: Pairs<'_, Label>) -> Result<()> {
        self.faults.at("update")?;
        self.seen += batch.len() as u64;
        Ok(())
    }

    fn merge(&mut self, other: Self) {
        self.faults.panic_at("merge");
        self.seen += other.seen;
    }

    fn compute(&self) -> Scores {
        self.faults.panic_at("compute");
        Scores::one("seen", self.seen as f64)
    }

    fn keep_examples(&mut self) -> bool {
        self.faults.panic_at("keep_examples");
        true
    }

    fn resample(&self, draws: Draws<'_>) -> Result<Vec<Vec<f64>>> {
        self.faults.at("resample")?;
        Ok(draws.iter().map(|draw| vec![draw.len() as f64]).collect())
    }
}
