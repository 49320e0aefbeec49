//! Components that do nothing, so that a call of them costs what calling costs.
//!
//! `examples/noop.rs` makes a plugin of them, and `src/boundary.rs` times the same calls three
//! ways: as a Rust method, through the adapter in the same program, and through the adapter in a
//! library opened at run time.

use tenon_plugin_api::Result;
use tenon_plugin_api::info::{ModelInfo, ModelView, Plan, SiteInfo};
use tenon_plugin_api::metric::{Label, Metric, Pairs, Scores};
use tenon_plugin_api::model::{Build, Forward, Model};
use tenon_plugin_api::peft::{Attach, Peft};
use tenon_plugin_api::tch::Tensor;
use tenon_plugin_api::tensor::TensorMap;

/// Looks at nothing.
pub struct Blind;

impl Metric for Blind {
    const ID: &'static str = "blind";
    const ABOUT: &'static str = "Looks at nothing.";
    type Options = ();
    type Input = Label;

    fn new((): ()) -> Result<Self> {
        Ok(Self)
    }

    fn update(&mut self, _: Pairs<'_, Label>) -> Result<()> {
        Ok(())
    }

    fn merge(&mut self, _: Self) {}

    fn compute(&self) -> Scores {
        Scores::one("nothing", 0.0)
    }
}

/// Gives its inputs back.
pub struct Echo;

impl Model for Echo {
    const ID: &'static str = "echo";
    const ABOUT: &'static str = "Gives its inputs back.";
    const MODEL_TYPES: &'static [&'static str] = &["echo"];
    const OFFERS: &'static [&'static str] = &["encoder"];
    const INPUTS: &'static [&'static str] = &["hidden_states"];
    type Options = ();

    fn build((): (), _: &Build) -> Result<Self> {
        Ok(Self)
    }

    fn describe(&self) -> ModelInfo {
        ModelInfo::default()
    }

    fn forward(&self, inputs: &TensorMap, _: &Forward) -> Result<TensorMap> {
        let all = inputs.iter();
        Ok(all
            .map(|(name, tensor)| (name, tensor.shallow_clone()))
            .collect())
    }
}

/// Attaches a computation that hands its tensors on.
pub struct Through;

impl Peft for Through {
    const ID: &'static str = "through";
    const ABOUT: &'static str = "Hands tensors on.";
    type Options = ();

    fn new((): ()) -> Result<Self> {
        Ok(Self)
    }

    fn plan(&mut self, _: &ModelView) -> Result<Plan> {
        Ok(Plan::default())
    }

    fn attach(&mut self, _: &SiteInfo, _: &TensorMap, _: &Build) -> Result<Box<dyn Attach>> {
        Ok(Box::new(Self))
    }
}

impl Attach for Through {
    fn forward(&self, tensors: Vec<Tensor>, _: &Forward) -> Result<Vec<Tensor>> {
        Ok(tensors)
    }
}
