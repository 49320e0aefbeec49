//! A PEFT method that attaches everywhere and changes nothing, with faults.

use tenon_plugin_api::peft::prelude::*;

use crate::options::Faults;

/// Attaches everywhere.
pub struct FaultyPeft {
    faults: Faults,
}

struct Attached {
    faults: Faults,
}

impl Peft for FaultyPeft {
    const ID: &'static str = "faulty-peft";
    type Options = Faults;

    fn new(faults: Faults) -> Result<Self> {
        faults.at("new")?;
        Ok(Self { faults })
    }

    fn plan(&mut self, model: &ModelView) -> Result<Plan> {
        self.faults.at("plan")?;
        Ok(Plan {
            sites: model.sites.iter().map(|site| site.name.clone()).collect(),
            trainable: Vec::new(),
        })
    }

    fn attach(&mut self, _: &SiteInfo, _: &TensorMap, _: &Build) -> Result<Box<dyn Attach>> {
        self.faults.at("attach")?;
        let faults = self.faults.clone();
        Ok(Box::new(Attached { faults }))
    }

    fn adapter_config(&self, _: &ModelView) -> Result<Option<Map<String, Value>>> {
        self.faults.at("adapter_config")?;
        Ok(None)
    }

    fn import(config: &Map<String, Value>) -> Result<Map<String, Value>> {
        let faults = Value::Object(config.clone()).to_string();
        Faults::from_json(&faults)?.at("import")?;
        Ok(Map::new())
    }

    fn file_name(&self, parameter: &str) -> String {
        self.faults.panic_at("file_name");
        parameter.to_owned()
    }

    fn is_redundant(&self, _: &str) -> bool {
        self.faults.panic_at("is_redundant");
        false
    }

    fn after_backward(&mut self, _: u64, _: u64) -> Result<()> {
        self.faults.at("after_backward")
    }

    fn extra_loss(&self, _: &Forward) -> Result<Option<Tensor>> {
        self.faults.at("extra_loss")?;
        Ok(None)
    }
}

impl Attach for Attached {
    fn forward(&self, tensors: Vec<Tensor>, _: &Forward) -> Result<Vec<Tensor>> {
        self.faults.at("forward")?;
        Ok(tensors)
    }

    fn delta(&self) -> Result<Option<TensorMap>> {
        self.faults.at("delta")?;
        Ok(None)
    }
}
