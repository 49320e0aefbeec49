//! Tensors across the boundary: handles to libtorch's own tensor objects.
//!
//! Host and plugins share one libtorch, so a handle is the `at::Tensor*` itself; nothing is
//! copied. Words used throughout: an **owned** handle keeps the tensor alive and frees it when it
//! is dropped; handing it over moves that duty.

use std::ffi::c_void;

use abi_stable::StableAbi;
use abi_stable::std_types::{RString, RVec};

/// An owned handle to a libtorch tensor.
#[repr(C)]
#[derive(StableAbi, Debug)]
pub struct RawTensor {
    pointer: *mut c_void,
    free: extern "C" fn(*mut c_void),
}

// SAFETY: a tensor handle may move between threads, as `tch::Tensor` may.
unsafe impl Send for RawTensor {}

impl Drop for RawTensor {
    fn drop(&mut self) {
        (self.free)(self.pointer);
    }
}

/// A tensor with its name, as models take and return them.
#[repr(C)]
#[derive(StableAbi, Debug)]
pub struct NamedTensor {
    /// Name: `input_ids`, `logits`, …
    pub name: RString,
    /// The tensor.
    pub tensor: RawTensor,
}

/// Named tensors, in order.
pub type NamedTensors = RVec<NamedTensor>;

#[cfg(feature = "torch")]
pub use torch::*;

#[cfg(feature = "torch")]
mod torch {
    use super::{NamedTensor, NamedTensors, RawTensor, c_void};
    use crate::error::{Error, ErrorCode, Result};
    use tch::Tensor;

    extern "C" fn free(pointer: *mut c_void) {
        // SAFETY: `RawTensor` is made only from a tensor of this shape and freed once. All shims
        // delete with the same C++ runtime, that of the one libtorch in the process.
        drop(unsafe { Tensor::from_ptr(pointer.cast()) });
    }

    impl From<Tensor> for RawTensor {
        fn from(tensor: Tensor) -> Self {
            let tensor = std::mem::ManuallyDrop::new(tensor);
            Self {
                pointer: tensor.as_ptr().cast_mut().cast(),
                free,
            }
        }
    }

    impl From<RawTensor> for Tensor {
        fn from(raw: RawTensor) -> Self {
            let raw = std::mem::ManuallyDrop::new(raw);
            // SAFETY: the handle owns a live tensor and gives up the ownership here.
            unsafe { Self::from_ptr(raw.pointer.cast()) }
        }
    }

    /// Named tensors on the author's side: a short list, looked up by name.
    #[derive(Debug, Default)]
    pub struct TensorMap {
        entries: Vec<(String, Tensor)>,
    }

    impl TensorMap {
        /// An empty map.
        #[must_use]
        pub fn new() -> Self {
            Self::default()
        }

        /// Adds or replaces a tensor.
        pub fn insert(&mut self, name: impl Into<String>, tensor: Tensor) {
            let name = name.into();
            match self.entries.iter_mut().find(|(n, _)| *n == name) {
                Some(entry) => entry.1 = tensor,
                None => self.entries.push((name, tensor)),
            }
        }

        /// Adds a tensor and returns the map.
        #[must_use]
        pub fn with(mut self, name: impl Into<String>, tensor: Tensor) -> Self {
            self.insert(name, tensor);
            self
        }

        /// The tensor of that name.
        ///
        /// # Errors
        /// There is none; the message lists those present.
        pub fn require(&self, name: &str) -> Result<&Tensor> {
            self.get(name).ok_or_else(|| {
                let present: Vec<_> = self.entries.iter().map(|(n, _)| n.as_str()).collect();
                Error::new(
                    ErrorCode::Tensor,
                    format!("no tensor `{name}` among {}", present.join(", ")),
                )
            })
        }

        /// The tensor of that name, if there is one.
        #[must_use]
        pub fn get(&self, name: &str) -> Option<&Tensor> {
            self.entries
                .iter()
                .find(|(n, _)| n == name)
                .map(|(_, tensor)| tensor)
        }

        /// Takes the tensor of that name out.
        pub fn remove(&mut self, name: &str) -> Option<Tensor> {
            let at = self.entries.iter().position(|(n, _)| n == name)?;
            Some(self.entries.remove(at).1)
        }

        /// Names and tensors, in order of insertion.
        pub fn iter(&self) -> impl Iterator<Item = (&str, &Tensor)> {
            self.entries
                .iter()
                .map(|(name, tensor)| (name.as_str(), tensor))
        }

        /// Handles that share the tensors with this map.
        #[must_use]
        pub fn share(&self) -> NamedTensors {
            let named = |(name, tensor): &(String, Tensor)| NamedTensor {
                name: name.as_str().into(),
                tensor: tensor.shallow_clone().into(),
            };
            self.entries.iter().map(named).collect()
        }

        /// The number of tensors.
        #[must_use]
        pub fn len(&self) -> usize {
            self.entries.len()
        }

        /// Whether there is no tensor.
        #[must_use]
        pub fn is_empty(&self) -> bool {
            self.entries.is_empty()
        }
    }

    impl<S: Into<String>> FromIterator<(S, Tensor)> for TensorMap {
        fn from_iter<I: IntoIterator<Item = (S, Tensor)>>(items: I) -> Self {
            let mut map = Self::new();
            for (name, tensor) in items {
                map.insert(name, tensor);
            }
            map
        }
    }

    impl From<NamedTensors> for TensorMap {
        fn from(tensors: NamedTensors) -> Self {
            tensors
                .into_iter()
                .map(|t| (t.name.into_string(), Tensor::from(t.tensor)))
                .collect()
        }
    }

    impl From<TensorMap> for NamedTensors {
        fn from(map: TensorMap) -> Self {
            let named = |(name, tensor): (String, Tensor)| NamedTensor {
                name: name.into(),
                tensor: tensor.into(),
            };
            map.entries.into_iter().map(named).collect()
        }
    }

    /// Handles that share their tensors with `tensors`.
    pub(crate) fn share(tensors: &[&Tensor]) -> abi_stable::std_types::RVec<RawTensor> {
        tensors
            .iter()
            .map(|tensor| RawTensor::from(tensor.shallow_clone()))
            .collect()
    }
}
