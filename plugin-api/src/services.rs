//! What the host does for plugins: progress, cancellation, derived seeds, the artifact folder,
//! and parallel work on the host's threads.
//!
//! rayon or tokio inside a plugin would be a thread pool of its own in each library, competing
//! with the host's; use these instead. All functions may be called from any thread. Outside of a
//! host (in unit tests) they do the obvious thing: no progress, never cancelled, a seed derived
//! from 0, no folder, a serial loop.

use std::ffi::c_void;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use abi_stable::std_types::RStr;

use crate::abi::services::{HostServicesRef, IndexedCall};
use crate::error::{Error, ErrorCode, Result};
use crate::panic::{Caught, catch};

static HOST: OnceLock<HostServicesRef> = OnceLock::new();

/// Takes in the host's services; later calls change nothing (a plugin serves one host).
pub(crate) fn install(host: HostServicesRef) {
    let _ = HOST.set(host);
}

pub(crate) fn host() -> Option<&'static HostServicesRef> {
    HOST.get()
}

/// Whether the user asked to stop. Long work checks it every few milliseconds.
#[must_use]
pub fn cancelled() -> bool {
    host().is_some_and(|host| host.cancelled()())
}

/// Ends long work when the user asked to stop: `check_cancelled()?`.
///
/// # Errors
/// [`ErrorCode::Cancelled`] when the user asked to stop.
pub fn check_cancelled() -> Result<()> {
    match cancelled() {
        true => Err(Error::new(
            ErrorCode::Cancelled,
            "stopped at the user's request",
        )),
        false => Ok(()),
    }
}

/// A seed derived from the run's seed, its present epoch and step, and `purpose`.
///
/// All randomness comes from such seeds, so that a resumed run draws what the unbroken run
/// would have drawn.
#[must_use]
pub fn derive_seed(purpose: &str) -> u64 {
    match host() {
        Some(host) => host.derive_seed()(RStr::from(purpose)),
        None => mix(purpose
            .bytes()
            .fold(0, |hash, byte| mix(hash ^ u64::from(byte)))),
    }
}

/// One step of SplitMix64 (Steele, Lea and Flood 2014): a bijection that scatters all bits.
#[must_use]
pub const fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The folder of the run in which a component may leave files; `None` outside of a run.
#[must_use]
pub fn artifact_dir() -> Option<PathBuf> {
    let dir = host()?.artifact_dir()();
    (!dir.is_empty()).then(|| PathBuf::from(dir.as_str()))
}

/// Calls `body` with every index below `count`, spread over the host's threads; returns when all
/// are done.
///
/// # Panics
/// When `body` panics, after the other calls have ended; or when the host could not run them all.
pub fn parallel_for(count: usize, body: impl Fn(usize) + Sync) {
    struct Work<'a> {
        body: &'a (dyn Fn(usize) + Sync),
        panic: Mutex<Option<Caught>>,
        done: AtomicU64,
    }

    extern "C" fn call(data: *const c_void, index: u64) {
        // SAFETY: `parallel_for` below passes a `Work` that outlives all calls.
        let work = unsafe { &*data.cast::<Work<'_>>() };
        if let Err(caught) = catch(|| (work.body)(index as usize)) {
            let mut first = work.panic.lock().unwrap_or_else(PoisonError::into_inner);
            first.get_or_insert(caught);
        }
        work.done.fetch_add(1, Ordering::Relaxed);
    }

    let Some(host) = host() else {
        return (0..count).for_each(body);
    };
    let work = Work {
        body: &body,
        panic: Mutex::new(None),
        done: AtomicU64::new(0),
    };
    host.parallel_for()(count as u64, (&raw const work).cast(), IndexedCall { call });
    let panic = work.panic.into_inner();
    if let Some(caught) = panic.unwrap_or_else(PoisonError::into_inner) {
        caught.resume();
    }
    let done = work.done.into_inner();
    assert!(
        done == count as u64,
        "the host ran {done} of {count} parallel calls"
    );
}

/// Calls `body` with stretches of `0..count`, each `size` long but for the last, spread over the
/// host's threads; what it gives for each stretch, in their order.
///
/// The stretches do not depend on the number of threads, so neither do sums over them.
///
/// # Panics
/// As [`parallel_for`].
pub fn parallel_chunks<T: Send>(
    count: usize,
    size: usize,
    body: impl Fn(Range<usize>) -> T + Sync,
) -> Vec<T> {
    let size = size.max(1);
    let made: Vec<Mutex<Option<T>>> = (0..count.div_ceil(size))
        .map(|_| Mutex::new(None))
        .collect();
    parallel_for(made.len(), |chunk| {
        let first = chunk * size;
        let value = body(first..count.min(first + size));
        *made[chunk].lock().unwrap_or_else(PoisonError::into_inner) = Some(value);
    });
    made.into_iter()
        .filter_map(|slot| slot.into_inner().unwrap_or_else(PoisonError::into_inner))
        .collect()
}

/// A progress bar or line of the host's; finished when dropped.
#[derive(Debug)]
pub struct Progress {
    id: u64,
}

impl Progress {
    /// Starts counting `total` of `unit` (0 when the total is not known).
    #[must_use]
    pub fn start(what: &str, unit: &str, total: u64) -> Self {
        let id = host().map_or(0, |host| {
            host.progress_start()(what.into(), unit.into(), total)
        });
        Self { id }
    }

    /// Counts `by` more.
    pub fn advance(&self, by: u64) {
        if let Some(host) = host() {
            host.progress_advance()(self.id, by);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(host) = host() {
            host.progress_finish()(self.id);
        }
    }
}
