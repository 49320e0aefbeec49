//! A metric on the bench.

use std::fmt::Write as _;
use std::marker::PhantomData;

use serde_json::Value;
use tenon_plugin_api::host::MetricHandle;
use tenon_plugin_api::metric::{Metric, OutputInfo, Scores};
use tenon_plugin_api::values::Values;
use tenon_plugin_api::{Error, Result};

use crate::columns::pick;

/// Puts a metric on the bench, with options as a run file would give them.
///
/// # Panics
/// The metric refuses the options; [`refused`] is for options that it should refuse.
#[track_caller]
pub fn metric<M: Metric>(options: Value) -> Bench<M> {
    let options = options.to_string();
    crate::ok(MetricHandle::of::<M>(&options), "creating the metric");
    Bench {
        options,
        output: None,
        metric: PhantomData,
    }
}

/// The error with which a metric refuses options.
///
/// # Panics
/// The metric takes them.
#[track_caller]
pub fn refused<M: Metric>(options: Value) -> Error {
    let made = MetricHandle::of::<M>(&options.to_string());
    crate::error(made, "creating the metric")
}

/// A metric with its options, from which each check makes fresh ones.
pub struct Bench<M: Metric> {
    options: String,
    output: Option<OutputInfo>,
    metric: PhantomData<fn() -> M>,
}

impl<M: Metric> Bench<M> {
    /// Tells each metric before its first batch what the task puts out: a kind of values, and the
    /// names of the classes.
    #[must_use]
    pub fn output(mut self, kind: &str, labels: &[&str]) -> Self {
        self.output = Some(OutputInfo {
            kind: kind.to_owned(),
            labels: labels.iter().map(ToString::to_string).collect(),
        });
        self
    }

    /// A metric that has seen nothing.
    ///
    /// # Panics
    /// The metric refuses its options or its output.
    #[track_caller]
    #[must_use]
    pub fn fresh(&self) -> MetricHandle {
        let made = MetricHandle::of::<M>(&self.options);
        let mut metric = crate::ok(made, "creating the metric");
        if let Some(output) = &self.output {
            crate::ok(metric.begin(output), "beginning");
        }
        metric
    }

    /// The scores of one batch.
    ///
    /// # Errors
    /// Those of the metric.
    pub fn scores(&self, predictions: &Values, references: &Values) -> Result<Scores> {
        let mut metric = self.fresh();
        metric.update(predictions, references)?;
        metric.compute()
    }

    /// The scores of examples that `shards` metrics saw in turn, batch by batch, and that were
    /// then merged, as with several workers.
    ///
    /// # Errors
    /// Those of the metric.
    pub fn sharded(
        &self,
        predictions: &Values,
        references: &Values,
        shards: usize,
    ) -> Result<Scores> {
        let mut merged = self.fresh();
        let count = predictions.len();
        for shard in 0..shards {
            let mut metric = self.fresh();
            for batch in chunks(count * shard / shards..count * (shard + 1) / shards, 3) {
                let (p, r) = (
                    pick(predictions, batch.clone()),
                    pick(references, batch.clone()),
                );
                metric.update(&p, &r)?;
            }
            merged.merge(metric)?;
        }
        merged.compute()
    }

    /// Checks scores, to 1e-12 relative (NaN equals NaN): of one batch, and of shards of it that
    /// are merged. Scores that `expected` does not name are not looked at.
    ///
    /// # Panics
    /// A score differs, or the metric fails.
    #[track_caller]
    pub fn check(&self, predictions: Values, references: Values, expected: &[(&str, f64)]) {
        let whole = self.scores(&predictions, &references);
        compare("one batch", &crate::ok(whole, "one batch"), expected);
        for shards in [1, 2, 3] {
            let what = format!("{shards} merged shards");
            let scores = self.sharded(&predictions, &references, shards);
            compare(&what, &crate::ok(scores, &what), expected);
        }
    }

    /// The error of a batch that the metric cannot work on.
    ///
    /// # Panics
    /// It takes the batch.
    #[track_caller]
    pub fn fails(&self, predictions: Values, references: Values) -> Error {
        crate::error(self.scores(&predictions, &references), "a wrong batch")
    }
}

fn chunks(
    range: std::ops::Range<usize>,
    size: usize,
) -> impl Iterator<Item = std::ops::Range<usize>> {
    let end = range.end;
    range
        .step_by(size)
        .map(move |start| start..(start + size).min(end))
}

#[track_caller]
fn compare(what: &str, scores: &Scores, expected: &[(&str, f64)]) {
    let mut faults = String::new();
    for (name, expected) in expected {
        let Some(found) = scores.get(name) else {
            let names: Vec<_> = scores.as_slice().iter().map(|score| &score.name).collect();
            let _ = write!(faults, "\n  no score `{name}` among {names:?}");
            continue;
        };
        if !close(found, *expected, 1e-12) {
            let _ = write!(faults, "\n  `{name}`: expected {expected}, found {found}");
        }
    }
    assert!(faults.is_empty(), "scores of {what}:{faults}");
}

/// Whether two numbers are equal within `tolerance`, relative where they are above 1; NaN is equal
/// to NaN.
#[must_use]
pub fn close(found: f64, expected: f64, tolerance: f64) -> bool {
    if found.is_nan() || expected.is_nan() {
        return found.is_nan() && expected.is_nan();
    }
    found == expected || (found - expected).abs() <= tolerance * expected.abs().max(1.0)
}
