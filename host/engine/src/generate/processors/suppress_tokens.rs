//! Tokens that are not written, at all or at the beginning of a text.

use tenon_plugin_api::processor::prelude::*;

use super::{NEVER, at};

/// Options of `suppress-tokens`.
#[derive(Options)]
pub struct Suppressed {
    /// The tokens.
    tokens: Vec<u32>,
    /// Whether they may be written later on.
    #[default(false)]
    first_only: bool,
}

/// See the module.
pub struct SuppressTokens(Suppressed);

impl Processor for SuppressTokens {
    const ID: &'static str = "suppress-tokens";
    type Options = Suppressed;

    fn new(options: Suppressed) -> Result<Self> {
        Ok(Self(options))
    }

    fn process(&self, sequence: Sequence<'_>, scores: &mut [f32]) -> Result<()> {
        if self.0.first_only && !sequence.written().is_empty() {
            return Ok(());
        }
        for token in &self.0.tokens {
            if let Some(score) = at(scores, *token) {
                *score = NEVER;
            }
        }
        Ok(())
    }
}
