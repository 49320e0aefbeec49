//! Repetition penalty (Keskar et al. 2019, section 4.1): scores of tokens that stand already are divided by the
//! penalty where positive, multiplied where negative.

use tenon_plugin_api::processor::prelude::*;

use super::at;

/// Options of `repetition-penalty`.
#[derive(Options)]
pub struct Penalty {
    /// Above 1 repeats less, below 1 more.
    penalty: f64,
}

/// See the module.
pub struct RepetitionPenalty(f32);

impl Processor for RepetitionPenalty {
    const ID: &'static str = "repetition-penalty";
    type Options = Penalty;

    fn new(options: Penalty) -> Result<Self> {
        Ok(Self(options.penalty as f32))
    }

    fn process(&self, sequence: Sequence<'_>, scores: &mut [f32]) -> Result<()> {
        penalise(sequence.tokens, self.0, scores);
        Ok(())
    }
}

/// Changes the score of each of the tokens once.
pub(super) fn penalise(tokens: &[u32], penalty: f32, scores: &mut [f32]) {
    let mut seen: Vec<u32> = tokens.to_vec();
    seen.sort_unstable();
    seen.dedup();
    for token in seen {
        if let Some(score) = at(scores, token) {
            *score = match *score < 0.0 {
                true => *score * penalty,
                false => *score / penalty,
            };
        }
    }
}
