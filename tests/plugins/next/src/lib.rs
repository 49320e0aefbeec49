//! A plugin built against the next minor version of plugin-api: it asks for a service that the
//! present host does not have.

use tenon_plugin_api::metric::prelude::*;
use tenon_plugin_api::services;

/// The number of pairs, and what the service of the later version answers.
pub struct Count(u64);

impl Metric for Count {
    const ID: &'static str = "next-count";
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
        // Not defined where the host has no such service.
        let later = services::later(1).map_or(f64::NAN, |later| later as f64);
        Scores::one("count", self.0 as f64).and("later", later)
    }
}

tenon_plugin_api::register!(metric: Count);
