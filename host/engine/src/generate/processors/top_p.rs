//! Nucleus sampling (Holtzman et al. 2020): the fewest most probable tokens that have the probability `p` together.

use tenon_plugin_api::processor::prelude::*;

use super::NEVER;
use crate::generate::scores::log_sum;

/// Options of `top-p`.
#[derive(Options)]
pub struct Share {
    /// The probability.
    p: f64,
    /// How many tokens at least.
    #[default(1)]
    keep: usize,
}

/// See the module.
pub struct TopP {
    rest: f64,
    keep: usize,
}

impl Processor for TopP {
    const ID: &'static str = "top-p";
    type Options = Share;

    fn new(options: Share) -> Result<Self> {
        Ok(Self {
            rest: 1.0 - options.p,
            keep: options.keep,
        })
    }

    fn process(&self, _: Sequence<'_>, scores: &mut [f32]) -> Result<()> {
        let (largest, log_sum) = log_sum(scores);
        let mut order: Vec<usize> = (0..scores.len()).filter(|at| scores[*at] > NEVER).collect();
        order.sort_unstable_by(|a, b| scores[*a].total_cmp(&scores[*b]));
        // From the least probable on, what has no more than the rest together goes.
        let mut sum = 0.0_f64;
        let most = order.len().saturating_sub(self.keep);
        for at in &order[..most] {
            sum += f64::from((scores[*at] - largest - log_sum).exp());
            if sum > self.rest {
                break;
            }
            scores[*at] = NEVER;
        }
        Ok(())
    }
}
