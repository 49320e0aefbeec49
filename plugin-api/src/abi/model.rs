//! Models and what the host hands them while they are built; see [`crate::model`].

use abi_stable::std_types::{RBox, RStr, RString, RVec};
use abi_stable::{StableAbi, sabi_trait};

use super::AbiResult;
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
}
