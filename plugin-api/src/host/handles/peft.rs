//! A PEFT method and what it attaches, as a host calls them.

use abi_stable::std_types::{RBox, RString};
use tch::Tensor;

use super::build::{BuildHost, serve};
use crate::abi::peft::AttachedObject_TO;
use crate::abi::root::BoxedPeft;
use crate::abi::{from_json, to_json};
use crate::error::Result;
use crate::host::Component;
use crate::info::{ModelView, Plan, SiteInfo};
use crate::model::{Forward, map, tensors};
use crate::peft::Peft;
use crate::tensor::{RawTensor, TensorMap};

/// A PEFT method of a plugin.
pub struct PeftHandle {
    object: BoxedPeft,
    from: Component,
}

impl PeftHandle {
    pub(in crate::host) fn new(object: BoxedPeft, from: Component) -> Self {
        Self { object, from }
    }

    /// A method of this program, through the same adapter as one of a plugin.
    ///
    /// # Errors
    /// It refuses the options.
    pub fn of<P: Peft>(options: &str) -> Result<Self> {
        let from = Component::here(P::ID);
        from.answer(crate::peft::create::<P>(options))
            .map(|object| Self::new(object, from))
    }

    /// Where it attaches and what stays trainable.
    ///
    /// # Errors
    /// A target matches nothing.
    pub fn plan(&mut self, model: &ModelView) -> Result<Plan> {
        let text = to_json(model)?;
        from_json(self.from.answer(self.object.plan(text.as_rstr()))?.as_str())
    }

    /// The computation at a site.
    ///
    /// # Errors
    /// The method cannot attach there.
    pub fn attach(
        &mut self,
        site: &SiteInfo,
        weights: &TensorMap,
        build: impl BuildHost,
    ) -> Result<AttachedHandle> {
        let text = to_json(site)?;
        let object = self.from.answer(self.object.attach(
            text.as_rstr(),
            weights.share(),
            serve(build),
        ))?;
        let from = self.from.clone();
        Ok(AttachedHandle { object, from })
    }

    /// What goes into `adapter_config.json`; `None` when the result is a whole model.
    ///
    /// # Errors
    /// The options cannot be expressed in the file.
    pub fn adapter_config(
        &self,
        model: &ModelView,
    ) -> Result<Option<serde_json::Map<String, serde_json::Value>>> {
        let text = to_json(model)?;
        let config = self
            .from
            .answer(self.object.adapter_config(text.as_rstr()))?
            .into_option();
        config.map(|config| from_json(config.as_str())).transpose()
    }

    /// Name of a trained parameter in the adapter file.
    ///
    /// # Errors
    /// The method failed.
    pub fn file_name(&self, parameter: &str) -> Result<String> {
        self.from
            .answer(self.object.file_name(parameter.into()))
            .map(RString::into_string)
    }

    /// Whether a tensor of an adapter file that is no trained parameter's may be left out of
    /// account.
    ///
    /// # Errors
    /// The method failed.
    pub fn is_redundant(&self, tensor: &str) -> Result<bool> {
        self.from.answer(self.object.is_redundant(tensor.into()))
    }

    /// After each backward pass, before the optimizer's step.
    ///
    /// # Errors
    /// The method failed.
    pub fn after_backward(&mut self, step: u64, total: u64) -> Result<()> {
        self.from.answer(self.object.after_backward(step, total))
    }

    /// A scalar to add to the normalised loss.
    ///
    /// # Errors
    /// The method failed.
    pub fn extra_loss(&self, forward: &Forward) -> Result<Option<Tensor>> {
        Ok(self
            .from
            .answer(self.object.extra_loss(forward.fork()))?
            .into_option()
            .map(Tensor::from))
    }
}

/// An attached computation of a plugin.
pub struct AttachedHandle {
    object: AttachedObject_TO<'static, RBox<()>>,
    from: Component,
}

impl AttachedHandle {
    /// Passes tensors through.
    ///
    /// # Errors
    /// libtorch refuses an operation.
    pub fn forward(&self, raw: Vec<Tensor>, forward: &Forward) -> Result<Vec<Tensor>> {
        let raw = raw.into_iter().map(RawTensor::from).collect();
        self.from
            .answer(self.object.forward(forward.args(), raw))
            .map(tensors)
    }

    /// What to add to the site's weights so that the attachment can go.
    ///
    /// # Errors
    /// libtorch refuses an operation.
    pub fn delta(&self) -> Result<Option<TensorMap>> {
        Ok(self
            .from
            .answer(self.object.delta())?
            .into_option()
            .map(map))
    }
}
