//! Scores of files: any metric over predictions and references, without a model.
//!
//! Rows pair by position. For each metric the columns are chosen by the kinds of values that it
//! reads ([`choose`]); metrics of one choice share one pass over both files ([`pairs`]), before
//! which classes are numbered ([`classes`]).

mod choose;
mod classes;
mod error;
mod file;
mod pairs;
mod services;

use std::path::PathBuf;

use serde::Serialize;
use tenon_plugin_api::error::StdError;
use tenon_plugin_api::host::MetricHandle;
use tenon_plugin_api::metric::Score;

use crate::config::{Kind, MetricSettings};
use crate::registry::Registry;

pub use error::ScoreError;

use choose::Reading;
use file::File;

/// What to score.
#[derive(Clone, Debug, Default)]
pub struct ScoreRequest {
    /// The metrics, in the order of the scores.
    pub metrics: Vec<MetricSettings>,
    /// What would be right: a file, a pattern or a folder.
    pub references: PathBuf,
    /// What each system predicted; `-` is standard input.
    pub predictions: Vec<PathBuf>,
    /// Where the values stand, as far as it is not left to the names of the columns.
    pub columns: ColumnNames,
    /// Class names in the order of their ids; `None`: those that occur, sorted.
    pub labels: Option<Vec<String>>,
}

/// Columns that the user names.
#[derive(Clone, Debug, Default)]
pub struct ColumnNames {
    /// Of the references.
    pub reference: Option<String>,
    /// Of the predictions.
    pub prediction: Option<String>,
    /// Of the probabilities among the predictions: of the classes, or that there is no answer.
    pub probability: Option<String>,
}

/// The scores of every system.
#[derive(Clone, Debug, Serialize)]
pub struct Scored {
    /// The references, as the user names them.
    pub references: String,
    /// Rows that were compared.
    pub rows: usize,
    /// The systems in the order of the request.
    pub systems: Vec<System>,
    /// What there is to know.
    pub notes: Vec<String>,
}

/// The scores of one file of predictions.
#[derive(Clone, Debug, Serialize)]
pub struct System {
    /// The file, as the user names it.
    pub predictions: String,
    /// Class names by id, where classes are compared that are no ids themselves.
    pub labels: Vec<String>,
    /// The scores in the order of the metrics.
    pub scores: Vec<NamedScore>,
}

/// A score with the name of its metric.
#[derive(Clone, Debug, Serialize)]
pub struct NamedScore {
    /// The metric's name in the request.
    pub metric: String,
    /// The score.
    #[serde(flatten)]
    pub score: Score,
}

/// Scores files of predictions.
///
/// # Errors
/// A file cannot be read or has no such column, rows do not pair, a cell is not what the metric
/// reads, or a plugin fails.
pub fn score(request: &ScoreRequest, registry: &Registry) -> Result<Scored, ScoreError> {
    services::offer();
    // A metric that is missing or refuses its options should not wait for the data.
    for metric in &request.metrics {
        create(metric, registry)?;
    }
    let references = File::open(&request.references)?;
    let mut scored = Scored {
        references: references.name().to_owned(),
        rows: 0,
        systems: Vec::new(),
        notes: Vec::new(),
    };
    for path in &request.predictions {
        let predictions = File::open(path)?;
        let system = system(request, registry, &references, &predictions, &mut scored)?;
        scored.systems.push(system);
    }
    Ok(scored)
}

fn system(
    request: &ScoreRequest,
    registry: &Registry,
    references: &File,
    predictions: &File,
    scored: &mut Scored,
) -> Result<System, ScoreError> {
    let mut readings = Vec::with_capacity(request.metrics.len());
    for metric in &request.metrics {
        let inputs = inputs(metric, registry);
        readings.push(choose::reading(
            &metric.name,
            &inputs,
            references,
            predictions,
            &request.columns,
        )?);
    }
    let mut scores: Vec<Vec<NamedScore>> = vec![Vec::new(); readings.len()];
    let mut labels = Vec::new();
    for reading in distinct(&readings) {
        let mut metrics = Vec::new();
        for (index, metric) in request.metrics.iter().enumerate() {
            if readings[index] == *reading {
                metrics.push((index, metric.name.as_str(), create(metric, registry)?));
            }
        }
        let pass = pairs::Pass::new(reading, references, predictions, &request.labels)?;
        scored.rows = pass.rows();
        pass.run(&mut metrics)?;
        if labels.is_empty() {
            labels = pass.output().labels.clone();
        }
        for (index, name, metric) in metrics {
            let found = metric.compute().map_err(|error| pass.failed(error))?;
            scores[index] = found
                .into_iter()
                .map(|score| NamedScore {
                    metric: name.to_owned(),
                    score,
                })
                .collect();
        }
        let notes = pass.notes.into_iter();
        let about = |note| format!("{}: {note}", predictions.name());
        scored.notes.extend(notes.map(about));
    }
    Ok(System {
        predictions: predictions.name().to_owned(),
        labels,
        scores: scores.into_iter().flatten().collect(),
    })
}

/// Each reading once, in the order in which they first stand.
fn distinct(readings: &[Reading]) -> impl Iterator<Item = &Reading> {
    let first = |(index, reading): &(usize, &Reading)| !readings[..*index].contains(reading);
    let found = readings.iter().enumerate().filter(first);
    found.map(|(_, reading)| reading)
}

fn create(metric: &MetricSettings, registry: &Registry) -> Result<MetricHandle, ScoreError> {
    let component = &metric.component;
    let plugin = registry.open(&component.plugin)?;
    // A table of plain values is always JSON.
    let options = serde_json::to_string(&component.options).unwrap_or_default();
    let made = plugin.metric(&component.id, &options);
    made.map_err(|source| ScoreError::Options(StdError(source)))
}

/// The kinds of values that a metric reads, as its manifest says.
fn inputs(metric: &MetricSettings, registry: &Registry) -> Vec<String> {
    let full = format!("{}::{}", metric.component.plugin, metric.component.id);
    let found = registry.find(Kind::Metric, &full);
    let inputs = found.map(|(_, component)| component.list("inputs"));
    let inputs = inputs.unwrap_or_default();
    inputs.into_iter().map(str::to_owned).collect()
}
