//! Prediction: inputs of any source to JSON lines with labels and probabilities.

mod generated;
mod inputs;

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value as Json, json};
use tenon_core::config::options::OnBadRow;
use tenon_core::config::{Batch, DataSettings};
use tenon_core::data::{Loader, LoaderOptions, Value, View};
use tenon_core::request::{Generated, PredictRequest, Split};
use tenon_plugin_api::error::StdError;
use tenon_plugin_api::task::Predictions;
use tenon_plugin_api::tensor::TensorMap;
use tenon_plugin_api::values::{ValueKind, Values};

use crate::data::Splits;
use crate::evaluate::{How, evaluate, plan};
use crate::part::Part;
use crate::session::Session;

use inputs::{InputFiles, Texts};

/// Predicts what a request asks for.
///
/// # Errors
/// An input cannot be read or encoded, a plugin fails, or the output cannot be written.
pub fn run(session: &Session, request: &PredictRequest) -> Result<()> {
    let settings = &session.settings.data;
    let inputs = InputFiles::of(
        &request.inputs,
        &Texts::new(&session.task_info.columns, &settings.columns),
    )?;
    let settings = DataSettings {
        on_bad_row: OnBadRow::Error,
        cache: false,
        ..settings.clone()
    };
    predict_files(session, request, &settings, &inputs)
}

fn predict_files(
    session: &Session,
    request: &PredictRequest,
    settings: &DataSettings,
    inputs: &InputFiles,
) -> Result<()> {
    let columns = &session.task_info.columns;
    let splits = Splits::of_files(settings, &inputs.paths, &inputs.shown, columns, Split::Test)?;
    let view = splits.get(Split::Test).context("no input")?;
    let part = Part::of_inputs(session, settings, view)?;
    match (request.generated, &part.prompts) {
        (Generated::Predictions, _) => {}
        (_, None) => bail!(
            "the task `{}` generates no text: --stream and --log-probs are of no use",
            session.settings.task.id
        ),
        (Generated::Stream, Some(prompts)) => return generated::stream(session, prompts),
        (Generated::Tokens, Some(prompts)) => {
            return generated::tokens(session, prompts, request.output.as_deref());
        }
    }
    let kept = request.keep_columns.then_some(view);
    let mut lines = match &request.output {
        Some(path) => Lines::to_file(path, part.predictions())?,
        None => Lines::to_stdout(part.predictions()),
    };
    lines.top_k = request.top_k;
    evaluate(
        session,
        &part,
        How::whole("predicting"),
        |examples, made| lines.add(session, examples, &made, kept),
    )?;
    lines.finish()
}

/// A few sentences as a batch of tensors, to compare outputs on.
///
/// # Errors
/// They cannot be encoded.
pub fn probe(session: &Session) -> Result<TensorMap> {
    const TEXTS: [&str; 3] = [
        "A tenon is the end of a beam, cut to fit its mortise.",
        "Yes.",
        "The quick brown fox jumps over the lazy dog, and nobody asks the dog what it thinks of that.",
    ];
    let mut file = tempfile::Builder::new().suffix(".jsonl").tempfile()?;
    for text in TEXTS {
        let columns = session
            .task_info
            .columns
            .iter()
            .filter(|column| column.for_prediction);
        let names = columns.map(|column| {
            session
                .settings
                .data
                .columns
                .get(&column.name)
                .unwrap_or(&column.name)
        });
        let line: Map<String, Json> = names.map(|name| (name.clone(), json!(text))).collect();
        writeln!(file, "{}", Json::Object(line))?;
    }
    file.flush()?;
    let settings = DataSettings {
        cache: false,
        ..session.settings.data.clone()
    };
    let splits = Splits::of_files(
        &settings,
        &[file.path().to_owned()],
        &[],
        &session.task_info.columns,
        Split::Test,
    )?;
    let view = splits.get(Split::Test).context("no input")?;
    let part = Part::of_inputs(session, &settings, view)?;
    let prepared = part.examples.or(part.prompts);
    let prepared = prepared.context("the task makes no examples")?;
    let plan = plan(&prepared, Batch::Examples(TEXTS.len() as u32))?;
    let mut loader = Loader::new(prepared, Arc::new(plan), LoaderOptions::default());
    let tensors = session.tensors(&loader.next().context("no batch")??)?;
    begun(session, tensors)
}

/// The inputs of a batch of prompts, with the beginning of what a decoder is to write.
fn begun(session: &Session, mut tensors: TensorMap) -> Result<TensorMap> {
    let needs = session.facts.is_encoder_decoder() && tensors.get("decoder_input_ids").is_none();
    if let (true, Some(token)) = (needs, session.facts.decoder_start_token_id) {
        let rows = tensors.require("input_ids").map_err(StdError)?.size()[0];
        let options = (tch::Kind::Int64, session.device);
        tensors.insert(
            "decoder_input_ids",
            tch::Tensor::f_full([rows, 1], token, options)?,
        );
    }
    Ok(tensors)
}

/// Predictions as JSON lines in the order of the inputs: written as soon as all before are.
pub struct Lines {
    out: Box<dyn Write>,
    path: Option<PathBuf>,
    waiting: Vec<Option<String>>,
    next: usize,
    /// Labels to give probabilities for.
    pub top_k: Option<usize>,
}

impl Lines {
    /// Lines into a file, which appears when it is whole.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn to_file(path: &Path, count: usize) -> Result<Self> {
        let partial = partial(path);
        let file = std::fs::File::create(&partial)
            .with_context(|| format!("writing {}", partial.display()))?;
        Ok(Self {
            out: Box::new(BufWriter::new(file)),
            path: Some(path.to_owned()),
            waiting: vec![None; count],
            next: 0,
            top_k: None,
        })
    }

    /// Lines to standard output.
    pub fn to_stdout(count: usize) -> Self {
        Self {
            out: Box::new(BufWriter::new(std::io::stdout())),
            path: None,
            waiting: vec![None; count],
            next: 0,
            top_k: None,
        }
    }

    /// Adds the predictions of a batch. `inputs` repeats the columns of the inputs.
    ///
    /// # Errors
    /// The output cannot be written.
    pub fn add(
        &mut self,
        session: &Session,
        examples: &[usize],
        made: &Predictions,
        inputs: Option<&View>,
    ) -> Result<()> {
        let names = &session.output().labels;
        for (index, example) in examples.iter().enumerate() {
            let mut line = Map::new();
            if let Some(view) = inputs {
                let record = view.get(*example)?;
                for (name, value) in record.columns().iter().zip(record.values()) {
                    line.insert(name.clone(), plain(value));
                }
            }
            describe(&made.predictions, index, names, self.top_k, &mut line);
            self.put(*example, serde_json::to_string(&line)?)?;
        }
        Ok(())
    }

    /// Takes the line of an input; writes all that are complete up to here.
    ///
    /// # Errors
    /// The output cannot be written.
    pub fn put(&mut self, number: usize, line: String) -> Result<()> {
        if let Some(slot) = self.waiting.get_mut(number) {
            *slot = Some(line);
        }
        while let Some(line) = self.waiting.get_mut(self.next).and_then(Option::take) {
            writeln!(self.out, "{line}").context("writing predictions")?;
            self.next += 1;
        }
        Ok(())
    }

    /// Ends the output.
    ///
    /// # Errors
    /// The output cannot be written.
    pub fn finish(mut self) -> Result<()> {
        self.out.flush().context("writing predictions")?;
        drop(self.out);
        if let Some(path) = self.path {
            let partial = partial(&path);
            std::fs::File::open(&partial)?.sync_all()?;
            std::fs::rename(&partial, &path)
                .with_context(|| format!("writing {}", path.display()))?;
        }
        Ok(())
    }
}

fn partial(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".part");
    PathBuf::from(name)
}

/// A cell of an input as JSON.
fn plain(value: &Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Bool(value) => json!(value),
        Value::Int(value) => json!(value),
        Value::Float(value) => json!(value),
        Value::Text(value) => json!(value),
        Value::List(items) => items.iter().map(plain).collect(),
        Value::Map(entries) => Json::Object(
            entries
                .iter()
                .map(|(key, value)| (key.clone(), plain(value)))
                .collect(),
        ),
    }
}

/// A prediction as the members of a JSON object.
fn describe(
    values: &Values,
    index: usize,
    names: &[String],
    top_k: Option<usize>,
    line: &mut Map<String, Json>,
) {
    let name = |id: i64| {
        let name = usize::try_from(id).ok().and_then(|id| names.get(id));
        name.map_or_else(|| json!(id), |name| json!(name))
    };
    match values.kind() {
        Some(ValueKind::Label) => {
            line.insert("label".into(), name(values.label_at(index)));
        }
        Some(ValueKind::Labels) => {
            line.insert(
                "labels".into(),
                values.ints_at(index).iter().map(|id| name(*id)).collect(),
            );
        }
        Some(ValueKind::Number) => {
            line.insert("value".into(), json!(values.number_at(index)));
        }
        Some(ValueKind::Tokens) => {
            line.insert("tokens".into(), json!(values.ints_at(index)));
        }
        Some(ValueKind::Numbers) => {
            line.insert("numbers".into(), json!(values.numbers_at(index)));
        }
        _ => {
            let texts: Vec<&str> = values.texts_at(index).collect();
            match texts.as_slice() {
                [] | [_] => line.insert("text".into(), json!(values.text_at(index))),
                several => line.insert("texts".into(), json!(several)),
            };
        }
    }
    let scores = values.scores_at(index);
    if values.kind() == Some(ValueKind::Text) {
        // What `tenon score` reads beside an answer.
        if let Some(score) = scores.first() {
            line.insert("no_answer_probability".into(), json!(score));
        }
    } else if !scores.is_empty() {
        let mut order: Vec<usize> = (0..scores.len()).collect();
        if let Some(top) = top_k {
            order.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]));
            order.truncate(top);
        }
        let entry = |id: usize| {
            let key = names.get(id).cloned().unwrap_or_else(|| id.to_string());
            (key, json!(scores[id]))
        };
        line.insert(
            "probabilities".into(),
            Json::Object(order.into_iter().map(entry).collect()),
        );
    }
}
