//! Tokens that every text begins with.

use tenon_plugin_api::processor::prelude::*;

use super::force;

/// Options of `prefix`.
#[derive(Options)]
pub struct Beginning {
    /// The tokens.
    tokens: Vec<u32>,
}

/// See the module.
pub struct Prefix(Vec<u32>);

impl Processor for Prefix {
    const ID: &'static str = "prefix";
    type Options = Beginning;

    fn new(options: Beginning) -> Result<Self> {
        Ok(Self(options.tokens))
    }

    fn process(&self, sequence: Sequence<'_>, scores: &mut [f32]) -> Result<()> {
        if let Some(token) = self.0.get(sequence.written().len()) {
            force(scores, &[*token]);
        }
        Ok(())
    }
}
