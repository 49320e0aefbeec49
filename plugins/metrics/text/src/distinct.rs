//! Distinct-n: how many different runs of words a system writes.
//!
//! `|distinct n-grams| / |words|` over all texts together, as of J. Li et al., "A diversity-promoting
//! objective function for neural conversation models", NAACL 2016, section 5.2, which scales by the
//! number of generated tokens; with `per = "ngrams"`, by the number of n-grams, as later works do.
//! Words stand between white space. References are not looked at.

use std::sync::{Mutex, MutexGuard, PoisonError};

use rustc_hash::FxHashSet;
use tenon_plugin_api::metric::prelude::*;
use tenon_plugin_api::options::OneOrMany;
use tenon_plugin_api::services::{parallel_chunks, parallel_for};

use crate::ngrams::{self, lengths};

/// Examples that one thread takes at a time.
const CHUNK: usize = 256;
/// Sets that the runs of one length are divided among, so that threads can fill them.
const SHARDS: usize = 16;
/// Room for the runs of a shard that one thread finds at a time.
const ROOM: usize = 256;

/// Options of `distinct`.
#[derive(Options, Debug)]
pub struct DistinctOptions {
    /// Lengths of the runs of words that are counted, each a score `distinct_n`.
    #[default([1, 2])]
    #[example(2)]
    pub n: OneOrMany<usize>,
    /// What the count of distinct runs is divided by.
    #[default(Per::Tokens)]
    pub per: Per,
    /// Whether to compare in lower case.
    #[default(false)]
    pub lowercase: bool,
}

/// What a count of distinct runs is divided by.
#[derive(Options, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Per {
    /// All words, as Li et al. do.
    Tokens,
    /// All runs of that length.
    Ngrams,
}

/// How many different runs of words a system writes.
#[derive(Debug)]
pub struct Distinct {
    lengths: Vec<usize>,
    per: Per,
    lowercase: bool,
    words: u64,
    /// Runs of each length.
    runs: Vec<u64>,
    /// Hashes of the distinct ones, `SHARDS` sets a length.
    seen: Vec<Mutex<FxHashSet<u64>>>,
}

/// What a thread found.
struct Found {
    words: u64,
    runs: Vec<u64>,
    /// Hashes of the runs, for each length and shard.
    hashes: Vec<Vec<u64>>,
}

impl Metric for Distinct {
    const ID: &'static str = "distinct";
    const ABOUT: &'static str = "Distinct runs of words over all words written (distinct-n)";
    const IGNORES_REFERENCES: bool = true;
    type Options = DistinctOptions;
    type Input = Text;

    fn new(options: DistinctOptions) -> Result<Self> {
        let lengths = lengths(options.n)?;
        Ok(Self {
            per: options.per,
            lowercase: options.lowercase,
            words: 0,
            runs: vec![0; lengths.len()],
            seen: (0..lengths.len() * SHARDS)
                .map(|_| Mutex::default())
                .collect(),
            lengths,
        })
    }

    fn update(&mut self, batch: Pairs<'_, Text>) -> Result<()> {
        let (lengths, lowercase) = (&self.lengths, self.lowercase);
        let all = parallel_chunks(batch.len(), CHUNK, |examples| {
            let mut found = Found::new(lengths.len());
            let mut words = Vec::new();
            for index in examples {
                let text = batch.get(index).0;
                match lowercase {
                    true => ngrams::read(&text.to_lowercase(), &mut words),
                    false => ngrams::read(text, &mut words),
                }
                found.add(&words, lengths);
            }
            found
        });
        for found in &all {
            self.words += found.words;
            let runs = self.runs.iter_mut().zip(&found.runs);
            runs.for_each(|(runs, more)| *runs += more);
        }
        parallel_for(self.seen.len(), |shard| {
            let mut seen = lock(&self.seen[shard]);
            for found in &all {
                seen.extend(&found.hashes[shard]);
            }
        });
        Ok(())
    }

    fn merge(&mut self, other: Self) {
        self.words += other.words;
        let runs = self.runs.iter_mut().zip(other.runs);
        runs.for_each(|(runs, more)| *runs += more);
        for (seen, more) in self.seen.iter().zip(other.seen) {
            lock(seen).extend(more.into_inner().unwrap_or_else(PoisonError::into_inner));
        }
    }

    fn compute(&self) -> Scores {
        let distinct = self.seen.chunks(SHARDS).map(|seen| {
            let counts = seen.iter().map(|seen| lock(seen).len());
            counts.sum::<usize>()
        });
        let all = self.lengths.iter().zip(distinct).zip(&self.runs);
        all.fold(Scores::new(), |scores, ((n, distinct), runs)| {
            let by = match self.per {
                Per::Tokens => self.words,
                Per::Ngrams => *runs,
            };
            scores
                .and(format!("distinct_{n}"), distinct as f64 / by as f64)
                .higher_is_better()
                .unit("fraction")
        })
    }
}

fn lock(seen: &Mutex<FxHashSet<u64>>) -> MutexGuard<'_, FxHashSet<u64>> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Found {
    fn new(lengths: usize) -> Self {
        Self {
            words: 0,
            runs: vec![0; lengths],
            hashes: (0..lengths * SHARDS)
                .map(|_| Vec::with_capacity(ROOM))
                .collect(),
        }
    }

    fn add(&mut self, words: &[u64], lengths: &[usize]) {
        self.words += words.len() as u64;
        for (index, n) in lengths.iter().enumerate() {
            self.runs[index] += (words.len() + 1).saturating_sub(*n) as u64;
            let shards = &mut self.hashes[index * SHARDS..(index + 1) * SHARDS];
            for run in ngrams::runs(words, *n) {
                shards[(run >> 20) as usize % SHARDS].push(run);
            }
        }
    }
}
