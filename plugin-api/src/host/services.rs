//! The host's services as the functions that plugins call.

use std::ffi::c_void;
use std::path::PathBuf;
use std::sync::OnceLock;

use abi_stable::prefix_type::PrefixTypeTrait;
use abi_stable::std_types::{RStr, RString};

use super::trace;
use crate::abi::services::{HostServices, HostServicesRef, IndexedCall};
use crate::panic::contain;

/// What a host offers to plugins; every method may be called from any thread.
pub trait Services: Send + Sync + 'static {
    /// Starts a progress bar; the answer identifies it.
    fn progress_start(&self, what: &str, unit: &str, total: u64) -> u64;
    /// Counts `by` more.
    fn progress_advance(&self, id: u64, by: u64);
    /// Ends a progress bar.
    fn progress_finish(&self, id: u64);
    /// Whether the user asked to stop.
    fn cancelled(&self) -> bool;
    /// A seed derived from the run's seed, epoch and step and from `purpose`.
    fn derive_seed(&self, purpose: &str) -> u64;
    /// The run's folder for artifacts.
    fn artifact_dir(&self) -> Option<PathBuf>;
    /// Calls `body` with every index below `count`, on the host's threads.
    fn parallel_for(&self, count: usize, body: &(dyn Fn(usize) + Sync));
}

static SERVICES: OnceLock<Box<dyn Services>> = OnceLock::new();

/// Sets the services that plugins get, once, before the first plugin is opened. What is linked
/// into this program has them from here on.
pub fn set_services(services: impl Services) {
    let _ = SERVICES.set(Box::new(services));
    crate::services::install(table());
}

/// Calls a service; none set, or a panic in it, gives the fallback (a panic must not cross).
fn call<T>(fallback: T, body: impl FnOnce(&dyn Services) -> T) -> T {
    let Some(services) = SERVICES.get() else {
        return fallback;
    };
    contain(fallback, || body(&**services))
}

extern "C" fn progress_start(what: RStr<'_>, unit: RStr<'_>, total: u64) -> u64 {
    call(0, |services| {
        services.progress_start(what.as_str(), unit.as_str(), total)
    })
}

extern "C" fn progress_advance(id: u64, by: u64) {
    call((), |services| services.progress_advance(id, by));
}

extern "C" fn progress_finish(id: u64) {
    call((), |services| services.progress_finish(id));
}

extern "C" fn cancelled() -> bool {
    call(false, |services| services.cancelled())
}

extern "C" fn derive_seed(purpose: RStr<'_>) -> u64 {
    call(0, |services| services.derive_seed(purpose.as_str()))
}

extern "C" fn artifact_dir() -> RString {
    let dir = call(None, |services| services.artifact_dir());
    dir.map_or_else(RString::new, |dir| {
        dir.to_string_lossy().into_owned().into()
    })
}

extern "C" fn parallel_for(count: u64, data: *const c_void, body: IndexedCall) {
    struct Shared(*const c_void);
    // SAFETY: `services::parallel_for` passes a `Sync` body that outlives this call.
    unsafe impl Sync for Shared {}
    let shared = Shared(data);
    let shared = &shared;
    let each = move |index: usize| (body.call)(shared.0, index as u64);
    // The calling side counts the calls, so it sees when a panic cut them short.
    contain((), || match SERVICES.get() {
        Some(services) => services.parallel_for(count as usize, &each),
        None => (0..count as usize).for_each(each),
    });
}

/// The table that plugins get; made once.
pub(super) fn table() -> HostServicesRef {
    static TABLE: OnceLock<HostServicesRef> = OnceLock::new();
    *TABLE.get_or_init(|| {
        HostServices {
            enabled: trace::enabled,
            event: trace::event,
            new_span: trace::new_span,
            record: trace::record,
            enter: trace::enter,
            exit: trace::exit,
            clone_span: trace::clone_span,
            close_span: trace::close_span,
            progress_start,
            progress_advance,
            progress_finish,
            cancelled,
            derive_seed,
            artifact_dir,
            parallel_for,
        }
        .leak_into_prefix()
    })
}
