//! Tasks; see [`crate::task::Task`].

use abi_stable::std_types::{ROption, RResult, RSlice, RStr, RString, RVec};
use abi_stable::{StableAbi, sabi_trait};

use super::AbiResult;
use super::tokenizer::TokenizerObject_TO;
use crate::error::Error;
use crate::tensor::{NamedTensors, RawTensor};
use crate::values::Values;

/// A batch of records: named columns of one length.
#[repr(C)]
#[derive(StableAbi, Clone, Debug)]
pub struct RawRecords {
    pub names: RVec<RString>,
    pub columns: RVec<Values>,
    /// Columns × rows, 1 where the cell is missing; empty when none is.
    pub nulls: RVec<RVec<u8>>,
    pub len: u64,
}

/// One field of many examples, flat.
#[repr(C)]
#[derive(StableAbi, Clone, Debug, Default)]
pub struct RawField {
    pub name: RString,
    pub ints: RVec<i64>,
    pub floats: RVec<f32>,
    /// Whether `floats` holds the values.
    pub is_float: bool,
    /// Example → first value; examples + 1 entries.
    pub offsets: RVec<u64>,
}

/// Encoded examples.
#[repr(C)]
#[derive(StableAbi, Clone, Debug, Default)]
pub struct RawExamples {
    pub fields: RVec<RawField>,
    /// Example → index of its record in the batch of records.
    pub records: RVec<u64>,
}

/// A loss: the sum over what counts, and the count.
#[repr(C)]
#[derive(StableAbi, Debug)]
pub struct RawLoss {
    pub sum: RawTensor,
    pub weight: f64,
}

/// Predictions with their references.
#[repr(C)]
#[derive(StableAbi, Clone, Debug)]
pub struct RawPredictions {
    pub predictions: Values,
    pub references: ROption<Values>,
}

#[sabi_trait]
pub trait TaskObject: Send + Sync {
    fn describe(&self) -> AbiResult<RString>;
    fn prepare(&mut self, data: RStr<'_>) -> AbiResult<()>;
    fn encode(
        &self,
        records: &RawRecords,
        tokenizer: &TokenizerObject_TO<'static, abi_stable::std_types::RBox<()>>,
    ) -> AbiResult<RawExamples>;
    fn loss(&self, outputs: NamedTensors, batch: NamedTensors) -> AbiResult<RawLoss>;
    #[sabi(last_prefix_field)]
    fn predict(&self, outputs: NamedTensors, batch: NamedTensors) -> AbiResult<RawPredictions>;
    fn encode_prompt(
        &self,
        _records: &RawRecords,
        _tokenizer: &TokenizerObject_TO<'static, abi_stable::std_types::RBox<()>>,
    ) -> AbiResult<RawExamples> {
        RResult::RErr(Error::unsupported("the task has no prompts").into())
    }
    /// `owners`: example → index of its record among `records`, ascending.
    fn conclude(
        &self,
        _records: &RawRecords,
        _found: &Values,
        _owners: RSlice<'_, u64>,
    ) -> AbiResult<RawPredictions> {
        RResult::RErr(Error::unsupported("the task concludes nothing").into())
    }
}
