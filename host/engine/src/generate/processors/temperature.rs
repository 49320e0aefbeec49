//! Scores divided by a temperature: below 1 sharper, above 1 flatter.

use tenon_plugin_api::processor::prelude::*;

/// Options of `temperature`.
#[derive(Options)]
pub struct Heat {
    /// Above 0.
    temperature: f64,
}

/// See the module.
pub struct Temperature(f32);

impl Processor for Temperature {
    const ID: &'static str = "temperature";
    type Options = Heat;

    fn new(options: Heat) -> Result<Self> {
        ensure!(
            options.temperature > 0.0,
            Options,
            "temperature: expected more than 0"
        );
        Ok(Self(options.temperature as f32))
    }

    fn process(&self, _: Sequence<'_>, scores: &mut [f32]) -> Result<()> {
        for score in scores {
            *score /= self.0;
        }
        Ok(())
    }
}
