//! What the three metrics share: statistics of segments, summed over a corpus.
//!
//! A metric is a function of sums of statistics. Segments are counted on the host's threads, a
//! stretch of them at a time; the sums are added up in order, so that the score does not depend
//! on the threads.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tenon_plugin_api::metric::prelude::*;
use tenon_plugin_api::services;

use crate::real::Real;

/// Segments that one thread counts at a time.
const STRETCH: usize = 64;

/// Whether the score is that of the corpus or of its segments.
#[derive(Options, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// The score of the statistics summed over all segments.
    Corpus,
    /// The mean of the scores of segments; each is in the detail, under `segments`.
    Sentence,
}

/// Statistics of a segment, and the score of their sums.
pub trait Measure: Send + Sync + 'static {
    /// What a thread keeps from one segment to the next, and hands on to another.
    type Scratch: Default + Send;

    /// The number of statistics.
    fn width(&self) -> usize;

    /// Counts a segment into `statistics`, which are zero. It has one reference at least.
    fn count(
        &self,
        prediction: &str,
        references: Texts<'_>,
        scratch: &mut Self::Scratch,
        statistics: &mut [f64],
    );

    /// The score of sums of statistics, in the precision of the sums.
    fn score<T: Real>(&self, sums: &[T]) -> f64;
}

/// A measure with what it has counted.
pub struct Corpus<M: Measure> {
    measure: M,
    level: Level,
    sums: Vec<f64>,
    segments: u64,
    /// Scores of segments, for [`Level::Sentence`].
    scores: Vec<f64>,
    /// Statistics of segments one behind the other, when they are to be drawn from.
    kept: Option<Vec<f64>>,
    references: References,
    /// What no thread has at the moment.
    scratches: Mutex<Vec<M::Scratch>>,
}

/// How many references segments have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum References {
    Unknown,
    Each(usize),
    Varying,
}

/// What a stretch of segments counted to.
struct Counted {
    sums: Vec<f64>,
    scores: Vec<f64>,
    kept: Vec<f64>,
    references: References,
    /// The first segment without a reference.
    fault: Option<usize>,
}

impl<M: Measure> Corpus<M> {
    /// Nothing counted yet.
    pub fn new(measure: M, level: Level) -> Self {
        Self {
            sums: vec![0.0; measure.width()],
            measure,
            level,
            segments: 0,
            scores: Vec::new(),
            kept: None,
            references: References::Unknown,
            scratches: Mutex::default(),
        }
    }

    /// What it measures.
    pub fn measure(&self) -> &M {
        &self.measure
    }

    /// The sums over all segments.
    pub fn sums(&self) -> &[f64] {
        &self.sums
    }

    /// Counts a batch, on the host's threads.
    ///
    /// # Errors
    /// A segment has no reference.
    pub fn update(&mut self, batch: Pairs<'_, Text>) -> Result<()> {
        let counted =
            services::parallel_chunks(batch.len(), STRETCH, |rows| self.count(batch, rows));
        if let Some(row) = counted.iter().find_map(|counted| counted.fault) {
            let segment = self.segments + row as u64 + 1;
            return Err(Error::data(format!("segment {segment} has no reference")));
        }
        for counted in counted {
            self.add(
                &counted.sums,
                counted.scores,
                counted.kept,
                counted.references,
            );
        }
        self.segments += batch.len() as u64;
        Ok(())
    }

    /// Takes in what another has counted, behind its own.
    pub fn merge(&mut self, other: Self) {
        let kept = other.kept.unwrap_or_default();
        self.add(&other.sums, other.scores, kept, other.references);
        self.segments += other.segments;
    }

    /// The score of the corpus, or the mean of those of its segments; NaN without a segment.
    pub fn score(&self) -> f64 {
        match self.level {
            _ if self.segments == 0 => f64::NAN,
            Level::Corpus => self.measure.score(&self.sums),
            Level::Sentence => self.scores.iter().sum::<f64>() / self.scores.len() as f64,
        }
    }

    /// Keeps the statistics of segments from now on.
    pub fn keep(&mut self) {
        self.kept.get_or_insert_default();
    }

    /// The score of each draw of segments, on the host's threads.
    ///
    /// A bootstrap is summed in single precision and in order, as sacrebleu and numpy do: the
    /// intervals are theirs to the last digit that is printed.
    ///
    /// # Errors
    /// Statistics were not kept.
    pub fn resample(&self, draws: Draws<'_>) -> Result<Vec<Vec<f64>>> {
        let all = self.segments as usize * self.measure.width();
        let Some(kept) = self.kept.as_ref().filter(|kept| kept.len() == all) else {
            return Err(Error::unsupported("the segments were not kept"));
        };
        let score = |draw: &[u32]| match (self.level, draws.how()) {
            (Level::Sentence, _) => {
                let scores = draw.iter().map(|segment| self.scores[*segment as usize]);
                scores.sum::<f64>() / draw.len() as f64
            }
            (Level::Corpus, Resampling::Bootstrap) => self.score_drawn::<f32>(kept, draw),
            (Level::Corpus, Resampling::Exchange) => self.score_drawn::<f64>(kept, draw),
        };
        let scores = services::parallel_chunks(draws.len(), 1, |draw| {
            draw.map(|draw| vec![score(draws.get(draw))])
                .collect::<Vec<_>>()
        });
        Ok(scores.into_iter().flatten().collect())
    }

    fn score_drawn<T: Real>(&self, kept: &[f64], draw: &[u32]) -> f64 {
        let width = self.measure.width();
        let mut sums = vec![T::of(0.0); width];
        for segment in draw {
            let statistics = &kept[*segment as usize * width..][..width];
            for (sum, statistic) in sums.iter_mut().zip(statistics) {
                *sum = *sum + T::of(*statistic);
            }
        }
        self.measure.score(&sums)
    }

    /// The scores of segments, when they were asked for.
    pub fn segment_scores(&self) -> Option<&[f64]> {
        (self.level == Level::Sentence).then_some(&self.scores)
    }

    /// The number of references a segment, as it stands in signatures.
    pub fn references(&self) -> String {
        match self.references {
            References::Unknown => "0".to_owned(),
            References::Each(count) => count.to_string(),
            References::Varying => "var".to_owned(),
        }
    }

    fn count(&self, batch: Pairs<'_, Text>, rows: std::ops::Range<usize>) -> Counted {
        let width = self.measure.width();
        let mut counted = Counted {
            sums: vec![0.0; width],
            scores: Vec::new(),
            kept: Vec::new(),
            references: References::Unknown,
            fault: None,
        };
        let mut scratch = self.scratches().pop().unwrap_or_default();
        let mut statistics = vec![0.0; width];
        for row in rows {
            let (prediction, references) = batch.get(row);
            if references.len() == 0 {
                counted.fault = Some(row);
                break;
            }
            counted.references = counted.references.and(References::Each(references.len()));
            statistics.fill(0.0);
            self.measure
                .count(prediction, references, &mut scratch, &mut statistics);
            if self.level == Level::Sentence {
                counted.scores.push(self.measure.score(&statistics));
            }
            if self.kept.is_some() {
                counted.kept.extend_from_slice(&statistics);
            }
            add(&mut counted.sums, &statistics);
        }
        self.scratches().push(scratch);
        counted
    }

    fn scratches(&self) -> MutexGuard<'_, Vec<M::Scratch>> {
        let scratches = self.scratches.lock();
        scratches.unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&mut self, sums: &[f64], scores: Vec<f64>, kept: Vec<f64>, references: References) {
        add(&mut self.sums, sums);
        self.scores.extend(scores);
        if let Some(all) = &mut self.kept {
            all.extend(kept);
        }
        self.references = self.references.and(references);
    }
}

impl References {
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Unknown, known) | (known, Self::Unknown) => known,
            (a, b) if a == b => a,
            _ => Self::Varying,
        }
    }
}

fn add(sums: &mut [f64], statistics: &[f64]) {
    for (sum, statistic) in sums.iter_mut().zip(statistics) {
        *sum += statistic;
    }
}
