//! The inverse of the repetition penalty, on the tokens of the source: above 1 the text keeps to it. The source of a
//! causal model is its prompt.

use tenon_plugin_api::processor::prelude::*;

use super::repetition_penalty::penalise;

/// Options of `encoder-repetition-penalty`.
#[derive(Options)]
pub struct Penalty {
    /// Above 1 keeps to the source.
    penalty: f64,
}

/// See the module.
pub struct EncoderRepetitionPenalty(f32);

impl Processor for EncoderRepetitionPenalty {
    const ID: &'static str = "encoder-repetition-penalty";
    type Options = Penalty;

    fn new(options: Penalty) -> Result<Self> {
        Ok(Self((1.0 / options.penalty) as f32))
    }

    fn process(&self, sequence: Sequence<'_>, scores: &mut [f32]) -> Result<()> {
        penalise(source(sequence), self.0, scores);
        Ok(())
    }
}

/// What was read before anything was written.
pub(super) fn source(sequence: Sequence<'_>) -> &[u32] {
    match sequence.source.is_empty() {
        true => &sequence.tokens[..sequence.prompt.min(sequence.tokens.len())],
        false => sequence.source,
    }
}
