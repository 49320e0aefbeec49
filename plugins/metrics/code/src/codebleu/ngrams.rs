//! N-grams of words between spaces: BLEU, and a recall that prefers keywords.
//!
//! Both take the geometric mean over orders 1 to 4 and smooth an order without a match by 0.1
//! (method 1 of Chen and Cherry 2014). The recall divides by the reference's n-grams; of single
//! words a keyword counts 1 and any other word 0.2. In the package it takes every reference for two
//! words long, so that hardly any candidate is too short for it; so it does here.

use rustc_hash::FxHashMap;

use super::is_space;
use super::language::Keywords;

const ORDERS: usize = 4;
/// Weight of a word that is no keyword.
const OTHER: f64 = 0.2;
/// As many other words weigh as much as a keyword.
const OTHERS_A_KEYWORD: u64 = 5;
/// Added to an order without a match.
const EPSILON: f64 = 0.1;
/// The length of a reference as the weighted part takes it.
const WEIGHTED_LENGTH: u64 = 2;

/// What was counted over the corpus.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NgramCounts {
    examples: u64,
    /// Words of candidates.
    length: u64,
    /// Words of the references closest in length.
    reference_length: u64,
    /// N-grams of candidates by order, and those found in references.
    candidate: [u64; ORDERS],
    candidate_matched: [u64; ORDERS],
    /// N-grams of references by order, and those found in candidates.
    reference: [u64; ORDERS],
    reference_matched: [u64; ORDERS],
    /// Words of references that are no keywords; the first order above holds the keywords.
    others: u64,
    others_matched: u64,
}

impl NgramCounts {
    /// Adds another corpus.
    pub fn add(&mut self, other: &Self) {
        let sum = |into: &mut [u64; ORDERS], from: &[u64; ORDERS]| {
            into.iter_mut()
                .zip(from)
                .for_each(|(into, from)| *into += from);
        };
        self.examples += other.examples;
        self.length += other.length;
        self.reference_length += other.reference_length;
        sum(&mut self.candidate, &other.candidate);
        sum(&mut self.candidate_matched, &other.candidate_matched);
        sum(&mut self.reference, &other.reference);
        sum(&mut self.reference_matched, &other.reference_matched);
        self.others += other.others;
        self.others_matched += other.others_matched;
    }

    /// Adds a candidate and its references.
    pub fn count(&mut self, candidate: &str, references: &[&str], keywords: &Keywords) {
        let mut words = Words::default();
        let candidate = words.of(candidate);
        let references: Vec<Vec<u32>> = references.iter().map(|text| words.of(text)).collect();
        let length = candidate.len() as u64;
        let lengths = references.iter().map(|reference| reference.len() as u64);
        let closest = lengths.min_by_key(|other| (other.abs_diff(length), *other));
        self.examples += 1;
        self.length += length;
        self.reference_length += closest.unwrap_or(0);
        for order in 0..ORDERS {
            let candidate = ngrams(&candidate, order + 1);
            let references: Vec<_> = references
                .iter()
                .map(|text| ngrams(text, order + 1))
                .collect();
            self.count_precision(order, &candidate, &references);
            for reference in &references {
                match order {
                    0 => self.count_words(&candidate, reference, &words, keywords),
                    order => self.count_recall(order, &candidate, reference),
                }
            }
        }
    }

    fn count_precision(
        &mut self,
        order: usize,
        candidate: &[Counted],
        references: &[Vec<Counted>],
    ) {
        let mut best = vec![0; candidate.len()];
        for reference in references {
            for (best, (_, count, other)) in best.iter_mut().zip(joined(candidate, reference)) {
                *best = other.min(count).max(*best);
            }
        }
        self.candidate[order] += total(candidate).max(1);
        self.candidate_matched[order] += best.iter().sum::<u64>();
    }

    fn count_recall(&mut self, order: usize, candidate: &[Counted], reference: &[Counted]) {
        let matched = joined(reference, candidate).map(|(_, count, other)| count.min(other));
        self.reference[order] += total(reference).max(1);
        self.reference_matched[order] += matched.sum::<u64>();
    }

    fn count_words(
        &mut self,
        candidate: &[Counted],
        reference: &[Counted],
        words: &Words<'_>,
        keywords: &Keywords,
    ) {
        let (mut keys, mut others) = (0, 0);
        for (word, count, other) in joined(reference, candidate) {
            let matched = count.min(other);
            if keywords.contains(words.text[word as usize]) {
                keys += count;
                self.reference_matched[0] += matched;
            } else {
                others += count;
                self.others_matched += matched;
            }
        }
        // No reference weighs less than a keyword.
        if keys == 0 && others < OTHERS_A_KEYWORD {
            (keys, others) = (1, 0);
        }
        self.reference[0] += keys;
        self.others += others;
    }

    /// BLEU; NaN without an example.
    pub fn bleu(&self) -> f64 {
        let matched = self.candidate_matched.map(|count| count as f64);
        let all = self.candidate.map(|count| count as f64);
        self.mean(matched, all, self.reference_length)
    }

    /// The weighted recall; NaN without an example.
    pub fn weighted_bleu(&self) -> f64 {
        let mut matched = self.reference_matched.map(|count| count as f64);
        let mut all = self.reference.map(|count| count as f64);
        matched[0] += OTHER * self.others_matched as f64;
        all[0] += OTHER * self.others as f64;
        self.mean(matched, all, WEIGHTED_LENGTH * self.examples)
    }

    /// The geometric mean of the orders' shares, times the penalty for brevity.
    fn mean(&self, matched: [f64; ORDERS], all: [f64; ORDERS], reference_length: u64) -> f64 {
        if self.examples == 0 {
            return f64::NAN;
        }
        if matched[0] == 0.0 {
            return 0.0;
        }
        let penalty = if self.length > reference_length {
            1.0
        } else {
            (1.0 - reference_length as f64 / self.length as f64).exp()
        };
        let log = |(matched, all): (&f64, &f64)| {
            let matched = if *matched == 0.0 { EPSILON } else { *matched };
            (matched / all).ln() / ORDERS as f64
        };
        penalty * matched.iter().zip(&all).map(log).sum::<f64>().exp()
    }
}

/// Numbers for the words of an example.
#[derive(Default)]
struct Words<'a> {
    numbers: FxHashMap<&'a str, u32>,
    text: Vec<&'a str>,
}

impl<'a> Words<'a> {
    fn of(&mut self, text: &'a str) -> Vec<u32> {
        let words = text.split(is_space).filter(|word| !word.is_empty());
        let number = |word: &'a str| {
            *self.numbers.entry(word).or_insert_with(|| {
                self.text.push(word);
                self.text.len() as u32 - 1
            })
        };
        words.map(number).collect()
    }
}

/// An n-gram, its words packed, and how often it occurs.
type Counted = (u128, u64);

/// The n-grams of a text, sorted.
fn ngrams(words: &[u32], order: usize) -> Vec<Counted> {
    let pack = |words: &[u32]| {
        words
            .iter()
            .fold(0, |all, word| all << 32 | u128::from(*word))
    };
    let mut all: Vec<u128> = words.windows(order).map(pack).collect();
    all.sort_unstable();
    let same = all.chunk_by(|a, b| a == b);
    same.map(|same| (same[0], same.len() as u64)).collect()
}

fn total(ngrams: &[Counted]) -> u64 {
    ngrams.iter().map(|(_, count)| count).sum()
}

/// Each n-gram of `left` with its count and its count in `right`.
fn joined<'a>(
    left: &'a [Counted],
    right: &'a [Counted],
) -> impl Iterator<Item = (u128, u64, u64)> + 'a {
    let mut right = right.iter().peekable();
    left.iter().map(move |(ngram, count)| {
        while right.next_if(|(other, _)| other < ngram).is_some() {}
        let other = right.next_if(|(other, _)| other == ngram);
        (*ngram, *count, other.map_or(0, |(_, count)| *count))
    })
}
