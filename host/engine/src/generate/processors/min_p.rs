//! Only tokens of at least the fraction `p` of the most probable one's probability (Nguyen et al. 2024).

use tenon_plugin_api::processor::prelude::*;

use super::NEVER;
use crate::generate::scores::{Best, max};

/// Options of `min-p`.
#[derive(Options)]
pub struct Share {
    /// The fraction.
    p: f64,
    /// How many tokens at least.
    #[default(1)]
    keep: usize,
}

/// See the module.
pub struct MinP(Share);

impl Processor for MinP {
    const ID: &'static str = "min-p";
    type Options = Share;

    fn new(options: Share) -> Result<Self> {
        Ok(Self(options))
    }

    fn process(&self, _: Sequence<'_>, scores: &mut [f32]) -> Result<()> {
        let mut best = Best::new(self.0.keep);
        scores.iter().for_each(|score| best.add(*score, ()));
        let kept = best.into_vec().last().map_or(NEVER, |(score, ())| *score);
        let least = (max(scores) + (self.0.p as f32).ln()).min(kept);
        for score in scores {
            if *score < least {
                *score = NEVER;
            }
        }
        Ok(())
    }
}
