//! The token that is written first, such as that of a language.

use tenon_plugin_api::processor::prelude::*;

use super::force;

/// Options of `forced-bos-token`.
#[derive(Options)]
pub struct First {
    /// The token.
    token: u32,
}

/// See the module.
pub struct ForcedBosToken(u32);

impl Processor for ForcedBosToken {
    const ID: &'static str = "forced-bos-token";
    type Options = First;

    fn new(options: First) -> Result<Self> {
        Ok(Self(options.token))
    }

    fn process(&self, sequence: Sequence<'_>, scores: &mut [f32]) -> Result<()> {
        if sequence.written().is_empty() {
            force(scores, &[self.0]);
        }
        Ok(())
    }
}
