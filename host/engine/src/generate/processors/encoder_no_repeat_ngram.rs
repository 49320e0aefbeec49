//! No sequence of so many tokens of the source is written.

use tenon_plugin_api::processor::prelude::*;

use super::encoder_repetition_penalty::source;
use super::{NEVER, after_same, at};

/// Options of `encoder-no-repeat-ngram`.
#[derive(Options)]
pub struct Size {
    /// Tokens of a sequence.
    #[range(min = 1)]
    size: usize,
}

/// See the module.
pub struct EncoderNoRepeatNgram(usize);

impl Processor for EncoderNoRepeatNgram {
    const ID: &'static str = "encoder-no-repeat-ngram";
    type Options = Size;

    fn new(options: Size) -> Result<Self> {
        Ok(Self(options.size))
    }

    fn process(&self, sequence: Sequence<'_>, scores: &mut [f32]) -> Result<()> {
        for token in after_same(source(sequence), sequence.tokens, self.0) {
            if let Some(score) = at(scores, token) {
                *score = NEVER;
            }
        }
        Ok(())
    }
}
