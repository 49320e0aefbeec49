//! No text ends before so many tokens are written.

use tenon_plugin_api::processor::prelude::*;

use super::{NEVER, at};

/// Options of `min-new-tokens`.
#[derive(Options)]
pub struct Least {
    /// Tokens after the prompt.
    least: usize,
}

/// See the module.
pub struct MinNewTokens {
    least: usize,
    eos: Vec<u32>,
}

impl Processor for MinNewTokens {
    const ID: &'static str = "min-new-tokens";
    type Options = Least;

    fn new(options: Least) -> Result<Self> {
        Ok(Self {
            least: options.least,
            eos: Vec::new(),
        })
    }

    fn begin(&mut self, decoding: &Decoding) -> Result<()> {
        self.eos.clone_from(&decoding.eos);
        Ok(())
    }

    fn process(&self, sequence: Sequence<'_>, scores: &mut [f32]) -> Result<()> {
        if sequence.written().len() < self.least {
            for token in &self.eos {
                if let Some(score) = at(scores, *token) {
                    *score = NEVER;
                }
            }
        }
        Ok(())
    }
}
