//! Edit similarity: how little there is to change in a text to get the reference.
//!
//! `1 − d(p, r) / max(|p|, |r|)` with the Levenshtein distance `d` over characters, as used for code
//! completion; with `similarity = "ratio"`, `1 − e(p, r) / (|p| + |r|)` where `e` counts insertions
//! and deletions only, which is `2 · LCS / (|p| + |r|)`: rapidfuzz's `fuzz.ratio` over 100, the edit
//! similarity of CodeXGLUE (Lu et al. 2021). Two empty texts are alike: 1. The score of an example is
//! that of the reference that is closest; the score of all is the mean.

use rustc_hash::FxHashMap;
use tenon_plugin_api::metric::prelude::*;
use tenon_plugin_api::services::parallel_chunks;

use crate::kept::Kept;
use crate::mean::{Mean, need_references};
use crate::table::Columns;

/// Examples that one thread takes at a time.
const CHUNK: usize = 64;

/// Options of `edit-similarity`.
#[derive(Options, Debug)]
pub struct EditSimilarityOptions {
    /// What is counted, and by what it is divided.
    #[default(Similarity::Levenshtein)]
    pub similarity: Similarity,
}

/// What is counted, and by what it is divided.
#[derive(Options, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Similarity {
    /// Insertions, deletions and replacements; by the length of the longer text.
    Levenshtein,
    /// Insertions and deletions; by both lengths, as rapidfuzz's `fuzz.ratio`.
    Ratio,
}

/// How little there is to change in a text to get the reference.
#[derive(Debug)]
pub struct EditSimilarity {
    similarity: Similarity,
    mean: Mean,
    kept: Kept,
}

impl Metric for EditSimilarity {
    const ID: &'static str = "edit-similarity";
    const ABOUT: &'static str =
        "Share of characters that need no edit on the way from a text to its reference";
    type Options = EditSimilarityOptions;
    type Input = Text;

    fn new(options: EditSimilarityOptions) -> Result<Self> {
        Ok(Self {
            similarity: options.similarity,
            mean: Mean::default(),
            kept: Kept::new(1),
        })
    }

    fn update(&mut self, batch: Pairs<'_, Text>) -> Result<()> {
        need_references(batch, self.mean.count)?;
        let similarity = self.similarity;
        let values = parallel_chunks(batch.len(), CHUNK, |examples| {
            let mut comparer = Comparer::default();
            let best = |index| {
                let (prediction, references) = batch.get(index);
                let scores = references.map(|text| comparer.score(similarity, prediction, text));
                scores.fold(0.0, f64::max)
            };
            examples.map(best).collect::<Vec<f64>>()
        });
        for value in values.into_iter().flatten() {
            self.mean.add(value);
            self.kept.add(&[value]);
        }
        Ok(())
    }

    fn merge(&mut self, other: Self) {
        self.mean.merge(other.mean);
        self.kept.merge(other.kept);
    }

    fn compute(&self) -> Scores {
        Scores::one("edit_similarity", self.mean.value())
            .higher_is_better()
            .unit("fraction")
    }

    fn keep_examples(&mut self) -> bool {
        self.kept.keep();
        true
    }

    fn resample(&self, draws: Draws<'_>) -> Result<Vec<Vec<f64>>> {
        self.kept.resample(draws, <[f64]>::to_vec)
    }
}

/// Compares pair after pair, in the same memory.
#[derive(Default)]
struct Comparer {
    columns: Columns,
    /// Characters beyond ASCII as numbers from 128.
    letters: FxHashMap<char, u32>,
    prediction: Vec<u32>,
    reference: Vec<u32>,
}

impl Comparer {
    fn score(&mut self, similarity: Similarity, prediction: &str, reference: &str) -> f64 {
        read(prediction, &mut self.letters, &mut self.prediction);
        read(reference, &mut self.letters, &mut self.reference);
        let (n, m) = (self.prediction.len(), self.reference.len());
        let (prediction, reference) = trimmed(&self.prediction, &self.reference);
        // The fewer columns, the fewer words a row.
        let (across, down) = match prediction.len() < reference.len() {
            true => (prediction, reference),
            false => (reference, prediction),
        };
        self.columns.set(across);
        let (edits, all) = match similarity {
            Similarity::Levenshtein => (self.columns.distance(down), n.max(m)),
            Similarity::Ratio => {
                let common = self.columns.common(down);
                (across.len() + down.len() - 2 * common, n + m)
            }
        };
        match all {
            0 => 1.0,
            all => 1.0 - edits as f64 / all as f64,
        }
    }
}

fn read(text: &str, letters: &mut FxHashMap<char, u32>, into: &mut Vec<u32>) {
    into.clear();
    into.extend(text.chars().map(|letter| {
        if letter.is_ascii() {
            return letter as u32;
        }
        let next = 128 + letters.len() as u32;
        *letters.entry(letter).or_insert(next)
    }));
}

/// Both without what they begin and end with alike, which needs no edit.
fn trimmed<'a>(one: &'a [u32], other: &'a [u32]) -> (&'a [u32], &'a [u32]) {
    let alike = |(a, b): &(&u32, &u32)| a == b;
    let start = one.iter().zip(other).take_while(alike).count();
    let (one, other) = (&one[start..], &other[start..]);
    let end = one.iter().rev().zip(other.iter().rev()).take_while(alike);
    let end = end.count();
    (&one[..one.len() - end], &other[..other.len() - end])
}
