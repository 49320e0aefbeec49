//! PEFT methods and what they attach; see [`crate::peft`].

use abi_stable::sabi_trait;
use abi_stable::std_types::{RBox, ROption, RStr, RString, RVec};

use super::AbiResult;
use super::model::{BuildObject_TO, ForwardArgs};
use crate::tensor::{NamedTensors, RawTensor};

#[sabi_trait]
pub trait PeftObject: Send {
    fn plan(&mut self, view: RStr<'_>) -> AbiResult<RString>;
    fn attach(
        &mut self,
        site: RStr<'_>,
        tensors: NamedTensors,
        build: BuildObject_TO<'static, RBox<()>>,
    ) -> AbiResult<AttachedObject_TO<'static, RBox<()>>>;
    fn adapter_config(&self, view: RStr<'_>) -> AbiResult<ROption<RString>>;
    #[sabi(last_prefix_field)]
    fn file_name(&self, parameter: RStr<'_>) -> AbiResult<RString>;
    fn after_backward(&mut self, _step: u64, _total: u64) -> AbiResult<()> {
        AbiResult::ROk(())
    }
    fn extra_loss(&self, _args: ForwardArgs) -> AbiResult<ROption<RawTensor>> {
        AbiResult::ROk(ROption::RNone)
    }
    fn is_redundant(&self, _tensor: RStr<'_>) -> AbiResult<bool> {
        AbiResult::ROk(false)
    }
}

#[sabi_trait]
pub trait AttachedObject: Send {
    #[sabi(last_prefix_field)]
    fn forward(&self, args: ForwardArgs, tensors: RVec<RawTensor>) -> AbiResult<RVec<RawTensor>>;
    fn delta(&self) -> AbiResult<ROption<NamedTensors>> {
        AbiResult::ROk(ROption::RNone)
    }
}
