//! Overrides `prefill` and `step`.

use tenon_plugin_api::model::prelude::*;

/// Keeps the tokens that it is given in the cache, and puts them out again.
pub struct Writer;

impl Model for Writer {
    const ID: &'static str = "writer";
    const MODEL_TYPES: &'static [&'static str] = &["writer"];
    const OFFERS: &'static [&'static str] = &["causal-lm"];
    const INPUTS: &'static [&'static str] = &["input_ids"];
    type Options = ();

    fn build((): (), _: &Build) -> Result<Self> {
        Ok(Self)
    }

    fn describe(&self) -> ModelInfo {
        ModelInfo::default()
    }

    fn forward(&self, _: &TensorMap, _: &Forward) -> Result<TensorMap> {
        bail!(Unsupported, "it only writes")
    }

    fn prefill(&self, inputs: &TensorMap, cache: &mut Cache, _: &Forward) -> Result<TensorMap> {
        let ids = inputs.require("input_ids")?;
        cache.set("prompt", Entry::Prompt, ids.shallow_clone())?;
        cache.set("last", Entry::State, ids.f_select(1, -1)?)?;
        let shape = [cache.slots(), cache.capacity()];
        let mut timed = cache.entry("tokens", Entry::Timed, || {
            Tensor::f_zeros(shape, (Kind::Int64, Device::Cpu))
        })?;
        timed = timed
            .f_narrow(0, 0, cache.rows())?
            .f_narrow(1, 0, ids.size()[1])?;
        timed.f_copy_(ids)?;
        Ok(TensorMap::new().with("logits", ids.shallow_clone()))
    }

    fn step(&self, inputs: &TensorMap, cache: &mut Cache, _: &Forward) -> Result<TensorMap> {
        let ids = inputs.require("input_ids")?;
        let timed = cache.get("tokens").context("tokens of a prompt")?;
        let mut here = timed
            .f_narrow(0, 0, cache.rows())?
            .f_select(1, cache.length())?;
        here.f_copy_(ids)?;
        let last = cache.get("last").context("a last token")?;
        let outputs = TensorMap::new().with("logits", last.shallow_clone());
        cache.set("last", Entry::State, ids.shallow_clone())?;
        Ok(outputs)
    }
}
