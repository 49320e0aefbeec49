//! What metrics get of the host while files are scored: its threads, and nothing of a run.

use std::path::PathBuf;

use rayon::prelude::*;
use tenon_plugin_api::host::{Services, set_services};

use crate::data::rng::derive_seed;

/// Offers the services; a second call changes nothing.
pub(super) fn offer() {
    set_services(ScoreServices);
}

struct ScoreServices;

impl Services for ScoreServices {
    fn progress_start(&self, _what: &str, _unit: &str, _total: u64) -> u64 {
        0
    }

    fn progress_advance(&self, _id: u64, _by: u64) {}

    fn progress_finish(&self, _id: u64) {}

    /// Ctrl-C ends the command at once: there is nothing to put in order.
    fn cancelled(&self) -> bool {
        false
    }

    /// The same at every call: scores of the same files are the same.
    fn derive_seed(&self, purpose: &str) -> u64 {
        derive_seed(0, 0, 0, purpose)
    }

    fn artifact_dir(&self) -> Option<PathBuf> {
        None
    }

    fn parallel_for(&self, count: usize, body: &(dyn Fn(usize) + Sync)) {
        (0..count).into_par_iter().for_each(body);
    }
}
