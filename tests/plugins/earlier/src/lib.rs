//! A plugin built against an earlier minor version of plugin-api.
//!
//! Its authors answer methods that their version did not carry across the boundary yet, so that a
//! host which got the answer would be seen.

use tenon_plugin_api::metric::prelude::{Label, Metric, Pairs, Scores};
use tenon_plugin_api::peft::prelude::*;

/// The number of pairs.
pub struct Count(u64);

impl Metric for Count {
    const ID: &'static str = "earlier-count";
    type Options = ();
    type Input = Label;

    fn new((): ()) -> Result<Self> {
        Ok(Self(0))
    }

    fn update(&mut self, batch: Pairs<'_, Label>) -> Result<()> {
        self.0 += batch.len() as u64;
        Ok(())
    }

    fn merge(&mut self, other: Self) {
        self.0 += other.0;
    }

    fn compute(&self) -> Scores {
        Scores::one("count", self.0 as f64)
    }
}

/// Adds a trained vector to the output of query layers.
pub struct Shift;

struct ShiftAt(Tensor);

impl Peft for Shift {
    const ID: &'static str = "earlier-shift";
    type Options = ();

    fn new((): ()) -> Result<Self> {
        Ok(Self)
    }

    fn plan(&mut self, model: &ModelView) -> Result<Plan> {
        let sites = model.sites.iter().filter(|site| site.role == "query");
        Ok(Plan {
            sites: sites.map(|site| site.name.clone()).collect(),
            trainable: Vec::new(),
        })
    }

    fn attach(&mut self, site: &SiteInfo, _: &TensorMap, build: &Build) -> Result<Box<dyn Attach>> {
        let shift = build.param("shift", &[site.out_features], Init::Ones)?;
        Ok(Box::new(ShiftAt(shift)))
    }

    fn after_backward(&mut self, step: u64, _: u64) -> Result<()> {
        bail!(Other, "reached at step {step}")
    }

    fn is_redundant(&self, _: &str) -> bool {
        true
    }

    fn extra_loss(&self, _: &Forward) -> Result<Option<Tensor>> {
        Ok(Some(Tensor::from(1.0)))
    }
}

impl Attach for ShiftAt {
    fn forward(&self, tensors: Vec<Tensor>, _: &Forward) -> Result<Vec<Tensor>> {
        let output = tensors.get(1).context("no output of the layer")?;
        Ok(vec![output + &self.0])
    }

    fn delta(&self) -> Result<Option<TensorMap>> {
        Ok(Some(TensorMap::new().with("bias", self.0.detach())))
    }
}

tenon_plugin_api::register!(metric: Count, peft: Shift);
