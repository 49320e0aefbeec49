//! The table that a plugin exports.

use abi_stable::StableAbi;
use abi_stable::library::RootModule;
use abi_stable::package_version_strings;
use abi_stable::sabi_types::VersionStrings;
use abi_stable::std_types::{RBox, RStr, RString};

use super::AbiResult;
use super::metric::MetricObject_TO;
use super::model::{BuildObject_TO, ModelObject_TO};
use super::peft::PeftObject_TO;
use super::processor::ProcessorObject_TO;
use super::services::HostServicesRef;
use super::task::TaskObject_TO;

pub type BoxedMetric = MetricObject_TO<'static, RBox<()>>;
pub type BoxedTask = TaskObject_TO<'static, RBox<()>>;
pub type BoxedModel = ModelObject_TO<'static, RBox<()>>;
pub type BoxedPeft = PeftObject_TO<'static, RBox<()>>;
pub type BoxedProcessor = ProcessorObject_TO<'static, RBox<()>>;
pub type BoxedBuild = BuildObject_TO<'static, RBox<()>>;

/// Entry points of a plugin; each takes a component's id and its options as JSON.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = PluginRootRef)))]
#[sabi(missing_field(option))]
pub struct PluginRoot {
    pub manifest: extern "C" fn() -> RStr<'static>,
    pub start: extern "C" fn(HostServicesRef) -> AbiResult<()>,
    pub metric: extern "C" fn(RStr<'_>, RStr<'_>) -> AbiResult<BoxedMetric>,
    pub task: extern "C" fn(RStr<'_>, RStr<'_>) -> AbiResult<BoxedTask>,
    pub model: extern "C" fn(RStr<'_>, RStr<'_>, BoxedBuild) -> AbiResult<BoxedModel>,
    pub peft: extern "C" fn(RStr<'_>, RStr<'_>) -> AbiResult<BoxedPeft>,
    /// Options of the method that an adapter folder's `adapter_config.json` describes.
    #[sabi(last_prefix_field)]
    pub import_adapter: extern "C" fn(RStr<'_>, RStr<'_>) -> AbiResult<RString>,
    pub processor: extern "C" fn(RStr<'_>, RStr<'_>) -> AbiResult<BoxedProcessor>,
}

impl RootModule for PluginRootRef {
    abi_stable::declare_root_module_statics! {PluginRootRef}
    const BASE_NAME: &'static str = "tenon_plugin";
    const NAME: &'static str = "tenon_plugin";
    const VERSION_STRINGS: VersionStrings = package_version_strings!();
}
