//! A model of one parameter, with faults.

use tenon_plugin_api::model::prelude::*;

use crate::options::Faults;

/// Multiplies its input by a matrix.
pub struct FaultyModel {
    faults: Faults,
    weight: Tensor,
}

impl Model for FaultyModel {
    const ID: &'static str = "faulty-model";
    const MODEL_TYPES: &'static [&'static str] = &["faulty"];
    const OFFERS: &'static [&'static str] = &["encoder"];
    const INPUTS: &'static [&'static str] = &["inputs"];
    type Options = Faults;

    fn build(faults: Faults, build: &Build) -> Result<Self> {
        faults.at("build")?;
        let weight = build.param("weight", &[2, 2], Init::Ones)?;
        Ok(Self { faults, weight })
    }

    fn describe(&self) -> ModelInfo {
        self.faults.panic_at("describe");
        ModelInfo::default()
    }

    fn forward(&self, inputs: &TensorMap, _: &Forward) -> Result<TensorMap> {
        self.faults.at("forward")?;
        // A wrong shape is libtorch's own error.
        let logits = inputs.require("inputs")?.f_matmul(&self.weight)?;
        Ok(TensorMap::new().with("logits", logits))
    }

    fn prefill(&self, inputs: &TensorMap, _: &mut Cache, forward: &Forward) -> Result<TensorMap> {
        self.faults.at("prefill")?;
        self.forward(inputs, forward)
    }

    fn step(&self, inputs: &TensorMap, _: &mut Cache, forward: &Forward) -> Result<TensorMap> {
        self.faults.at("step")?;
        self.forward(inputs, forward)
    }
}
