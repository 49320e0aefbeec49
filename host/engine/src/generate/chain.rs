//! The processors of a run, one after the other.

use anyhow::{Context, Result};
use tenon_plugin_api::error::StdError;
use tenon_plugin_api::host::ProcessorHandle;
use tenon_plugin_api::processor::{Decoding, Sequence};

/// Processors in the order in which they are applied.
#[derive(Default)]
pub struct Chain {
    processors: Vec<(String, ProcessorHandle)>,
}

impl Chain {
    /// Adds a processor, and tells it what is decoded.
    ///
    /// # Errors
    /// It cannot work on that.
    pub fn push(
        &mut self,
        name: &str,
        mut processor: ProcessorHandle,
        decoding: &Decoding,
    ) -> Result<()> {
        processor
            .begin(decoding)
            .map_err(StdError)
            .with_context(|| format!("processor {name}"))?;
        self.processors.push((name.to_owned(), processor));
        Ok(())
    }

    /// Whether scores stay as they are.
    pub fn is_empty(&self) -> bool {
        self.processors.is_empty()
    }

    /// Names, in order.
    #[cfg(test)]
    pub fn names(&self) -> Vec<&str> {
        self.processors.iter().map(|(name, _)| &name[..]).collect()
    }

    /// Changes the scores of one row.
    ///
    /// # Errors
    /// A processor fails.
    pub fn apply(&self, sequence: Sequence<'_>, scores: &mut [f32]) -> Result<()> {
        for (name, processor) in &self.processors {
            processor
                .process(sequence, scores)
                .map_err(StdError)
                .with_context(|| format!("processor {name}"))?;
        }
        Ok(())
    }
}
