//! Models and what the host hands them while they are built; see [`crate::model`].

use abi_stable::std_types::{RBox, ROption, RResult, RStr, RString, RVec};
use abi_stable::{StableAbi, sabi_trait};

use super::AbiResult;
use crate::error::Error;
use crate::tensor::{NamedTensors, RawTensor};

/// What goes with every forward call.
#[repr(C)]
#[derive(StableAbi, Clone, Copy, Debug, Default)]
pub struct ForwardArgs {
    /// Seed of all randomness of this call.
    pub seed: u64,
    /// Bit 0: training.
    pub flags: u64,
    pub reserved: [u64; 6],
}

/// A parameter or buffer that a builder asks the host for.
#[repr(C)]
#[derive(StableAbi, Clone, Debug)]
pub struct ParamRequest<'a> {
    pub name: RStr<'a>,
    pub shape: RVec<i64>,
    /// JSON of [`crate::model::Init`].
    pub init: RStr<'a>,
    /// Bit 0: pretrained weights need not have it. Bit 1: and yet it is of no head. Bits 8 to 15:
    /// the code of its [`crate::info::ParamRole`], 0 for none.
    pub flags: u64,
}

#[sabi_trait]
pub trait BuildObject: Send {
    fn param(&mut self, request: ParamRequest<'_>) -> AbiResult<RawTensor>;
    /// `site`: JSON of [`crate::model::SiteInfo`]; `tensors`: its weight and bias.
    fn site(
        &mut self,
        site: RStr<'_>,
        tensors: NamedTensors,
    ) -> AbiResult<SiteObject_TO<'static, RBox<()>>>;
    /// JSON of [`crate::model::BuildInfo`].
    #[sabi(last_prefix_field)]
    fn info(&self) -> RString;
}

#[sabi_trait]
pub trait SiteObject: Send {
    /// How many computations are attached at the moment.
    fn attached(&self) -> u32;
    #[sabi(last_prefix_field)]
    fn apply(&self, args: ForwardArgs, tensors: RVec<RawTensor>) -> AbiResult<RVec<RawTensor>>;
}

#[sabi_trait]
pub trait ModelObject: Send {
    fn describe(&self) -> AbiResult<RString>;
    #[sabi(last_prefix_field)]
    fn forward(&self, args: ForwardArgs, inputs: NamedTensors) -> AbiResult<NamedTensors>;
    fn prefill(
        &self,
        _args: ForwardArgs,
        _inputs: NamedTensors,
        _cache: RawCache,
    ) -> AbiResult<RawStep> {
        RResult::RErr(Error::unsupported(WRITES_NOTHING).into())
    }
    fn step(
        &self,
        _args: ForwardArgs,
        _inputs: NamedTensors,
        _cache: RawCache,
    ) -> AbiResult<RawStep> {
        RResult::RErr(Error::unsupported(WRITES_NOTHING).into())
    }
}

pub(crate) const WRITES_NOTHING: &str = "the model does not generate text";

/// A tensor in a cache.
#[repr(C)]
#[derive(StableAbi, Debug)]
pub struct RawEntry {
    pub name: RString,
    /// The code of a [`crate::cache::Entry`].
    pub entry: u32,
    pub tensor: RawTensor,
}

/// A [`crate::cache::Cache`] on its way.
#[repr(C)]
#[derive(StableAbi, Debug)]
pub struct RawCache {
    pub entries: RVec<RawEntry>,
    pub starts: RVec<i64>,
    pub owners: RVec<i64>,
    pub table: ROption<RawTensor>,
    pub slots: i64,
    pub length: i64,
    pub capacity: i64,
    /// Bit 0: hidden states are wanted.
    pub flags: u64,
    pub reserved: [u64; 4],
}

/// What a step of a decoding answers.
#[repr(C)]
#[derive(StableAbi, Debug)]
pub struct RawStep {
    pub outputs: NamedTensors,
    pub cache: RawCache,
}
