//! Processors of scores; see [`crate::processor::Processor`].

use abi_stable::std_types::{RSlice, RSliceMut, RStr};
use abi_stable::{StableAbi, sabi_trait};

use super::AbiResult;

/// A sequence that is being written.
#[repr(C)]
#[derive(StableAbi, Clone, Copy, Debug)]
pub struct RawSequence<'a> {
    pub tokens: RSlice<'a, u32>,
    pub prompt: u64,
    pub source: RSlice<'a, u32>,
    pub siblings: RSlice<'a, u32>,
    pub reserved: [u64; 4],
}

#[sabi_trait]
pub trait ProcessorObject: Send + Sync {
    /// `decoding`: JSON of [`crate::processor::Decoding`].
    fn begin(&mut self, decoding: RStr<'_>) -> AbiResult<()>;
    #[sabi(last_prefix_field)]
    fn process(&self, sequence: RawSequence<'_>, scores: RSliceMut<'_, f32>) -> AbiResult<()>;
}
