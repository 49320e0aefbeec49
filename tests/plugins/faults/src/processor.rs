//! A processor that forbids a token, with faults.

use tenon_plugin_api::processor::prelude::*;

use crate::options::Faults;

/// Forbids the token 0.
pub struct FaultyProcessor {
    faults: Faults,
}

impl Processor for FaultyProcessor {
    const ID: &'static str = "faulty-processor";
    type Options = Faults;

    fn new(faults: Faults) -> Result<Self> {
        faults.at("new")?;
        Ok(Self { faults })
    }

    fn begin(&mut self, _: &Decoding) -> Result<()> {
        self.faults.at("begin")
    }

    fn process(&self, _: Sequence<'_>, scores: &mut [f32]) -> Result<()> {
        self.faults.at("process")?;
        scores[0] = f32::NEG_INFINITY;
        Ok(())
    }
}
