//! The metric object; see [`crate::metric::Metric`].

use std::ffi::c_void;

use abi_stable::std_types::{RStr, RString};
use abi_stable::{StableAbi, sabi_trait};

use super::AbiResult;
use crate::values::Values;

/// A metric's own state on its way into another metric of the same type.
#[repr(C)]
#[derive(StableAbi)]
pub struct RawState {
    pointer: *mut c_void,
    free: extern "C" fn(*mut c_void),
}

// SAFETY: metrics are `Send`, and the state is one metric or nothing.
unsafe impl Send for RawState {}

impl RawState {
    pub(crate) fn new<M: Send + 'static>(metric: Option<M>) -> Self {
        extern "C" fn free<M>(pointer: *mut c_void) {
            if !pointer.is_null() {
                // SAFETY: made by `Box::into_raw` below, freed once.
                drop(unsafe { Box::from_raw(pointer.cast::<M>()) });
            }
        }
        let pointer = metric.map_or(std::ptr::null_mut(), |metric| {
            Box::into_raw(Box::new(metric)).cast()
        });
        Self {
            pointer,
            free: free::<M>,
        }
    }

    /// # Safety
    /// The state was made from an `M` in the same library.
    pub(crate) unsafe fn take<M>(mut self) -> Option<M> {
        let pointer = std::mem::replace(&mut self.pointer, std::ptr::null_mut());
        // SAFETY: the caller vouches for the type; the pointer is taken out, so freed once.
        (!pointer.is_null()).then(|| *unsafe { Box::from_raw(pointer.cast::<M>()) })
    }
}

impl Drop for RawState {
    fn drop(&mut self) {
        (self.free)(self.pointer);
    }
}

#[sabi_trait]
pub trait MetricObject: Send {
    fn update(&mut self, predictions: &Values, references: &Values) -> AbiResult<()>;
    fn identity(&self) -> usize;
    fn release(&mut self) -> RawState;
    fn absorb(&mut self, other: RawState) -> AbiResult<()>;
    fn begin(&mut self, output: RStr<'_>) -> AbiResult<()>;
    #[sabi(last_prefix_field)]
    fn compute(&self) -> AbiResult<RString>;
}
