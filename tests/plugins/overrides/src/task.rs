//! Overrides `prepare`, `encode_prompt` and `conclude`.

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

    fn encode_prompt(
        &self,
        record: Record<'_>,
        _: &Tokenizer<'_>,
        examples: &mut Examples,
    ) -> Result<()> {
        let length = record.text("text")?.len() as i64;
        examples.example().int("input_ids", length);
        Ok(())
    }

    fn conclude(&self, records: Records<'_>, found: Found<'_>) -> Result<Predictions> {
        let count = |row: usize| found.of(row).len() as f64;
        Ok(Predictions {
            predictions: Values::numbers((0..records.len()).map(count)),
            references: Some(Values::numbers(records.iter().map(|_| 1.0))),
        })
    }

    fn predict(&self, _: &TensorMap, _: &TensorMap) -> Result<Predictions> {
        bail!(Unsupported, "nothing to predict")
    }
}
