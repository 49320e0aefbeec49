//! Locally typical sampling (Meister et al. 2022): the tokens whose information is nearest to the expected one, as
//! many as have the probability `p` together.

use tenon_plugin_api::processor::prelude::*;

use super::NEVER;
use crate::generate::scores::log_sum;

/// Options of `typical-p`.
#[derive(Options)]
pub struct Share {
    /// The probability.
    p: f64,
    /// How many tokens at least.
    #[default(1)]
    keep: usize,
}

/// See the module.
pub struct TypicalP(Share);

impl Processor for TypicalP {
    const ID: &'static str = "typical-p";
    type Options = Share;

    fn new(options: Share) -> Result<Self> {
        Ok(Self(options))
    }

    fn process(&self, _: Sequence<'_>, scores: &mut [f32]) -> Result<()> {
        let (largest, log_sum) = log_sum(scores);
        let log_prob = |score: f32| score - largest - log_sum;
        let finite = scores.iter().filter(|score| **score > NEVER);
        let terms = finite.map(|score| log_prob(*score) * log_prob(*score).exp());
        let entropy = -terms.sum::<f32>();
        let shift = |score: f32| (-log_prob(score) - entropy).abs();
        let mut order: Vec<usize> = (0..scores.len()).filter(|at| scores[*at] > NEVER).collect();
        order.sort_by(|a, b| shift(scores[*a]).total_cmp(&shift(scores[*b])));
        let mut sum = 0.0_f64;
        let mut last = 0;
        for at in &order {
            sum += f64::from(log_prob(scores[*at]).exp());
            if sum >= self.0.p {
                break;
            }
            last += 1;
        }
        let Some(farthest) = order.get(last.min(order.len().saturating_sub(1))) else {
            return Ok(());
        };
        let limit = shift(scores[*farthest]);
        for (rank, at) in order.iter().enumerate() {
            if rank >= self.0.keep && shift(scores[*at]) > limit {
                scores[*at] = NEVER;
            }
        }
        Ok(())
    }
}
