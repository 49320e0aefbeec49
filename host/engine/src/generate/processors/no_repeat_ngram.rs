//! No sequence of so many tokens occurs twice, the prompt included (Paulus et al. 2017, section 2.5).

use tenon_plugin_api::processor::prelude::*;

use super::{NEVER, after_same, at};

/// Options of `no-repeat-ngram`.
#[derive(Options)]
pub struct Size {
    /// Tokens of a sequence.
    #[range(min = 1)]
    size: usize,
}

/// See the module.
pub struct NoRepeatNgram(usize);

impl Processor for NoRepeatNgram {
    const ID: &'static str = "no-repeat-ngram";
    type Options = Size;

    fn new(options: Size) -> Result<Self> {
        Ok(Self(options.size))
    }

    fn process(&self, sequence: Sequence<'_>, scores: &mut [f32]) -> Result<()> {
        for token in after_same(sequence.tokens, sequence.tokens, self.0) {
            if let Some(score) = at(scores, token) {
                *score = NEVER;
            }
        }
        Ok(())
    }
}
