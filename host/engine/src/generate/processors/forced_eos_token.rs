//! The token that a text which is cut off is written to end with.

use tenon_plugin_api::processor::prelude::*;

use super::force;

/// Options of `forced-eos-token`.
#[derive(Options)]
pub struct Last {
    /// The token.
    token: u32,
    /// The most tokens of a text.
    most: usize,
}

/// See the module.
pub struct ForcedEosToken(Last);

impl Processor for ForcedEosToken {
    const ID: &'static str = "forced-eos-token";
    type Options = Last;

    fn new(options: Last) -> Result<Self> {
        Ok(Self(options))
    }

    fn process(&self, sequence: Sequence<'_>, scores: &mut [f32]) -> Result<()> {
        if sequence.written().len() + 1 == self.0.most {
            force(scores, &[self.0.token]);
        }
        Ok(())
    }
}
