//! The loader: workers that make batches ahead of the training loop and deliver them in order.

use std::num::NonZero;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use super::collate::{Batch, CollateOptions, collate_packed};
use super::error::DataError;
use super::example::Packet;
use super::plan::Plan;
use super::prepare::Prepared;
use super::ring::Ring;

/// How batches are made.
#[derive(Clone, Copy, Debug)]
pub struct LoaderOptions {
    /// Worker threads (default: one a core, at most 4).
    pub workers: usize,
    /// Batches that may be under way or waiting (default 8).
    pub prefetch: usize,
    /// The first batch of the plan to deliver, to resume (default 0).
    pub start: usize,
    /// How batches are laid out.
    pub collate: CollateOptions,
}

impl Default for LoaderOptions {
    fn default() -> Self {
        let cores = thread::available_parallelism().map_or(1, NonZero::get);
        Self {
            workers: cores.min(4),
            prefetch: 8,
            start: 0,
            collate: CollateOptions::default(),
        }
    }
}

/// The batches of a plan, in its order, as an iterator. What is delivered does not depend on the
/// number of workers.
///
/// An error takes the place of its batch and ends the iteration. Dropping the loader stops the
/// workers after the batch in hand.
pub struct Loader {
    ring: Arc<Ring<Result<Batch, DataError>>>,
    workers: Vec<JoinHandle<()>>,
    failed: bool,
}

impl Loader {
    /// Starts the workers.
    pub fn new(prepared: Arc<Prepared>, plan: Arc<Plan>, options: LoaderOptions) -> Self {
        let end = plan.len();
        let ring = Arc::new(Ring::new(options.start.min(end), end, options.prefetch));
        let workers = (0..options.workers.max(1))
            .map(|_| {
                let (ring, prepared, plan) =
                    (Arc::clone(&ring), Arc::clone(&prepared), Arc::clone(&plan));
                thread::spawn(move || {
                    ring.work(|number| make(&prepared, &plan, number, &options.collate))
                })
            })
            .collect();
        Self {
            ring,
            workers,
            failed: false,
        }
    }
}

impl Iterator for Loader {
    type Item = Result<Batch, DataError>;

    /// Waits for the next batch of the plan.
    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let batch = self
            .ring
            .next()?
            .unwrap_or_else(|payload| Err(DataError::panic(&*payload)));
        if batch.is_err() {
            self.failed = true;
            self.ring.close();
        }
        Some(batch)
    }
}

impl Drop for Loader {
    fn drop(&mut self) {
        self.ring.close();
        for worker in self.workers.drain(..) {
            // A worker that panicked has said so in its batch's place.
            drop(worker.join());
        }
    }
}

fn make(
    prepared: &Prepared,
    plan: &Plan,
    number: usize,
    options: &CollateOptions,
) -> Result<Batch, DataError> {
    let examples = plan.batch(number);
    prepared.with(&examples, |packets| {
        Ok(Batch {
            number,
            rows: packets
                .iter()
                .map(|packet: &Packet<'_>| packet.row())
                .collect(),
            lengths: lengths(prepared, &examples, packets),
            fields: collate_packed(prepared.fields(), packets, options)?,
            examples: examples.clone(),
        })
    })
}

/// The lengths of examples: those of the first field that has one.
fn lengths(prepared: &Prepared, examples: &[usize], packets: &[Packet<'_>]) -> Vec<u32> {
    let specs = prepared.fields();
    match specs.iter().position(|spec| spec.length) {
        Some(field) => packets
            .iter()
            .map(|packet| {
                packet
                    .fields()
                    .nth(field)
                    .map_or(0, |values| values.len() as u32)
            })
            .collect(),
        None => examples
            .iter()
            .map(|&example| prepared.lengths().get(example))
            .collect(),
    }
}
