//! The evaluation loop, in one place: loss, predictions and scores over a split.

use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result};
use serde::Serialize;
use tenon_core::config::Batch as BatchSetting;
use tenon_core::data::{BatchSize, Loader, LoaderOptions, Order, Plan, PlanOptions, Prepared};
use tenon_plugin_api::error::StdError;
use tenon_plugin_api::host::MetricHandle;
use tenon_plugin_api::metric::Score;
use tenon_plugin_api::model::Forward;
use tenon_plugin_api::task::Predictions;

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
    /// Their tokens, without padding.
    pub tokens: u64,
    /// Seconds that it took.
    pub seconds: f64,
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
        let scores = self
            .scores
            .iter()
            .filter(|named| named.score.detail.is_none());
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

/// Evaluates a prepared split. `each` is given the predictions of every batch with the numbers of
/// its examples.
///
/// # Errors
/// The data, a plugin or libtorch fails, or the user stopped it.
pub fn evaluate(
    session: &Session,
    prepared: &Arc<Prepared>,
    batch: BatchSetting,
    what: &str,
    mut each: impl FnMut(&[usize], Predictions) -> Result<()>,
) -> Result<Evaluation> {
    let started = Instant::now();
    let plan = Arc::new(plan(prepared, batch)?);
    let bar = services::bar(what, "batches", plan.len() as u64);
    let mut metrics = session.metrics()?;
    let mut found = Evaluation::default();
    let (mut loss, mut weight) = (0.0, 0.0);
    let _guard = tch::no_grad_guard();
    for batch in Loader::new(Arc::clone(prepared), plan, LoaderOptions::default()) {
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
        let made = session.task.predict(&outputs, &tensors).map_err(StdError)?;
        anyhow::ensure!(
            made.predictions.len() == batch.examples.len(),
            "the task made {} predictions of {} examples",
            made.predictions.len(),
            batch.examples.len(),
        );
        if let Some(references) = &made.references {
            for (name, metric) in &mut metrics {
                let updated = metric
                    .update(&made.predictions, references)
                    .map_err(StdError);
                updated.with_context(|| format!("metric {name}"))?;
            }
        }
        found.examples += batch.examples.len();
        found.tokens += batch
            .lengths
            .iter()
            .map(|length| u64::from(*length))
            .sum::<u64>();
        each(&batch.examples, made)?;
        bar.advance(1);
    }
    found.loss = (weight > 0.0).then(|| loss / weight);
    if weight > 0.0 {
        found.scores = scores(metrics)?;
    }
    found.seconds = started.elapsed().as_secs_f64();
    Ok(found)
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
