//! Presence and frequency penalties: the score of a token that was written already falls by `presence`, and by
//! `frequency` for each time. The prompt does not count.

use tenon_plugin_api::processor::prelude::*;

use super::at;

/// Options of `presence-penalty`.
#[derive(Options)]
pub struct Penalties {
    /// Taken once.
    #[default(0.0)]
    presence: f64,
    /// Taken each time.
    #[default(0.0)]
    frequency: f64,
}

/// See the module.
pub struct PresencePenalty {
    presence: f32,
    frequency: f32,
}

impl Processor for PresencePenalty {
    const ID: &'static str = "presence-penalty";
    type Options = Penalties;

    fn new(options: Penalties) -> Result<Self> {
        Ok(Self {
            presence: options.presence as f32,
            frequency: options.frequency as f32,
        })
    }

    fn process(&self, sequence: Sequence<'_>, scores: &mut [f32]) -> Result<()> {
        let mut written = sequence.written().to_vec();
        written.sort_unstable();
        for same in written.chunk_by(|a, b| a == b) {
            if let Some(score) = at(scores, same[0]) {
                *score -= self.presence + self.frequency * same.len() as f32;
            }
        }
        Ok(())
    }
}
