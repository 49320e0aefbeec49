//! Distinct-n: how many different runs of words a system writes.
//!
//! `|distinct n-grams| / |words|` over all texts together, as of J. Li et al., "A diversity-promoting
//! objective function for neural conversation models", NAACL 2016, section 5.2, which scales by the
//! number of generated tokens; with `per = "ngrams"`, by the number of n-grams, as later works do.
//! Words stand between white space. References are not looked at.
//!
//! N-grams are told apart by 128 bits of hash: two of a million of them are taken for one with a
//! probability below 10⁻²⁶.

use std::sync::{Mutex, PoisonError};

use rustc_hash::FxHashSet;
use tenon_plugin_api::metric::prelude::*;
use tenon_plugin_api::options::OneOrMany;
use tenon_plugin_api::services::{parallel_chunks, parallel_for};

use crate::ngrams::lengths;
use crate::words::split;

/// Examples that one thread takes at a time.
const CHUNK: usize = 64;
/// Sets that the n-grams of one length are divided among, so that threads can fill them.
const SHARDS: usize = 16;

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
    /// Distinct ones of each length.
    seen: Vec<Shards>,
}

/// Hashes, divided by their last bits.
#[derive(Debug)]
struct Shards(Vec<Mutex<FxHashSet<u128>>>);

/// What a thread found.
struct Found {
    words: u64,
    runs: Vec<u64>,
    /// Hashes for each length and shard.
    hashes: Vec<Vec<u128>>,
}

impl Metric for Distinct {
    const ID: &'static str = "distinct";
    const ABOUT: &'static str = "Distinct runs of words over all words written (distinct-n)";
    type Options = DistinctOptions;
    type Input = Text;

    fn new(options: DistinctOptions) -> Result<Self> {
        let lengths = lengths(options.n)?;
        let shards = |_: &usize| Shards((0..SHARDS).map(|_| Mutex::default()).collect());
        Ok(Self {
            per: options.per,
            lowercase: options.lowercase,
            words: 0,
            runs: vec![0; lengths.len()],
            seen: lengths.iter().map(shards).collect(),
            lengths,
        })
    }

    fn update(&mut self, batch: Pairs<'_, Text>) -> Result<()> {
        let (lengths, lowercase) = (&self.lengths, self.lowercase);
        let all = parallel_chunks(batch.len(), CHUNK, |examples| {
            let mut found = Found::new(lengths.len());
            for index in examples {
                let text = batch.get(index).0;
                match lowercase {
                    true => found.add(&text.to_lowercase(), lengths),
                    false => found.add(text, lengths),
                }
            }
            found
        });
        for found in &all {
            self.words += found.words;
            let runs = self.runs.iter_mut().zip(&found.runs);
            runs.for_each(|(runs, more)| *runs += more);
        }
        parallel_for(lengths.len() * SHARDS, |place| {
            let hashes = all.iter().flat_map(|found| &found.hashes[place]);
            let shard = &self.seen[place / SHARDS].0[place % SHARDS];
            shard
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .extend(hashes);
        });
        Ok(())
    }

    fn merge(&mut self, other: Self) {
        self.words += other.words;
        let runs = self.runs.iter_mut().zip(other.runs);
        runs.for_each(|(runs, more)| *runs += more);
        for (shards, more) in self.seen.iter_mut().zip(other.seen) {
            for (shard, more) in shards.0.iter_mut().zip(more.0) {
                let shard = shard.get_mut().unwrap_or_else(PoisonError::into_inner);
                shard.extend(more.into_inner().unwrap_or_else(PoisonError::into_inner));
            }
        }
    }

    fn compute(&self) -> Scores {
        let all = self.lengths.iter().zip(&self.seen).zip(&self.runs);
        all.fold(Scores::new(), |scores, ((n, seen), runs)| {
            let by = match self.per {
                Per::Tokens => self.words,
                Per::Ngrams => *runs,
            };
            scores
                .and(format!("distinct_{n}"), seen.len() as f64 / by as f64)
                .higher_is_better()
                .unit("fraction")
        })
    }
}

impl Shards {
    fn len(&self) -> usize {
        let shards = self.0.iter();
        shards
            .map(|shard| shard.lock().unwrap_or_else(PoisonError::into_inner).len())
            .sum()
    }
}

impl Found {
    fn new(lengths: usize) -> Self {
        Self {
            words: 0,
            runs: vec![0; lengths],
            hashes: vec![Vec::new(); lengths * SHARDS],
        }
    }

    fn add(&mut self, text: &str, lengths: &[usize]) {
        let words: Vec<u128> = split(text).map(|word| hash(word.as_bytes())).collect();
        self.words += words.len() as u64;
        for (index, n) in lengths.iter().enumerate() {
            for run in words.windows(*n) {
                self.runs[index] += 1;
                let hash = run.iter().fold(0, |hash: u128, word| {
                    hash.wrapping_mul(ODD).wrapping_add(*word)
                });
                self.hashes[index * SHARDS + (hash >> 120) as usize % SHARDS].push(hash);
            }
        }
    }
}

/// An odd number without pattern: the first bits of the fraction of π.
const ODD: u128 = 0x243f_6a88_85a3_08d3_1319_8a2e_0370_7345;

/// 128 bits of a word. Every step can be undone, so short words never share them.
fn hash(word: &[u8]) -> u128 {
    let mut state = word.len() as u128;
    for part in word.chunks(8) {
        let mut bytes = [0; 8];
        bytes[..part.len()].copy_from_slice(part);
        state = (state ^ u128::from(u64::from_le_bytes(bytes))).wrapping_mul(ODD);
        state ^= state >> 67;
    }
    state = state.wrapping_mul(ODD);
    state ^ (state >> 65)
}
