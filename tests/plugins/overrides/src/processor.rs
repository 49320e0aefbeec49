//! Overrides `begin`.

use tenon_plugin_api::processor::prelude::*;

/// Forbids the tokens that end a sequence.
pub struct Begun(Vec<u32>);

impl Processor for Begun {
    const ID: &'static str = "begun";
    type Options = ();

    fn new((): ()) -> Result<Self> {
        Ok(Self(Vec::new()))
    }

    fn begin(&mut self, decoding: &Decoding) -> Result<()> {
        self.0.clone_from(&decoding.eos);
        Ok(())
    }

    fn process(&self, sequence: Sequence<'_>, scores: &mut [f32]) -> Result<()> {
        for eos in &self.0 {
            scores[*eos as usize] = f32::NEG_INFINITY;
        }
        scores[0] = sequence.written().len() as f32;
        Ok(())
    }
}
