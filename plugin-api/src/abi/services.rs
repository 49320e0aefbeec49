//! The services that a host hands to each plugin at its start; see [`crate::services`].

use std::ffi::c_void;

use abi_stable::StableAbi;
use abi_stable::std_types::{RStr, RString};

/// Where a span or event stands in the source, and how grave it is.
#[repr(C)]
#[derive(StableAbi, Clone, Copy, Debug)]
pub struct RawMetadata<'a> {
    /// 1 error, 2 warn, 3 info, 4 debug, 5 trace.
    pub level: u8,
    pub target: RStr<'a>,
    /// Name of a span, empty for events.
    pub name: RStr<'a>,
    pub file: RStr<'a>,
    /// 0 when not known.
    pub line: u32,
}

/// What `parallel_for` calls with the caller's pointer and each index.
#[repr(transparent)]
#[derive(StableAbi, Clone, Copy)]
pub struct IndexedCall {
    pub call: extern "C" fn(*const c_void, u64),
}

/// As a parent: the span that the thread is in.
pub const CURRENT_SPAN: u64 = 0;
/// As a parent: none. As a span: one that the host does not know.
pub const NO_SPAN: u64 = u64::MAX;

/// The functions that a host offers; all may be called from any thread, and none unwinds.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = HostServicesRef)))]
#[sabi(missing_field(option))]
pub struct HostServices {
    pub enabled: extern "C" fn(RawMetadata<'_>) -> bool,
    /// Metadata, fields as text (`message` first, then ` key=value`…), parent span.
    pub event: extern "C" fn(RawMetadata<'_>, RStr<'_>, u64),
    /// Metadata, fields, parent span → id, 0 when the host has no span to show for it.
    pub new_span: extern "C" fn(RawMetadata<'_>, RStr<'_>, u64) -> u64,
    pub record: extern "C" fn(u64, RStr<'_>),
    pub enter: extern "C" fn(u64),
    pub exit: extern "C" fn(u64),
    pub clone_span: extern "C" fn(u64),
    pub close_span: extern "C" fn(u64),
    /// What is counted, its unit, the total (0: unknown) → id.
    pub progress_start: extern "C" fn(RStr<'_>, RStr<'_>, u64) -> u64,
    pub progress_advance: extern "C" fn(u64, u64),
    pub progress_finish: extern "C" fn(u64),
    pub cancelled: extern "C" fn() -> bool,
    pub derive_seed: extern "C" fn(RStr<'_>) -> u64,
    /// Empty outside of a run.
    pub artifact_dir: extern "C" fn() -> RString,
    /// Calls the function with the pointer and each index below the count, on the host's threads.
    #[sabi(last_prefix_field)]
    pub parallel_for: extern "C" fn(u64, *const c_void, IndexedCall),
}
