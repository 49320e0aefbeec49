//! Overrides `prepare`.

use tenon_plugin_api::task::prelude::*;

/// Puts out the labels that it was prepared with.
pub struct Prepared(Vec<String>);

impl Task for Prepared {
    const ID: &'static str = "prepared";
    const ABOUT: &'static str = "Overrides what a task may.";
    const OUTPUTS: &'static [&'static str] = &["label"];
    type Options = ();

    fn new((): ()) -> Result<Self> {
        Ok(Self(Vec::new()))
    }

    fn describe(&self) -> TaskInfo {
        TaskInfo {
            output: OutputInfo {
                kind: "label".into(),
                labels: self.0.clone(),
            },
            ..TaskInfo::default()
        }
    }

    fn prepare(&mut self, data: &DataInfo) -> Result<()> {
        self.0 = data.labels.values().flatten().cloned().collect();
        Ok(())
    }

    fn encode(&self, _: Record<'_>, _: &Tokenizer<'_>, _: &mut Examples) -> Result<()> {
        Ok(())
    }

    fn loss(&self, _: &TensorMap, _: &TensorMap) -> Result<Loss> {
        bail!(Unsupported, "nothing to train")
    }

    fn predict(&self, _: &TensorMap, _: &TensorMap) -> Result<Predictions> {
        bail!(Unsupported, "nothing to predict")
    }
}
