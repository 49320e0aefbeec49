//! The metric object; see [`crate::metric::Metric`].

use std::any::TypeId;
use std::ffi::c_void;
use std::sync::atomic::AtomicU8;

use abi_stable::std_types::{RSlice, RStr, RString, RVec};
use abi_stable::{StableAbi, sabi_trait};

use super::AbiResult;
use crate::metric::not_resampled;
use crate::panic::discard;
use crate::values::Values;

/// A metric's own state on its way into another metric of the same type and library.
#[repr(C)]
#[derive(StableAbi)]
pub struct RawState {
    /// A boxed [`Held`], or null.
    pointer: *mut c_void,
    free: extern "C" fn(*mut c_void),
    /// [`library`] of the library that made it.
    library: usize,
}

/// What a state points to. Its type can be asked before its type is known: the id comes first.
#[repr(C)]
struct Held<M> {
    type_id: TypeId,
    metric: M,
}

// SAFETY: metrics are `Send`, and the state is one metric or nothing.
unsafe impl Send for RawState {}

impl RawState {
    pub(crate) fn new<M: Send + 'static>(metric: Option<M>) -> Self {
        extern "C" fn free<M>(pointer: *mut c_void) {
            if !pointer.is_null() {
                // SAFETY: made by `Box::into_raw` below, freed once.
                discard("metric", unsafe {
                    Box::from_raw(pointer.cast::<Held<M>>())
                });
            }
        }
        let type_id = TypeId::of::<M>();
        let pointer = metric.map_or(std::ptr::null_mut(), |metric| {
            Box::into_raw(Box::new(Held { type_id, metric })).cast()
        });
        Self {
            pointer,
            free: free::<M>,
            library: library(),
        }
    }

    /// The metric, if the state holds one and it is an `M` of this library.
    pub(crate) fn take<M: Send + 'static>(mut self) -> Option<M> {
        if self.pointer.is_null() || self.library != library() {
            return None;
        }
        // SAFETY: this library made the state, so the pointer is to a `Held`, whose first field
        // is the id whatever the metric's type.
        let type_id = unsafe { *self.pointer.cast::<TypeId>() };
        if type_id != TypeId::of::<M>() {
            return None;
        }
        let pointer = std::mem::replace(&mut self.pointer, std::ptr::null_mut());
        // SAFETY: the id says that it is a `Held<M>`; it is taken out of the state, so freed once.
        Some(unsafe { Box::from_raw(pointer.cast::<Held<M>>()) }.metric)
    }
}

impl Drop for RawState {
    fn drop(&mut self) {
        (self.free)(self.pointer);
    }
}

/// A number that no other library in the process has.
///
/// The same type in two libraries may differ in its allocator, so it is not the same to us.
pub(crate) fn library() -> usize {
    // Not constant, so that it is merged with no other.
    static ANCHOR: AtomicU8 = AtomicU8::new(0);
    (&raw const ANCHOR).addr()
}

#[sabi_trait]
pub trait MetricObject: Send {
    fn update(&mut self, predictions: &Values, references: &Values) -> AbiResult<()>;
    /// The same for metrics that can be merged.
    fn identity(&self) -> u64;
    fn release(&mut self) -> RawState;
    fn absorb(&mut self, other: RawState) -> AbiResult<()>;
    fn begin(&mut self, output: RStr<'_>) -> AbiResult<()>;
    #[sabi(last_prefix_field)]
    fn compute(&self) -> AbiResult<RString>;
    fn keep_examples(&mut self) -> AbiResult<bool> {
        AbiResult::ROk(false)
    }
    /// `examples`: draws of `size` examples each, for each draw the values of scores.
    fn resample(
        &self,
        _examples: RSlice<'_, u32>,
        _size: u64,
        _exchange: bool,
    ) -> AbiResult<RVec<RVec<f64>>> {
        AbiResult::RErr(not_resampled().into())
    }
}
