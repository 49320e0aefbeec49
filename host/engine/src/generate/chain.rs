//! The processors of a run, one after the other.

use anyhow::{Context, Result};
use tenon_plugin_api::error::StdError;
use tenon_plugin_api::host::ProcessorHandle;
use tenon_plugin_api::processor::{Decoding, Sequence};

use super::decoder::Logits;

/// Rows from which on several threads pay.
const ROWS: usize = 4;

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
    pub fn apply_one(&self, sequence: Sequence<'_>, scores: &mut [f32]) -> Result<()> {
        for (name, processor) in &self.processors {
            processor
                .process(sequence, scores)
                .map_err(StdError)
                .with_context(|| format!("processor {name}"))?;
        }
        Ok(())
    }

    /// Changes the scores of all rows, of which `sequence` tells the tokens.
    ///
    /// # Errors
    /// A processor fails.
    pub fn apply<'s>(
        &self,
        logits: &mut Logits,
        sequence: impl Fn(usize) -> Sequence<'s> + Sync,
    ) -> Result<()> {
        if self.is_empty() {
            return Ok(());
        }
        let rows = logits.rows();
        let threads = match rows < ROWS {
            true => 1,
            false => (tch::get_num_threads().max(1) as usize).min(rows),
        };
        let part = rows.div_ceil(threads).max(1);
        let mut all: Vec<&mut [f32]> = logits.all_mut().collect();
        std::thread::scope(|scope| {
            let mut first = 0;
            let mut running = Vec::new();
            let sequence = &sequence;
            for chunk in all.chunks_mut(part) {
                let begin = first;
                first += chunk.len();
                let mut work = move || -> Result<()> {
                    for (at, scores) in chunk.iter_mut().enumerate() {
                        self.apply_one(sequence(begin + at), scores)?;
                    }
                    Ok(())
                };
                if threads == 1 {
                    return work();
                }
                running.push(scope.spawn(work));
            }
            for thread in running {
                thread
                    .join()
                    .map_err(|_| anyhow::anyhow!("a processor panicked"))??;
            }
            Ok(())
        })
    }
}
