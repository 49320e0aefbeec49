//! What a host provides to a model that is built: parameters and sites.

use abi_stable::std_types::{RBox, RStr, RString, RVec};
use tch::Tensor;

use crate::abi::model::{
    BuildObject, BuildObject_TO, ForwardArgs, ParamRequest, SiteObject, SiteObject_TO,
};
use crate::abi::root::BoxedBuild;
use crate::abi::{AbiResult, TD_Opaque, from_json, to_json};
use crate::error::Result;
use crate::info::{BuildInfo, Init, ParamRole, SiteInfo, Tie};
use crate::model::{Forward, map, tensors};
use crate::panic::{contain, guard};
use crate::tensor::{NamedTensors, RawTensor, TensorMap};

/// What a host implements to provide parameters and sites.
pub trait BuildHost: Send + 'static {
    /// The parameter `name`; `new` when pretrained weights need not have it.
    ///
    /// # Errors
    /// The weights lack it or have it in another shape.
    fn param(&mut self, name: &str, shape: &[i64], init: Init, new: bool) -> Result<Tensor>;
    /// The parameter `name`, which is the parameter `to` unless the weights have one of its own, with other
    /// values.
    ///
    /// # Errors
    /// `to` was not provided, or one of the two has another shape.
    fn tied(&mut self, _name: &str, to: &str, shape: &[i64]) -> Result<Tensor> {
        self.param(to, shape, Init::Zeros, false)
    }
    /// The parameter `name`, which was provided as new, is of no head.
    fn below_head(&mut self, _name: &str) {}
    /// What the parameter `name` is, told once it was provided, where the plugin says so.
    fn role(&mut self, _name: &str, _role: ParamRole) {}
    /// A site, with its weights.
    ///
    /// # Errors
    /// A site of that name exists.
    fn site(&mut self, site: SiteInfo, weights: TensorMap) -> Result<Box<dyn SiteHost>>;
    /// What the builder is told.
    fn info(&self) -> BuildInfo;
}

/// What a host implements to pass tensors through what is attached at a site.
pub trait SiteHost: Send + 'static {
    /// How many computations are attached.
    fn attached(&self) -> u32;
    /// Passes tensors through all of them.
    ///
    /// # Errors
    /// Those of the attached computations.
    fn apply(&self, tensors: Vec<Tensor>, forward: &Forward) -> Result<Vec<Tensor>>;
}

struct Served<T>(T);

impl<B: BuildHost> BuildObject for Served<B> {
    fn param(&mut self, request: ParamRequest<'_>) -> AbiResult<RawTensor> {
        guard("host", || {
            let (name, init) = (request.name.as_str(), request.init.as_str());
            let new = request.flags & 1 != 0;
            let tensor = match from_json(init) {
                Ok(Tie::Tied { to }) => self.0.tied(name, &to, &request.shape)?,
                Err(_) => self.0.param(name, &request.shape, from_json(init)?, new)?,
            };
            if request.flags & 2 != 0 {
                self.0.below_head(name);
            }
            if let Some(role) = ParamRole::from_code(request.flags >> 8 & 0xff) {
                self.0.role(name, role);
            }
            Ok(tensor.into())
        })
    }

    fn site(
        &mut self,
        site: RStr<'_>,
        weights: NamedTensors,
    ) -> AbiResult<SiteObject_TO<'static, RBox<()>>> {
        guard("host", || {
            let site = self.0.site(from_json(site.as_str())?, map(weights))?;
            Ok(SiteObject_TO::from_value(Served(site), TD_Opaque))
        })
    }

    fn info(&self) -> RString {
        // Empty is no JSON: the builder then fails instead of building something else.
        contain(RString::new(), || {
            to_json(&self.0.info()).unwrap_or_default()
        })
    }
}

impl SiteObject for Served<Box<dyn SiteHost>> {
    fn attached(&self) -> u32 {
        // Not 0 after a panic, so that `apply` is called and tells.
        contain(u32::MAX, || self.0.attached())
    }

    fn apply(&self, args: ForwardArgs, raw: RVec<RawTensor>) -> AbiResult<RVec<RawTensor>> {
        guard("host", || {
            let out = self.0.apply(tensors(raw), &Forward::from_args(args))?;
            Ok(out.into_iter().map(RawTensor::from).collect())
        })
    }
}

pub(in crate::host) fn serve(build: impl BuildHost) -> BoxedBuild {
    BuildObject_TO::from_value(Served(build), TD_Opaque)
}
