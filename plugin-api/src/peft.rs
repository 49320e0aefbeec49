//! PEFT methods: what an author of parameter-efficient fine-tuning implements.
//!
//! A method is shown the model's sites and parameters, answers where it attaches and what stays
//! trainable, and provides the attached computation. It never knows which model it is on, and no
//! model knows the methods.

use abi_stable::std_types::{ROption, RVec};
use serde_json::{Map, Value};
use tch::Tensor;

use crate::abi::model::ForwardArgs;
use crate::abi::peft::{AttachedObject, AttachedObject_TO, PeftObject, PeftObject_TO};
use crate::abi::root::BoxedBuild;
use crate::abi::{AbiResult, RBox, RStr, RString, TD_Opaque, from_json, to_json};
use crate::error::{Error, Result};
use crate::info::{ModelView, Plan, SiteInfo};
use crate::model::{Build, Forward, map, tensors};
use crate::options::Options;
use crate::panic::{Contained, guard};
use crate::tensor::{NamedTensors, RawTensor, TensorMap};

/// What an author of a PEFT method imports.
pub mod prelude {
    pub use super::{Attach, Peft};
    pub use crate::error::{Context as _, Error, ErrorCode, Result};
    pub use crate::info::{Init, ModelView, ParamInfo, ParamRole, Plan, SiteInfo, SiteKind};
    pub use crate::model::{Build, Forward};
    pub use crate::options::{OneOrMany, Options, Sites};
    pub use crate::tensor::TensorMap;
    pub use crate::{bail, ensure, register};
    pub use serde_json::{Map, Value, json};
    pub use tch::{self, Device, IndexOp as _, Kind, Tensor};
}

/// A method of parameter-efficient fine-tuning, such as LoRA.
pub trait Peft: Sized + Send + 'static {
    /// The name that users write, in kebab-case.
    const ID: &'static str;
    /// One line on what it does, for `tenon plugin inspect`.
    const ABOUT: &'static str = "";
    /// Values of `peft_type` in `adapter_config.json` that it reads; empty when it writes no
    /// adapter folder.
    const PEFT_TYPES: &'static [&'static str] = &[];
    /// What a run file may set.
    type Options: Options;

    /// Creates the method from its options.
    ///
    /// # Errors
    /// The options do not fit together.
    fn new(options: Self::Options) -> Result<Self>;

    /// Where it attaches and what stays trainable.
    ///
    /// # Errors
    /// A target matches nothing; each misspelt one is named.
    fn plan(&mut self, model: &ModelView) -> Result<Plan>;

    /// Provides the computation at a site of the plan. `weights` are the site's own (`weight`,
    /// `bias`); parameters that it asks `build` for are trainable and named below the site.
    ///
    /// # Errors
    /// The site is of a kind that the method does not know.
    fn attach(
        &mut self,
        site: &SiteInfo,
        weights: &TensorMap,
        build: &Build,
    ) -> Result<Box<dyn Attach>>;

    /// What goes into `adapter_config.json`; `None` when the result is a whole model.
    ///
    /// # Errors
    /// The options cannot be expressed in the file.
    fn adapter_config(&self, _model: &ModelView) -> Result<Option<Map<String, Value>>> {
        Ok(None)
    }

    /// The options that an `adapter_config.json` describes.
    ///
    /// # Errors
    /// The file asks for what the method does not offer.
    fn import(_config: &Map<String, Value>) -> Result<Map<String, Value>> {
        Err(Error::unsupported(format!(
            "`{}` reads no adapter folders",
            Self::ID
        )))
    }

    /// Name of a trained parameter in the adapter file.
    fn file_name(&self, parameter: &str) -> String {
        format!("base_model.model.{parameter}")
    }

    /// Whether a tensor of an adapter file that is no trained parameter's may be left out of
    /// account, such as a copy of another; all others are errors.
    fn is_redundant(&self, _tensor: &str) -> bool {
        false
    }

    /// Called after each backward pass, before the optimizer's step (`step` of `total`).
    ///
    /// # Errors
    /// Stops the run.
    fn after_backward(&mut self, _step: u64, _total: u64) -> Result<()> {
        Ok(())
    }

    /// A scalar that is added to the normalised loss of each step.
    ///
    /// # Errors
    /// Stops the run.
    fn extra_loss(&self, _forward: &Forward) -> Result<Option<Tensor>> {
        Ok(None)
    }
}

/// The computation that a PEFT method attaches to a site.
pub trait Attach: Send {
    /// Passes tensors through; which they are, [`crate::info::SiteKind`] says. For a linear site:
    /// input and output of the layer in, the new output out.
    ///
    /// # Errors
    /// libtorch refuses an operation.
    fn forward(&self, tensors: Vec<Tensor>, forward: &Forward) -> Result<Vec<Tensor>>;

    /// What to add to the site's weights (`weight`, `bias`; float32) so that the attachment can
    /// go; `None` when it cannot be merged.
    ///
    /// # Errors
    /// libtorch refuses an operation.
    fn delta(&self) -> Result<Option<TensorMap>> {
        Ok(None)
    }
}

struct Adapter<P>(Contained<P>);

struct Attached(Contained<Box<dyn Attach>>);

impl<P: Peft> PeftObject for Adapter<P> {
    fn plan(&mut self, view: RStr<'_>) -> AbiResult<RString> {
        guard(P::ID, || to_json(&self.0.plan(&from_json(view.as_str())?)?))
    }

    fn attach(
        &mut self,
        site: RStr<'_>,
        weights: NamedTensors,
        build: BoxedBuild,
    ) -> AbiResult<AttachedObject_TO<'static, RBox<()>>> {
        guard(P::ID, || {
            let site: SiteInfo = from_json(site.as_str())?;
            let build = Build::open(build)?.sub(&site.name).as_new();
            let inner = self.0.attach(&site, &map(weights), &build)?;
            Ok(AttachedObject_TO::from_value(
                Attached(Contained::new(P::ID, inner)),
                TD_Opaque,
            ))
        })
    }

    fn adapter_config(&self, view: RStr<'_>) -> AbiResult<ROption<RString>> {
        guard(P::ID, || {
            let config = self.0.adapter_config(&from_json(view.as_str())?)?;
            Ok(config.map(|config| to_json(&config)).transpose()?.into())
        })
    }

    fn file_name(&self, parameter: RStr<'_>) -> AbiResult<RString> {
        guard(P::ID, || Ok(self.0.file_name(parameter.as_str()).into()))
    }

    fn after_backward(&mut self, step: u64, total: u64) -> AbiResult<()> {
        guard(P::ID, || self.0.after_backward(step, total))
    }

    fn extra_loss(&self, args: ForwardArgs) -> AbiResult<ROption<RawTensor>> {
        guard(P::ID, || {
            Ok(self
                .0
                .extra_loss(&Forward::from_args(args))?
                .map(RawTensor::from)
                .into())
        })
    }

    fn is_redundant(&self, tensor: RStr<'_>) -> AbiResult<bool> {
        guard(P::ID, || Ok(self.0.is_redundant(tensor.as_str())))
    }
}

impl AttachedObject for Attached {
    fn forward(&self, args: ForwardArgs, raw: RVec<RawTensor>) -> AbiResult<RVec<RawTensor>> {
        guard(self.0.component(), || {
            let out = self.0.forward(tensors(raw), &Forward::from_args(args))?;
            Ok(out.into_iter().map(RawTensor::from).collect())
        })
    }

    fn delta(&self) -> AbiResult<ROption<NamedTensors>> {
        guard(self.0.component(), || {
            Ok(self.0.delta()?.map(NamedTensors::from).into())
        })
    }
}

/// Creates a method from its options as JSON; what `register!` puts in the plugin's table.
pub fn create<P: Peft>(options: &str) -> AbiResult<PeftObject_TO<'static, RBox<()>>> {
    guard(P::ID, || {
        let method = P::new(P::Options::from_json(options)?)?;
        Ok(PeftObject_TO::from_value(
            Adapter(Contained::new(P::ID, method)),
            TD_Opaque,
        ))
    })
}

/// Reads an `adapter_config.json`; what `register!` puts in the plugin's table.
pub fn import<P: Peft>(config: &str) -> AbiResult<RString> {
    guard(P::ID, || to_json(&P::import(&from_json(config)?)?))
}
