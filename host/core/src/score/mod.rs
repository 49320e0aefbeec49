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
mod significance;

use std::path::PathBuf;

use serde::Serialize;
use tenon_plugin_api::error::{Error, StdError};
use tenon_plugin_api::host::MetricHandle;
use tenon_plugin_api::metric::Score;

use crate::config::{Kind, MetricSettings};
use crate::registry::Registry;

pub use error::ScoreError;
pub use significance::{Baseline, Confidence, PairedTest, Significance};

use choose::Reading;
use file::File;
use significance::{Compared, Finding};

/// What to score.
#[derive(Clone, Debug, Default)]
pub struct ScoreRequest {
    /// The metrics, in the order of the scores.
    pub metrics: Vec<MetricSettings>,
    /// What would be right: a file, a pattern or a folder. Metrics that ignore it need none.
    pub references: Option<PathBuf>,
    /// What each system predicted; `-` is standard input.
    pub predictions: Vec<PathBuf>,
    /// Where the values stand, as far as it is not left to the names of the columns.
    pub columns: ColumnNames,
    /// Class names in the order of their ids; `None`: those that occur, sorted.
    pub labels: Option<Vec<String>>,
    /// Confidence intervals, and a test against a baseline.
    pub significance: Significance,
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
    /// The references, as the user names them, if there are any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub references: Option<String>,
    /// Rows that were compared.
    pub rows: usize,
    /// The systems in the order of the request.
    pub systems: Vec<System>,
    /// How far the scores can be trusted was found out so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub significance: Option<Significance>,
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
    /// Whether the others are tested against it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub baseline: bool,
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
    /// Where it lies when examples are drawn again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confidence: Option<Confidence>,
    /// How likely a system that is no other than the baseline would be as far from it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p_value: Option<f64>,
}

/// Scores files of predictions.
///
/// # Errors
/// A file cannot be read or has no such column, rows do not pair, a cell is not what the metric
/// reads, a metric cannot score draws of examples where that is asked, or a plugin fails.
pub fn score(request: &ScoreRequest, registry: &Registry) -> Result<Scored, ScoreError> {
    services::offer();
    let significance = &request.significance;
    // A metric that is missing or refuses its options should not wait for the data.
    for metric in &request.metrics {
        let mut made = create(metric, registry)?;
        if significance.is_asked() && !made.keep_examples().map_err(plugin_failed)? {
            let metric = metric.name.clone();
            return Err(ScoreError::NotResampled { metric });
        }
        if request.references.is_none() && !ignores_references(metric, registry) {
            let metric = metric.name.clone();
            return Err(ScoreError::NoReferences { metric });
        }
    }
    let references = request.references.as_deref().map(File::open).transpose()?;
    let mut scored = Scored {
        references: references.as_ref().map(|file| file.name().to_owned()),
        rows: 0,
        systems: Vec::new(),
        significance: significance.is_asked().then(|| significance.clone()),
        notes: Vec::new(),
    };
    let baseline = significance.baseline.as_ref();
    let baseline = baseline.map(|baseline| &baseline.predictions);
    let mut counted = Vec::new();
    for path in baseline.into_iter().chain(&request.predictions) {
        let predictions = File::open(path)?;
        counted.push(system(
            request,
            registry,
            references.as_ref(),
            &predictions,
            &mut scored,
        )?);
    }
    if significance.is_asked() {
        find_significance(significance, &mut counted, scored.rows)?;
    }
    scored.systems = counted.into_iter().map(Counted::into_system).collect();
    if let (Some(first), Some(_)) = (scored.systems.first_mut(), baseline) {
        first.baseline = true;
    }
    Ok(scored)
}

/// A system while its metrics are still there.
struct Counted {
    predictions: String,
    labels: Vec<String>,
    /// By metric of the request.
    scores: Vec<Vec<NamedScore>>,
    metrics: Vec<MetricHandle>,
}

impl Counted {
    fn into_system(self) -> System {
        System {
            predictions: self.predictions,
            labels: self.labels,
            baseline: false,
            scores: self.scores.into_iter().flatten().collect(),
        }
    }
}

/// Adds to the scores how far they can be trusted.
fn find_significance(
    significance: &Significance,
    systems: &mut [Counted],
    rows: usize,
) -> Result<(), ScoreError> {
    let total = rows.saturating_mul(systems.len());
    if u32::try_from(total).is_err() {
        return Err(ScoreError::TooManyToDraw { rows: total });
    }
    let mut metrics: Vec<_> = systems
        .iter_mut()
        .map(|system| std::mem::take(&mut system.metrics).into_iter())
        .collect();
    let count = systems.first().map_or(0, |system| system.scores.len());
    for index in 0..count {
        let values = |system: &Counted| -> Vec<f64> {
            let scores = system.scores[index].iter();
            scores.map(|named| named.score.value).collect()
        };
        let compared = Compared {
            metrics: metrics.iter_mut().filter_map(Iterator::next).collect(),
            scores: systems.iter().map(values).collect(),
        };
        let findings = significance.find(compared, rows).map_err(plugin_failed)?;
        for (system, findings) in systems.iter_mut().zip(findings) {
            for (named, finding) in system.scores[index].iter_mut().zip(findings) {
                let Finding {
                    confidence,
                    p_value,
                } = finding;
                (named.confidence, named.p_value) = (confidence, p_value);
            }
        }
    }
    Ok(())
}

fn system(
    request: &ScoreRequest,
    registry: &Registry,
    references: Option<&File>,
    predictions: &File,
    scored: &mut Scored,
) -> Result<Counted, ScoreError> {
    let mut readings = Vec::with_capacity(request.metrics.len());
    let mut ignoring = Vec::with_capacity(request.metrics.len());
    for metric in &request.metrics {
        let inputs = listed("inputs", metric, registry);
        ignoring.push(ignores_references(metric, registry));
        readings.push(choose::reading(
            &metric.name,
            &inputs,
            references,
            predictions,
            &request.columns,
        )?);
    }
    let mut scores: Vec<Vec<NamedScore>> = vec![Vec::new(); readings.len()];
    let mut kept: Vec<Option<MetricHandle>> = readings.iter().map(|_| None).collect();
    let mut labels = Vec::new();
    for reading in distinct(&readings) {
        let mut metrics = Vec::new();
        for (index, metric) in request.metrics.iter().enumerate() {
            if readings[index] == *reading {
                metrics.push((index, metric.name.as_str(), create(metric, registry)?));
            }
        }
        let mut pass = pairs::Pass::new(reading, references, predictions, &request.labels)?;
        pass.ignores_references = metrics.iter().all(|(index, _, _)| ignoring[*index]);
        scored.rows = pass.rows();
        pass.run(&mut metrics, request.significance.is_asked())?;
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
                    confidence: None,
                    p_value: None,
                })
                .collect();
            kept[index] = Some(metric);
        }
        let notes = pass.notes.into_iter();
        let about = |note| format!("{}: {note}", predictions.name());
        scored.notes.extend(notes.map(about));
    }
    Ok(Counted {
        predictions: predictions.name().to_owned(),
        labels,
        scores,
        metrics: kept.into_iter().flatten().collect(),
    })
}

fn plugin_failed(error: Error) -> ScoreError {
    ScoreError::Resampling(StdError(error))
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

fn ignores_references(metric: &MetricSettings, registry: &Registry) -> bool {
    let ignores = listed("ignores", metric, registry);
    ignores.iter().any(|what| what == "references")
}

/// A list of a metric's manifest: the kinds of values that it reads, or what it ignores.
fn listed(name: &str, metric: &MetricSettings, registry: &Registry) -> Vec<String> {
    let full = format!("{}::{}", metric.component.plugin, metric.component.id);
    let found = registry.find(Kind::Metric, &full);
    let words = found.map(|(_, component)| component.list(name));
    let words = words.unwrap_or_default();
    words.into_iter().map(str::to_owned).collect()
}
