//! The evaluation loop, in one place: loss, predictions and scores over a split.

use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result};
use serde::Serialize;
use tenon_core::config::Batch as BatchSetting;
use tenon_core::data::{
    Batch, BatchSize, Loader, LoaderOptions, Order, Plan, PlanOptions, Prepared,
};
use tenon_plugin_api::error::StdError;
use tenon_plugin_api::host::MetricHandle;
use tenon_plugin_api::metric::Score;
use tenon_plugin_api::model::Forward;
use tenon_plugin_api::task::Predictions;
use tenon_plugin_api::values::{ValueKind, Values};

use crate::generate::Writer;
use crate::part::Part;
use crate::services;
use crate::session::Session;

/// The user stopped it.
#[derive(Debug, thiserror::Error)]
#[error("stopped at the user's request")]
pub struct Stopped;

/// What an evaluation found.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Evaluation {
    /// Mean loss, by the task's own weights; `None` without references.
    pub loss: Option<f64>,
    /// Scores of all metrics, by metric name and score.
    pub scores: Vec<NamedScore>,
    /// Examples that were evaluated.
    pub examples: usize,
    /// Records that were concluded of, 0 for a task that concludes nothing.
    #[serde(skip_serializing_if = "is_zero")]
    pub records: usize,
    /// Tokens that were written.
    #[serde(skip_serializing_if = "is_zero")]
    pub written: u64,
    /// Seconds that writing them took.
    #[serde(skip)]
    pub writing_seconds: f64,
    /// Their tokens, without padding.
    pub tokens: u64,
    /// Seconds that it took.
    pub seconds: f64,
}

fn is_zero<T: Default + PartialEq>(count: &T) -> bool {
    *count == T::default()
}

/// A score with the name of its metric in the run.
#[derive(Clone, Debug, Serialize)]
pub struct NamedScore {
    /// Name of the metric in the run file.
    pub metric: String,
    /// The score.
    #[serde(flatten)]
    pub score: Score,
}

impl Evaluation {
    /// A score by its own name, by its metric's name, or as `metric.score`; or the loss.
    pub fn find(&self, name: &str) -> Option<(f64, Option<bool>)> {
        if name == "loss" {
            return self.loss.map(|loss| (loss, Some(false)));
        }
        let matches = |named: &&NamedScore| {
            named.score.name == name
                || named.metric == name
                || name.split_once('.') == Some((named.metric.as_str(), named.score.name.as_str()))
        };
        self.scores
            .iter()
            .find(matches)
            .map(|named| (named.score.value, named.score.higher_is_better))
    }

    /// Loss and scores on one line, for people.
    pub fn line(&self) -> String {
        let mut parts: Vec<_> = self
            .loss
            .iter()
            .map(|loss| format!("loss {loss:.4}"))
            .collect();
        let scores = self.scores.iter().filter(|named| {
            let score = &named.score;
            score.detail.is_none() || score.higher_is_better.is_some()
        });
        parts.extend(scores.map(|named| format!("{} {:.4}", named.score.name, named.score.value)));
        parts.join("  ")
    }
}

/// Batches of a split for evaluation: like lengths together, the longest first.
///
/// # Errors
/// The split is empty.
pub fn plan(prepared: &Prepared, batch: BatchSetting) -> Result<Plan> {
    let options = PlanOptions {
        batch: batch_size(batch),
        order: Order::LongestFirst,
        ..PlanOptions::default()
    };
    Ok(Plan::new(Arc::clone(prepared.lengths()), options)?)
}

/// The data path's batch size for a setting.
pub fn batch_size(batch: BatchSetting) -> BatchSize {
    match batch {
        BatchSetting::Examples(count) => BatchSize::Examples(count as usize),
        BatchSetting::Tokens(count) => BatchSize::Tokens(count as usize),
    }
}

/// How a split is evaluated.
#[derive(Clone, Copy, Debug)]
pub struct How<'a> {
    /// Name of the split, for the bar.
    pub what: &'a str,
    /// Whether text is generated, for a task that asks for it.
    pub generate: bool,
    /// Records for which it is, the first of the data; `None`: all.
    pub limit: Option<usize>,
}

impl<'a> How<'a> {
    /// All of it.
    pub fn whole(what: &'a str) -> Self {
        Self {
            what,
            generate: true,
            limit: None,
        }
    }
}

/// Evaluates a split. `each` is given predictions with the numbers of their examples, or of their records for a
/// task that concludes or generates.
///
/// # Errors
/// The data, a plugin or libtorch fails, or the user stopped it.
pub fn evaluate(
    session: &Session,
    part: &Part,
    how: How<'_>,
    mut each: impl FnMut(&[usize], Predictions) -> Result<()>,
) -> Result<Evaluation> {
    let started = Instant::now();
    let _guard = tch::no_grad_guard();
    let mut tally = Tally {
        metrics: session.metrics()?,
        found: Evaluation::default(),
        scored: false,
    };
    let info = &session.task_info;
    let direct = part.prompts.is_none() && !info.concludes;
    let mut raw = Raw::default();
    if let Some(examples) = &part.examples {
        let predict = part.prompts.is_none();
        outputs(
            session,
            examples,
            how.what,
            predict,
            &mut tally,
            |tally, batch, made| match direct {
                true => {
                    tally.update(&made)?;
                    each(&batch.examples, made)
                }
                false => {
                    raw.add(&batch, made.predictions);
                    Ok(())
                }
            },
        )?;
    }
    let conclude = match &part.prompts {
        Some(prompts) if how.generate => {
            raw = written(session, prompts, &how, &mut tally)?;
            true
        }
        Some(_) => false,
        None => info.concludes,
    };
    if conclude {
        let rows = match (&part.prompts, &part.examples) {
            (None, None) => (0..part.records().min(how.limit.unwrap_or(usize::MAX))).collect(),
            _ => raw.rows(),
        };
        concluded(session, part, &raw, &rows, how.what, |rows, made| {
            tally.update(&made)?;
            tally.found.records += rows.len();
            each(rows, made)
        })?;
    }
    let mut found = tally.found;
    if tally.scored {
        found.scores = scores(tally.metrics)?;
    }
    found.seconds = started.elapsed().as_secs_f64();
    Ok(found)
}

/// Metrics and counts of an evaluation in progress.
struct Tally {
    metrics: Vec<(String, MetricHandle)>,
    found: Evaluation,
    /// Whether anything had references.
    scored: bool,
}

impl Tally {
    fn update(&mut self, made: &Predictions) -> Result<()> {
        let Some(references) = &made.references else {
            return Ok(());
        };
        self.scored = true;
        for (name, metric) in &mut self.metrics {
            metric
                .update(&made.predictions, references)
                .map_err(StdError)
                .with_context(|| format!("metric {name}"))?;
        }
        Ok(())
    }
}

/// Runs the model over the examples: the loss, and what the task makes of the outputs.
fn outputs(
    session: &Session,
    examples: &Arc<Prepared>,
    what: &str,
    predict: bool,
    tally: &mut Tally,
    mut each: impl FnMut(&mut Tally, Batch, Predictions) -> Result<()>,
) -> Result<()> {
    let plan = Arc::new(plan(examples, session.settings.evaluate.batch)?);
    let bar = services::bar(what, "batches", plan.len() as u64);
    let (mut loss, mut weight) = (0.0, 0.0);
    for batch in Loader::new(Arc::clone(examples), plan, LoaderOptions::default()) {
        let batch = batch?;
        if services::interrupted() {
            return Err(Stopped.into());
        }
        let tensors = session.tensors(&batch)?;
        let forward = Forward::new(false, 0);
        let outputs = session.forward(&tensors, &forward)?;
        if session.has_references(&tensors) {
            let part = session.task.loss(&outputs, &tensors).map_err(StdError)?;
            loss += part.sum.f_double_value(&[])?;
            weight += part.weight;
        }
        tally.found.examples += batch.examples.len();
        let lengths = batch.lengths.iter().map(|length| u64::from(*length));
        tally.found.tokens += lengths.sum::<u64>();
        if predict {
            let made = session.task.predict(&outputs, &tensors).map_err(StdError)?;
            anyhow::ensure!(
                made.predictions.len() == batch.examples.len(),
                "the task made {} predictions of {} examples",
                made.predictions.len(),
                batch.examples.len(),
            );
            each(tally, batch, made)?;
        }
        bar.advance(1);
    }
    tally.found.loss = (weight > 0.0).then(|| loss / weight);
    Ok(())
}

/// What was found of examples, before it is concluded from.
#[derive(Default)]
struct Raw {
    /// Number and row of each example, and where its value is.
    entries: Vec<(usize, usize, usize, usize)>,
    columns: Vec<Values>,
}

impl Raw {
    fn add(&mut self, batch: &Batch, values: Values) {
        let column = self.columns.len();
        let numbers = batch.examples.iter().zip(&batch.rows).enumerate();
        self.entries
            .extend(numbers.map(|(at, (example, row))| (*example, *row, column, at)));
        self.columns.push(values);
    }

    /// The rows that examples were made of, in order, each once.
    fn rows(&mut self) -> Vec<usize> {
        self.entries.sort_unstable();
        let mut rows: Vec<usize> = self.entries.iter().map(|entry| entry.1).collect();
        rows.sort_unstable();
        rows.dedup();
        rows
    }

    /// The values of the examples of these rows, in order, with the place of each one's row among them.
    fn of(&self, rows: &[usize]) -> Result<(Values, Vec<u64>)> {
        let (Some(first), Some(last)) = (rows.first(), rows.last()) else {
            return Ok((Values::new(ValueKind::Text), Vec::new()));
        };
        let begin = self.entries.partition_point(|entry| entry.1 < *first);
        let end = self.entries.partition_point(|entry| entry.1 <= *last);
        let kind = self.columns.first().and_then(Values::kind);
        let mut values = Values::new(kind.unwrap_or(ValueKind::Text));
        let mut owners = Vec::with_capacity(end - begin);
        for (_, row, column, at) in &self.entries[begin..end] {
            values
                .push_from(&self.columns[*column], *at)
                .map_err(StdError)?;
            owners.push(rows.partition_point(|known| known < row) as u64);
        }
        Ok((values, owners))
    }
}

/// Writes on from every prompt.
fn written(
    session: &Session,
    prompts: &Arc<Prepared>,
    how: &How<'_>,
    tally: &mut Tally,
) -> Result<Raw> {
    let writer = Writer::new(session)?;
    let mut prompts = writer.prompts(prompts)?;
    if let Some(limit) = how.limit {
        prompts.retain(|(row, _)| *row < limit);
    }
    let (rows, prompts): (Vec<usize>, Vec<_>) = prompts.into_iter().unzip();
    let bar = services::bar(how.what, "prompts", prompts.len() as u64);
    let began = Instant::now();
    let mut texts: Vec<Vec<String>> = vec![Vec::new(); prompts.len()];
    writer.write(&prompts, |at, written| {
        tally.found.written += written
            .iter()
            .map(|(_, text)| text.tokens.len() as u64)
            .sum::<u64>();
        texts[at] = written.into_iter().map(|(text, _)| text).collect();
        bar.advance(1);
        Ok(())
    })?;
    tally.found.writing_seconds = began.elapsed().as_secs_f64();
    let mut raw = Raw::default();
    let numbers = rows.iter().enumerate();
    raw.entries = numbers.map(|(at, row)| (at, *row, 0, at)).collect();
    raw.columns.push(Values::texts(texts));
    Ok(raw)
}

/// Records that a task concludes of at a time.
const RECORDS: usize = 256;

/// Lets the task conclude from what was found.
fn concluded(
    session: &Session,
    part: &Part,
    raw: &Raw,
    rows: &[usize],
    what: &str,
    mut each: impl FnMut(&[usize], Predictions) -> Result<()>,
) -> Result<()> {
    let bar = services::bar(what, "records", rows.len() as u64);
    for rows in rows.chunks(RECORDS) {
        if services::interrupted() {
            return Err(Stopped.into());
        }
        let (values, owners) = raw.of(rows)?;
        let records = part.batch(rows)?;
        let made = session.task.conclude(&records, &values, &owners);
        each(rows, made.map_err(StdError)?)?;
        bar.advance(rows.len() as u64);
    }
    Ok(())
}

fn scores(metrics: Vec<(String, MetricHandle)>) -> Result<Vec<NamedScore>> {
    let mut scores = Vec::new();
    for (name, metric) in metrics {
        let computed = metric
            .compute()
            .map_err(StdError)
            .with_context(|| format!("metric {name}"))?;
        scores.extend(computed.into_iter().map(|score| NamedScore {
            metric: name.clone(),
            score,
        }));
    }
    Ok(scores)
}
