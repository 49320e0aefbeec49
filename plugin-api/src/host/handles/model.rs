//! A model as a host calls it.

use super::build::{BuildHost, serve};
use crate::abi::model::RawStep;
use crate::abi::root::BoxedModel;
use crate::abi::{AbiResult, from_json};
use crate::cache::Cache;
use crate::error::Result;
use crate::host::Component;
use crate::info::ModelInfo;
use crate::model::{Forward, Model, map};
use crate::tensor::TensorMap;

/// A model of a plugin.
pub struct ModelHandle {
    object: BoxedModel,
    from: Component,
}

impl ModelHandle {
    pub(in crate::host) fn new(object: BoxedModel, from: Component) -> Self {
        Self { object, from }
    }

    /// A model of this program, through the same adapter as one of a plugin.
    ///
    /// # Errors
    /// It refuses the options, or building fails.
    pub fn of<M: Model>(options: &str, build: impl BuildHost) -> Result<Self> {
        let from = Component::here(M::ID);
        from.answer(crate::model::create::<M>(options, serve(build)))
            .map(|object| Self::new(object, from))
    }

    /// What it tells of itself.
    ///
    /// # Errors
    /// The model failed.
    pub fn describe(&self) -> Result<ModelInfo> {
        from_json(self.from.answer(self.object.describe())?.as_str())
    }

    /// Computes named outputs from named inputs.
    ///
    /// # Errors
    /// An input is missing or of a wrong shape, or libtorch refuses an operation.
    pub fn forward(&self, inputs: &TensorMap, forward: &Forward) -> Result<TensorMap> {
        self.from
            .answer(self.object.forward(forward.args(), inputs.share()))
            .map(map)
    }

    /// Begins a decoding: reads the prompts into the cache. The cache is empty again after an error.
    ///
    /// # Errors
    /// As [`ModelHandle::forward`]; a model that does not generate.
    pub fn prefill(
        &self,
        inputs: &TensorMap,
        cache: &mut Cache,
        forward: &Forward,
    ) -> Result<TensorMap> {
        let raw = std::mem::replace(cache, Cache::new(Vec::new(), 0, 0)?).into_raw();
        let answered = self.object.prefill(forward.args(), inputs.share(), raw);
        self.taken_back(answered, cache)
    }

    /// Goes on by one token a row. The cache is empty after an error.
    ///
    /// # Errors
    /// As [`ModelHandle::prefill`].
    pub fn step(
        &self,
        inputs: &TensorMap,
        cache: &mut Cache,
        forward: &Forward,
    ) -> Result<TensorMap> {
        let raw = std::mem::replace(cache, Cache::new(Vec::new(), 0, 0)?).into_raw();
        let answered = self.object.step(forward.args(), inputs.share(), raw);
        self.taken_back(answered, cache)
    }

    fn taken_back(&self, answered: AbiResult<RawStep>, cache: &mut Cache) -> Result<TensorMap> {
        let step = self.from.answer(answered)?;
        *cache = Cache::from_raw(step.cache);
        Ok(map(step.outputs))
    }
}
