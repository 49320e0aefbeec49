//! Only the most probable tokens (Fan et al. 2018), those as probable as the last of them included.

use tenon_plugin_api::processor::prelude::*;

use super::NEVER;

/// Options of `top-k`.
#[derive(Options)]
pub struct Count {
    /// How many.
    #[range(min = 1)]
    k: usize,
    /// How many at least.
    #[default(1)]
    keep: usize,
}

/// See the module.
pub struct TopK(usize);

impl Processor for TopK {
    const ID: &'static str = "top-k";
    type Options = Count;

    fn new(options: Count) -> Result<Self> {
        Ok(Self(options.k.max(options.keep)))
    }

    fn process(&self, _: Sequence<'_>, scores: &mut [f32]) -> Result<()> {
        if self.0 >= scores.len() {
            return Ok(());
        }
        let mut sorted = scores.to_vec();
        let (_, least, _) = sorted.select_nth_unstable_by(self.0 - 1, |a, b| b.total_cmp(a));
        let least = *least;
        for score in scores {
            if *score < least {
                *score = NEVER;
            }
        }
        Ok(())
    }
}
