//! The task: problems to prompts, candidates to outcomes.

use serde_json::{Map, json};
use tenon_nn::{IGNORED, token_loss};
use tenon_plugin_api::services;
use tenon_plugin_api::task::prelude::*;

use crate::candidates::{self, Candidate};
use crate::options::Options;
use crate::problem::Problems;
use crate::sandbox::Sandbox;
use crate::sequence;

/// Tokens of a candidate when `[generation]` says nothing: the longest solution of HumanEval has
/// fewer in any vocabulary of code.
const ROOM: usize = 512;

/// The task.
#[derive(Debug)]
pub struct CodeGeneration {
    options: Options,
    problems: Problems,
    /// Made when the data is known, before anything is computed.
    sandbox: Option<Sandbox>,
    /// The most tokens that the model takes.
    limit: Option<usize>,
}

impl Task for CodeGeneration {
    const ID: &'static str = "code-generation";
    const ABOUT: &'static str =
        "Writes programs and runs their tests in a sandbox: HumanEval, MBPP";
    const OUTPUTS: &'static [&'static str] = &["numbers"];
    type Options = Options;

    fn new(options: Options) -> Result<Self> {
        if let (Some(_), Some(unused)) = (&options.completions, unused_with_completions(&options)) {
            bail!(
                Options,
                "{unused}: no model is asked, as `completions` are run"
            );
        }
        // Statuses from 64 on are nobody's habit.
        let success = 64 + (services::derive_seed("code-generation") % 64) as i32;
        Ok(Self {
            problems: Problems::new(&options, success)?,
            options,
            sandbox: None,
            limit: None,
        })
    }

    fn describe(&self) -> TaskInfo {
        let asks = self.options.completions.is_none();
        let learns = self.options.solution.is_some();
        let mut fields = Vec::new();
        if learns {
            fields.push(FieldInfo::token_ids("input_ids"));
            fields.push(FieldInfo::ints("labels", IGNORED));
        }
        TaskInfo {
            columns: self.columns(),
            head: asks.then(|| HeadInfo {
                kind: "causal-lm".to_owned(),
                ..HeadInfo::default()
            }),
            fields,
            output: OutputInfo {
                kind: ValueKind::Numbers.name().to_owned(),
                labels: Vec::new(),
            },
            metrics: vec![MetricRequest::new("pass-at-k")],
            prompt: asks
                .then(|| FieldInfo::token_ids("input_ids"))
                .into_iter()
                .collect(),
            concludes: true,
            generation: if asks { self.generation() } else { Map::new() },
            ..TaskInfo::default()
        }
    }

    fn prepare(&mut self, data: &DataInfo) -> Result<()> {
        if self.options.completions.is_none() && data.model.is_encoder_decoder() {
            return Err(Error::unsupported(format!(
                "code is written by causal models, and {} is an encoder–decoder",
                data.model.id
            )));
        }
        self.limit = (data.max_length > 0).then_some(data.max_length);
        self.sandbox = Some(candidates::sandbox(&self.options)?);
        Ok(())
    }

    fn encode(
        &self,
        record: Record<'_>,
        tokenizer: &Tokenizer<'_>,
        examples: &mut Examples,
    ) -> Result<()> {
        let prompt = self.problems.prompt(record)?;
        let Some(column) = &self.options.solution else {
            return Ok(());
        };
        // MBPP's have the line ends of Windows.
        let solution = record.text(column.name())?.replace("\r\n", "\n");
        sequence::example(&prompt, &solution, self.limit, tokenizer, examples)
    }

    fn encode_prompt(
        &self,
        record: Record<'_>,
        tokenizer: &Tokenizer<'_>,
        examples: &mut Examples,
    ) -> Result<()> {
        let prompt = self.problems.prompt(record)?;
        let room = self
            .limit
            .map(|limit| limit.saturating_sub(self.room()).max(1));
        let ids = sequence::prompt(&prompt, room.unwrap_or(usize::MAX), tokenizer)?;
        examples.example().ints("input_ids", &ids);
        Ok(())
    }

    fn loss(&self, outputs: &TensorMap, batch: &TensorMap) -> Result<Loss> {
        token_loss(outputs, batch, 0.0)
    }

    fn predict(&self, _outputs: &TensorMap, _batch: &TensorMap) -> Result<Predictions> {
        Err(Error::unsupported(
            "programs are written from prompts, not taken from logits",
        ))
    }

    fn conclude(&self, records: Records<'_>, found: Found<'_>) -> Result<Predictions> {
        let sandbox = self.sandbox.as_ref().context("the task was not prepared")?;
        let candidates = self.candidates(records, found)?;
        let runs = candidates::run(sandbox, self.options.parallel, &candidates)?;
        let mut outcomes = vec![Vec::new(); records.len()];
        for (candidate, run) in candidates.iter().zip(&runs) {
            outcomes[candidate.row].push(f64::from(u8::from(run.outcome.passed())));
        }
        let mut predictions = Values::new(ValueKind::Numbers);
        let mut references = Values::new(ValueKind::Numbers);
        for outcomes in &outcomes {
            predictions.push_numbers(outcomes);
            references.push_numbers(&vec![1.0; outcomes.len()]);
        }
        let mut solution = self.options.solution.iter();
        let known = solution.all(|column| records.iter().all(|record| record.has(column.name())));
        Ok(Predictions {
            predictions,
            references: known.then_some(references),
        })
    }
}

impl CodeGeneration {
    fn columns(&self) -> Vec<ColumnInfo> {
        let column = |name: &str, for_prediction| ColumnInfo {
            name: name.to_owned(),
            kind: ColumnKind::Text,
            for_prediction,
        };
        let format = self.options.format.columns().iter();
        let mut columns: Vec<_> = format.map(|name| column(name, true)).collect();
        let more = [
            (&self.options.completions, true),
            (&self.options.solution, false),
        ];
        for (name, for_prediction) in more {
            let known = |name: &&Column| columns.iter().all(|column| column.name != name.name());
            if let Some(name) = name.as_ref().filter(known) {
                columns.push(column(name.name(), for_prediction));
            }
        }
        columns
    }

    /// Tokens that a candidate may have: half of what the model takes at most.
    fn room(&self) -> usize {
        self.limit
            .map_or(ROOM, |limit| ROOM.min((limit / 2).max(1)))
    }

    /// What is asked of a decoding.
    fn generation(&self) -> Map<String, serde_json::Value> {
        let mut generation = Map::new();
        let mut set = |key: &str, value| drop(generation.insert(key.to_owned(), value));
        set("max_new_tokens", json!(self.room()));
        set("stop_strings", json!(self.problems.stop_strings()));
        set("num_return_sequences", json!(self.options.samples));
        if self.options.samples > 1 {
            set("do_sample", json!(true));
            set("temperature", json!(0.8));
            set("top_p", json!(0.95));
            set("top_k", json!(0));
        }
        generation
    }

    fn candidates(&self, records: Records<'_>, found: Found<'_>) -> Result<Vec<Candidate>> {
        let mut candidates = Vec::new();
        for (row, record) in records.iter().enumerate() {
            let codes: Vec<&str> = match &self.options.completions {
                Some(column) => record.texts(column.name())?,
                None => {
                    let written = found.of(row).flat_map(|at| found.values().texts_at(at));
                    written.map(|text| self.problems.cut(text)).collect()
                }
            };
            for code in codes {
                candidates.push(Candidate {
                    row,
                    code: code.to_owned(),
                    program: self.problems.program(record, code)?,
                });
            }
        }
        Ok(candidates)
    }
}

/// An option that says nothing when no model is asked.
fn unused_with_completions(options: &Options) -> Option<&'static str> {
    [
        ("solution", options.solution.is_some()),
        ("prompt", options.prompt.is_some()),
        ("demonstrations", options.demonstrations.is_some()),
        ("stop_strings", options.stop_strings.is_some()),
    ]
    .into_iter()
    .find_map(|(key, set)| set.then_some(key))
}
