//! Byte-pair encoding: the pair of tokens that comes most often becomes a token, again and again
//! (Sennrich et al. 2016, "Neural machine translation of rare words with subword units").
//!
//! Of pairs that come equally often, the one whose tokens are older goes first, as in
//! `tokenizers`.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, HashMap};

use super::count::Alphabet;
use super::spec::TrainSpec;
use super::{TrainError, Watch};

/// What continues a word, in WordPiece.
pub(super) const CONTINUES: &str = "##";
/// Merges between two looks at the watch.
const LOOK: usize = 64;

type Pair = (u32, u32);

/// A vocabulary and the merges that led to it, in order.
pub(super) struct Found {
    pub tokens: Vec<String>,
    pub merges: Vec<(String, String)>,
}

/// The vocabulary before the first merge.
pub(super) struct Start {
    tokens: Vec<String>,
    special: usize,
    prefix: Option<&'static str>,
}

impl Start {
    /// Special tokens, then the letters.
    pub fn new(
        special: &[String],
        letters: impl IntoIterator<Item = char>,
        prefix: Option<&'static str>,
    ) -> Self {
        let mut tokens = special.to_vec();
        for letter in letters {
            let letter = letter.to_string();
            if !special.contains(&letter) {
                tokens.push(letter);
            }
        }
        Self {
            tokens,
            special: special.len(),
            prefix,
        }
    }

    /// The alphabet, and then each letter that continues a word, marked so.
    pub fn of_words(special: &[String], alphabet: &Alphabet, words: &[(String, u64)]) -> Self {
        let mut start = Self::new(special, alphabet.chars.iter().copied(), Some(CONTINUES));
        let later = words.iter().flat_map(|(word, _)| word.chars().skip(1));
        let later: BTreeSet<char> = later.filter(|c| alphabet.has(*c)).collect();
        let marked = later.into_iter().map(|c| format!("{CONTINUES}{c}"));
        start.tokens.extend(marked);
        start
    }

    /// Tokens that are not special.
    pub fn letters(&self) -> usize {
        self.tokens.len() - self.special
    }
}

/// The 256 characters that stand for bytes in byte-level tokenizers, by code point.
pub(super) fn byte_alphabet() -> Vec<char> {
    let printable = |byte: &u32| matches!(byte, 33..=126 | 161..=172 | 174..=255);
    let plain = (0..256).filter(printable);
    let others = 256..256 + (0..256).filter(|byte| !printable(byte)).count() as u32;
    plain.chain(others).filter_map(char::from_u32).collect()
}

/// A word as tokens, and how often it came.
struct Word {
    tokens: Vec<u32>,
    count: u64,
}

/// Merges until the vocabulary has its size or no pair comes often enough.
pub(super) fn merge(
    words: &[(String, u64)],
    start: Start,
    spec: &TrainSpec,
    watch: &dyn Watch,
) -> Result<Found, TrainError> {
    let Start { tokens, prefix, .. } = start;
    let total = spec.vocab_size.saturating_sub(tokens.len());
    watch.phase("merging", total as u64);
    let mut state = State::new(words, tokens, prefix);
    let mut merges = Vec::new();
    while state.tokens.len() < spec.vocab_size {
        let Some((pair, count)) = state.most_frequent() else {
            break;
        };
        if count < spec.min_frequency.max(1) {
            break;
        }
        merges.push((
            state.tokens[pair.0 as usize].clone(),
            state.tokens[pair.1 as usize].clone(),
        ));
        state.join(pair);
        if merges.len().is_multiple_of(LOOK) {
            watch.at(merges.len() as u64);
            if watch.stopped() {
                return Err(TrainError::Stopped);
            }
        }
    }
    watch.at(total as u64);
    Ok(Found {
        tokens: state.tokens,
        merges,
    })
}

struct State {
    tokens: Vec<String>,
    ids: HashMap<String, u32>,
    prefix: Option<&'static str>,
    words: Vec<Word>,
    counts: HashMap<Pair, u64>,
    /// Words that have a pair, or had it.
    places: HashMap<Pair, Vec<u32>>,
    /// Pairs with the count that they had when they were put here.
    queue: BinaryHeap<(u64, Reverse<Pair>)>,
}

impl State {
    fn new(words: &[(String, u64)], tokens: Vec<String>, prefix: Option<&'static str>) -> Self {
        let ids: HashMap<String, u32> = tokens.iter().cloned().zip(0..).collect();
        let mut state = Self {
            tokens,
            ids,
            prefix,
            words: Vec::with_capacity(words.len()),
            counts: HashMap::new(),
            places: HashMap::new(),
            queue: BinaryHeap::new(),
        };
        for (word, count) in words {
            let tokens = state.letters(word);
            let at = state.words.len() as u32;
            for pair in tokens.windows(2) {
                let pair = (pair[0], pair[1]);
                *state.counts.entry(pair).or_default() += count;
                put(&mut state.places, pair, at);
            }
            state.words.push(Word {
                tokens,
                count: *count,
            });
        }
        let counts = state.counts.iter();
        state.queue = counts
            .map(|(pair, count)| (*count, Reverse(*pair)))
            .collect();
        state
    }

    /// The letters of a word that are in the vocabulary.
    fn letters(&self, word: &str) -> Vec<u32> {
        let mut text = String::new();
        let mut tokens = Vec::new();
        for (index, c) in word.chars().enumerate() {
            text.clear();
            if let (Some(prefix), true) = (self.prefix, index > 0) {
                text.push_str(prefix);
            }
            text.push(c);
            match self.ids.get(&text) {
                Some(id) => tokens.push(*id),
                // A word with a letter that the vocabulary has not is unknown as a whole.
                None if self.prefix.is_some() => return Vec::new(),
                None => {}
            }
        }
        tokens
    }

    /// The pair that comes most often now, and how often.
    fn most_frequent(&mut self) -> Option<(Pair, u64)> {
        while let Some((count, Reverse(pair))) = self.queue.pop() {
            let now = self.counts.get(&pair).copied().unwrap_or(0);
            if now == count {
                return Some((pair, count));
            }
            if now > 0 {
                self.queue.push((now, Reverse(pair)));
            }
        }
        None
    }

    /// Makes a token of a pair, in every word.
    fn join(&mut self, pair: Pair) {
        let right = &self.tokens[pair.1 as usize];
        let right = self
            .prefix
            .and_then(|prefix| right.strip_prefix(prefix))
            .unwrap_or(right);
        let text = format!("{}{right}", self.tokens[pair.0 as usize]);
        let id = *self.ids.entry(text.clone()).or_insert_with(|| {
            self.tokens.push(text);
            self.tokens.len() as u32 - 1
        });
        let mut grown: BTreeSet<Pair> = BTreeSet::new();
        for at in self.places.remove(&pair).unwrap_or_default() {
            let word = &mut self.words[at as usize];
            let count = word.count;
            join_in(&mut word.tokens, pair, id, |neighbours, more| {
                let known = self.counts.entry(neighbours).or_default();
                if more {
                    *known += count;
                    grown.insert(neighbours);
                    put(&mut self.places, neighbours, at);
                } else {
                    *known = known.saturating_sub(count);
                }
            });
        }
        self.counts.remove(&pair);
        for pair in grown {
            if let Some(count) = self.counts.get(&pair) {
                self.queue.push((*count, Reverse(pair)));
            }
        }
    }
}

fn put(places: &mut HashMap<Pair, Vec<u32>>, pair: Pair, at: u32) {
    let places = places.entry(pair).or_default();
    if places.last() != Some(&at) {
        places.push(at);
    }
}

/// Replaces a pair in a word; `change` is told which neighbours go (`false`) and come (`true`).
fn join_in(tokens: &mut Vec<u32>, pair: Pair, id: u32, mut change: impl FnMut(Pair, bool)) {
    let (mut from, mut to) = (0, 0);
    while from < tokens.len() {
        let is_pair = from + 1 < tokens.len() && (tokens[from], tokens[from + 1]) == pair;
        if !is_pair {
            tokens[to] = tokens[from];
            (from, to) = (from + 1, to + 1);
            continue;
        }
        if to > 0 {
            change((tokens[to - 1], pair.0), false);
            change((tokens[to - 1], id), true);
        }
        if let Some(next) = tokens.get(from + 2).copied() {
            change((pair.1, next), false);
            change((id, next), true);
        }
        tokens[to] = id;
        (from, to) = (from + 2, to + 1);
    }
    tokens.truncate(to);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokenizer::train::{Kind, Unwatched};

    fn words(text: &str) -> Vec<(String, u64)> {
        let words = text.split(' ').map(|word| word.split_once(':'));
        let parsed = words.map(|word| word.expect("word:count"));
        parsed
            .map(|(word, count)| (word.to_owned(), count.parse().expect("a number")))
            .collect()
    }

    fn merged(text: &str, vocab_size: usize) -> String {
        let words = words(text);
        let alphabet = Alphabet::new(&words, 1.0);
        let start = Start::new(&[], alphabet.chars, None);
        let spec = TrainSpec {
            vocab_size,
            min_frequency: 1,
            ..TrainSpec::new(Kind::Bpe)
        };
        let found = merge(&words, start, &spec, &Unwatched).expect("merges");
        let pairs = found.merges.iter().map(|(a, b)| format!("{a}+{b}"));
        pairs.collect::<Vec<_>>().join(" ")
    }

    /// The example of the paper: its merges, in its order.
    #[test]
    fn the_papers_example() {
        let merges = merged("low:5 lower:2 newest:6 widest:3", 10 + 4);
        assert_eq!(merges, "e+s es+t l+o lo+w");
    }

    #[test]
    fn equally_frequent_pairs_go_by_age_and_overlaps_count_once() {
        assert_eq!(merged("ab:1 cd:1 ba:1", 6), "a+b b+a");
        assert_eq!(merged("aaaa:3 aaab:1", 5), "a+a aa+aa a+b");
    }

    #[test]
    fn all_bytes_have_a_letter() {
        let letters = byte_alphabet();
        assert_eq!(letters.len(), 256);
        assert!(letters.is_sorted() && letters.contains(&'Ġ') && letters.contains(&'Ċ'));
    }
}
