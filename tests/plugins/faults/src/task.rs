//! A task that classifies, and has faults.

use tenon_plugin_api::task::prelude::*;

use crate::options::Faults;

/// Single-label classification of the column `text` by the column `label`.
pub struct FaultyTask {
    faults: Faults,
}

fn column(name: &str, kind: ColumnKind) -> ColumnInfo {
    ColumnInfo {
        name: name.to_owned(),
        kind,
        for_prediction: kind == ColumnKind::Text,
    }
}

impl Task for FaultyTask {
    const ID: &'static str = "faulty-task";
    const OUTPUTS: &'static [&'static str] = &["label"];
    type Options = Faults;

    fn new(faults: Faults) -> Result<Self> {
        faults.at("new")?;
        Ok(Self { faults })
    }

    fn describe(&self) -> TaskInfo {
        self.faults.panic_at("describe");
        TaskInfo {
            columns: vec![
                column("text", ColumnKind::Text),
                column("label", ColumnKind::Label),
            ],
            fields: vec![
                FieldInfo::token_ids("input_ids"),
                FieldInfo::stacked("labels", FieldKind::Int),
            ],
            ..TaskInfo::default()
        }
    }

    fn prepare(&mut self, _: &DataInfo) -> Result<()> {
        self.faults.at("prepare")
    }

    fn encode(
        &self,
        record: Record<'_>,
        tokenizer: &Tokenizer<'_>,
        examples: &mut Examples,
    ) -> Result<()> {
        self.faults.at("encode")?;
        let ids = tokenizer
            .encode(record.text("text")?, &Encode::default())?
            .ids;
        let label = record.label("label").unwrap_or(0);
        examples
            .example()
            .ints("input_ids", &ids)
            .int("labels", label);
        Ok(())
    }

    fn loss(&self, outputs: &TensorMap, batch: &TensorMap) -> Result<Loss> {
        self.faults.at("loss")?;
        let logits = outputs.require("logits")?;
        Ok(Loss {
            sum: logits.f_sum(Kind::Float)?,
            weight: batch.require("labels")?.size1()? as f64,
        })
    }

    fn encode_prompt(
        &self,
        record: Record<'_>,
        tokenizer: &Tokenizer<'_>,
        examples: &mut Examples,
    ) -> Result<()> {
        self.faults.at("encode_prompt")?;
        self.encode(record, tokenizer, examples)
    }

    fn conclude(&self, records: Records<'_>, found: Found<'_>) -> Result<Predictions> {
        self.faults.at("conclude")?;
        let kept = |row| found.values().label_at(found.of(row).start);
        Ok(Predictions {
            predictions: Values::labels((0..records.len()).map(kept)),
            references: None,
        })
    }

    fn predict(&self, outputs: &TensorMap, _: &TensorMap) -> Result<Predictions> {
        self.faults.at("predict")?;
        let best = outputs.require("logits")?.f_argmax(1, false)?;
        Ok(Predictions {
            predictions: Values::labels(Vec::<i64>::try_from(&best)?),
            references: None,
        })
    }
}
