//! How far scores can be trusted: confidence intervals, and tests against a baseline.
//!
//! - *Bootstrap*: the metric scores draws of as many examples as there are, with replacement; the
//!   interval holds 95 % of the scores.
//! - *Paired bootstrap* (Koehn 2004): two systems are scored on the same draws.
//! - *Approximate randomization* (Noreen 1989): the examples of two systems are exchanged at
//!   random. A metric that has seen those of all systems, one behind the other, scores both sides.
//!
//! The draws are numpy's ([`random`]) and the numbers sacrebleu's ([`interval`]): the same files,
//! seed and number of draws give what sacrebleu 2.6 prints.

mod interval;
mod random;

use std::path::PathBuf;

use serde::Serialize;
use tenon_plugin_api::error::Error;
use tenon_plugin_api::host::MetricHandle;
use tenon_plugin_api::resample::{Draws, Resampling};

use interval::{Mean, bootstrap_p, confidence, p_value};
use random::{Bits, Random};

/// Examples that a metric gets at a time, of as many draws as that makes.
const BATCH: usize = 1 << 22;

/// What is to be found out beside the scores; nothing by default.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Significance {
    /// Draws for confidence intervals and for the paired bootstrap; `None`: no intervals.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resamples: Option<usize>,
    /// A system to test the others against.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub baseline: Option<Baseline>,
    /// Where all draws come from.
    pub seed: u64,
}

/// A system to test the others against.
#[derive(Clone, Debug, Serialize)]
pub struct Baseline {
    /// What it predicted.
    pub predictions: PathBuf,
    /// The test.
    #[serde(flatten)]
    pub test: PairedTest,
}

/// A test of whether two systems differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "test", rename_all = "lowercase")]
pub enum PairedTest {
    /// On [`Significance::resamples`] draws, of both systems the same.
    Bootstrap,
    /// With the examples exchanged at random so many times.
    Randomization {
        /// How many times.
        trials: usize,
    },
}

/// Where the score of a system lies.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Confidence {
    /// The mean of the scores of draws.
    pub mean: f64,
    /// Half the width of the interval around it that holds 95 % of them.
    pub interval: f64,
}

/// What was found out of one score.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Finding {
    pub confidence: Option<Confidence>,
    pub p_value: Option<f64>,
}

/// One metric of every system, the baseline first, with the scores that it computed.
pub(super) struct Compared {
    pub metrics: Vec<MetricHandle>,
    pub scores: Vec<Vec<f64>>,
}

/// Scores of draws: for each score one for each draw.
type Drawn = Vec<Vec<f64>>;

impl Significance {
    /// Whether metrics have to keep examples.
    pub fn is_asked(&self) -> bool {
        self.resamples.is_some() || self.baseline.is_some()
    }

    /// For each system and score of one metric what there is to find out.
    ///
    /// # Errors
    /// The metric fails.
    pub(super) fn find(&self, compared: Compared, rows: usize) -> Result<Vec<Vec<Finding>>, Error> {
        let mut findings: Vec<Vec<Finding>> = compared
            .scores
            .iter()
            .map(|scores| vec![Finding::default(); scores.len()])
            .collect();
        let mut random = Random::new(self.seed);
        let draws = |random: &mut Random, metrics: &[MetricHandle]| {
            let count = self.resamples.unwrap_or(0);
            bootstrap(metrics, (count, rows), random)
        };
        match self.baseline.as_ref().map(|baseline| baseline.test) {
            None => {
                let drawn = draws(&mut random, &compared.metrics)?;
                set_confidence(&mut findings, &drawn, Mean::Exact);
            }
            Some(PairedTest::Bootstrap) => {
                let drawn = draws(&mut random, &compared.metrics)?;
                set_confidence(&mut findings, &drawn, Mean::Pairwise);
                for system in 1..drawn.len() {
                    for (score, values) in drawn[system].iter().enumerate() {
                        let difference = difference(&compared.scores, system, score);
                        let p = bootstrap_p(values, &drawn[0][score], difference);
                        findings[system][score].p_value = Some(p);
                    }
                }
            }
            Some(PairedTest::Randomization { trials }) => {
                let exchanges = Exchanges::new(&mut random, trials, rows);
                if self.resamples.is_some() {
                    // As in sacrebleu: the baseline's draws are those of the seed, the others'
                    // come behind the exchanges.
                    let (baseline, systems) = compared.metrics.split_at(1);
                    let mut drawn = draws(&mut Random::new(self.seed), baseline)?;
                    drawn.extend(draws(&mut random, systems)?);
                    set_confidence(&mut findings, &drawn, Mean::Pairwise);
                }
                randomize(compared, &exchanges, &mut findings)?;
            }
        }
        Ok(findings)
    }
}

fn set_confidence(findings: &mut [Vec<Finding>], drawn: &[Drawn], mean: Mean) {
    for (findings, drawn) in findings.iter_mut().zip(drawn) {
        for (finding, values) in findings.iter_mut().zip(drawn) {
            if !values.is_empty() {
                finding.confidence = Some(confidence(values, mean));
            }
        }
    }
}

/// How far a system's score lies from the baseline's.
fn difference(scores: &[Vec<f64>], system: usize, score: usize) -> f64 {
    let at = |system: usize| scores[system].get(score).copied().unwrap_or(f64::NAN);
    (at(0) - at(system)).abs()
}

/// The scores of every metric on the same draws.
fn bootstrap(
    metrics: &[MetricHandle],
    (count, rows): (usize, usize),
    random: &mut Random,
) -> Result<Vec<Drawn>, Error> {
    let mut drawn: Vec<Drawn> = vec![Vec::new(); metrics.len()];
    let mut examples = Vec::new();
    for batch in batches(count, rows) {
        examples.clear();
        // The rows of a table were counted to 2³² before.
        random.choose(rows as u32, batch * rows, &mut examples);
        let draws = Draws::new(&examples, rows, Resampling::Bootstrap);
        for (metric, drawn) in metrics.iter().zip(&mut drawn) {
            append(drawn, metric.resample(draws)?);
        }
    }
    Ok(drawn)
}

/// Which examples are exchanged in each trial.
struct Exchanges {
    exchanged: Vec<bool>,
    trials: usize,
    rows: usize,
}

impl Exchanges {
    fn new(random: &mut Random, trials: usize, rows: usize) -> Self {
        let mut bits = Bits::default();
        Self {
            exchanged: (0..trials * rows).map(|_| random.bit(&mut bits)).collect(),
            trials,
            rows,
        }
    }
}

/// Tests every system against the first.
fn randomize(
    compared: Compared,
    exchanges: &Exchanges,
    findings: &mut [Vec<Finding>],
) -> Result<(), Error> {
    let mut metrics = compared.metrics.into_iter();
    let Some(mut all) = metrics.next() else {
        return Ok(());
    };
    for metric in metrics {
        all.merge(metric)?;
    }
    for (system, findings) in findings.iter_mut().enumerate().skip(1) {
        let differences: Vec<f64> = (0..findings.len())
            .map(|score| difference(&compared.scores, system, score))
            .collect();
        let exceeding = exceeding(&all, exchanges, system, &differences)?;
        for (finding, exceeding) in findings.iter_mut().zip(exceeding) {
            finding.p_value = Some(p_value(exceeding, exchanges.trials));
        }
    }
    Ok(())
}

/// In how many trials the first system and another lie farther apart than `differences`, by score;
/// of the scores that have draws.
fn exceeding(
    all: &MetricHandle,
    exchanges: &Exchanges,
    system: usize,
    differences: &[f64],
) -> Result<Vec<usize>, Error> {
    let rows = exchanges.rows;
    let mut counts = vec![0; differences.len()];
    let mut examples = Vec::new();
    let mut trials = exchanges.exchanged.chunks_exact(rows);
    for batch in batches(exchanges.trials, 2 * rows) {
        examples.clear();
        for exchanged in trials.by_ref().take(batch) {
            for side in [true, false] {
                // Where the bit says so it is the baseline's example that stands on the first
                // side, and the system's on the second.
                let from = |is: bool| if is == side { 0 } else { system * rows };
                let rows = exchanged.iter().enumerate();
                examples.extend(rows.map(|(row, is)| (from(*is) + row) as u32));
            }
        }
        let draws = Draws::new(&examples, rows, Resampling::Exchange);
        for sides in all.resample(draws)?.chunks_exact(2) {
            counts.truncate(sides[0].len().min(sides[1].len()));
            for (score, count) in counts.iter_mut().enumerate() {
                let apart = (sides[0][score] - sides[1][score]).abs();
                *count += usize::from(apart > differences[score]);
            }
        }
    }
    Ok(counts)
}

/// So many draws at a time.
fn batches(count: usize, rows: usize) -> impl Iterator<Item = usize> {
    let size = (BATCH / rows.max(1)).max(1);
    (0..count)
        .step_by(size)
        .map(move |first| size.min(count - first))
}

/// Adds the values of draws to those of each score.
fn append(drawn: &mut Drawn, values: Vec<Vec<f64>>) {
    for values in values {
        drawn.resize(drawn.len().max(values.len()), Vec::new());
        for (drawn, value) in drawn.iter_mut().zip(values) {
            drawn.push(value);
        }
    }
}
