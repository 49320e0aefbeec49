//! Hamming diversity between groups of beams (Vijayakumar et al. 2018, section 3.1): a token costs the penalty for
//! each beam of an earlier group that has just taken it.

use tenon_plugin_api::processor::prelude::*;

use super::at;

/// Options of `diversity-penalty`.
#[derive(Options)]
pub struct Penalty {
    /// What a token costs for each beam.
    penalty: f64,
}

/// See the module.
pub struct DiversityPenalty(f32);

impl Processor for DiversityPenalty {
    const ID: &'static str = "diversity-penalty";
    type Options = Penalty;

    fn new(options: Penalty) -> Result<Self> {
        Ok(Self(options.penalty as f32))
    }

    fn process(&self, sequence: Sequence<'_>, scores: &mut [f32]) -> Result<()> {
        for token in sequence.siblings {
            if let Some(score) = at(scores, *token) {
                *score -= self.0;
            }
        }
        Ok(())
    }
}
