//! Overrides all that a PEFT method, and what it attaches, may.

use tenon_plugin_api::peft::prelude::*;

/// Attaches everywhere.
pub struct Everything {
    step: u64,
}

struct Attached;

impl Peft for Everything {
    const ID: &'static str = "everything";
    const ABOUT: &'static str = "Overrides what a PEFT method may.";
    const PEFT_TYPES: &'static [&'static str] = &["EVERYTHING"];
    type Options = ();

    fn new((): ()) -> Result<Self> {
        Ok(Self { step: 0 })
    }

    fn plan(&mut self, model: &ModelView) -> Result<Plan> {
        Ok(Plan {
            sites: model.sites.iter().map(|site| site.name.clone()).collect(),
            trainable: Vec::new(),
        })
    }

    fn attach(&mut self, _: &SiteInfo, _: &TensorMap, _: &Build) -> Result<Box<dyn Attach>> {
        Ok(Box::new(Attached))
    }

    fn adapter_config(&self, model: &ModelView) -> Result<Option<Map<String, Value>>> {
        let entry = ("model".to_owned(), json!(model.model));
        Ok(Some(Map::from_iter([entry])))
    }

    fn import(config: &Map<String, Value>) -> Result<Map<String, Value>> {
        Ok(Map::from_iter([("imported".to_owned(), json!(config))]))
    }

    fn file_name(&self, parameter: &str) -> String {
        format!("file.{parameter}")
    }

    fn is_redundant(&self, tensor: &str) -> bool {
        tensor == "copy"
    }

    fn after_backward(&mut self, step: u64, total: u64) -> Result<()> {
        self.step = step * 100 + total;
        Ok(())
    }

    fn extra_loss(&self, _: &Forward) -> Result<Option<Tensor>> {
        Ok(Some(Tensor::from(self.step as f64)))
    }
}

impl Attach for Attached {
    fn forward(&self, tensors: Vec<Tensor>, _: &Forward) -> Result<Vec<Tensor>> {
        Ok(tensors)
    }

    fn delta(&self) -> Result<Option<TensorMap>> {
        Ok(Some(TensorMap::new().with("bias", Tensor::from(3.0))))
    }
}
