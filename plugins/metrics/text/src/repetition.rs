//! Repetition: how much a text says again.
//!
//! S. Welleck et al., "Neural text generation with unlikelihood training", ICLR 2020, section 6.1,
//! measured on the texts themselves, with words between white space for tokens:
//!
//! - `seq_rep_n = 1 − |distinct n-grams of x| / |n-grams of x|`, the mean over texts of at least `n`
//!   words;
//! - `rep_ℓ`: the share of all words that occur among the `ℓ` words before them in their text. The
//!   paper counts a model's most probable next tokens; in a text that was decoded greedily these are
//!   the text's own.
//!
//! References are not looked at.

use tenon_plugin_api::metric::prelude::*;
use tenon_plugin_api::options::OneOrMany;
use tenon_plugin_api::services::parallel_chunks;

use crate::mean::Mean;
use crate::ngrams::{self, lengths};

/// Examples that one thread takes at a time.
const CHUNK: usize = 64;

/// Options of `repetition`.
#[derive(Options, Debug)]
pub struct RepetitionOptions {
    /// Lengths of the runs of words that are counted, each a score `seq_rep_n`.
    #[default([4, 3, 2])]
    #[example(4)]
    pub n: OneOrMany<usize>,
    /// How far back a word may be repeated from, for the score `rep_ℓ`.
    #[default(128)]
    #[range(min = 1)]
    pub window: usize,
}

/// How much texts say again.
#[derive(Debug)]
pub struct Repetition {
    lengths: Vec<usize>,
    window: usize,
    totals: Totals,
}

/// What was counted.
#[derive(Debug)]
struct Totals {
    /// For each length, shares of the texts' runs that are repeated.
    repeated: Vec<Mean>,
    words: u64,
    again: u64,
}

impl Metric for Repetition {
    const ID: &'static str = "repetition";
    const ABOUT: &'static str =
        "Share of runs of words, and of words, that a text repeats (seq-rep-n, rep)";
    const IGNORES_REFERENCES: bool = true;
    type Options = RepetitionOptions;
    type Input = Text;

    fn new(options: RepetitionOptions) -> Result<Self> {
        let lengths = lengths(options.n)?;
        Ok(Self {
            totals: Totals::new(lengths.len()),
            lengths,
            window: options.window,
        })
    }

    fn update(&mut self, batch: Pairs<'_, Text>) -> Result<()> {
        let (lengths, window) = (&self.lengths, self.window);
        let found = parallel_chunks(batch.len(), CHUNK, |examples| {
            let mut totals = Totals::new(lengths.len());
            let mut counter = Counter::default();
            for index in examples {
                ngrams::read(batch.get(index).0, &mut counter.words);
                totals.add(&mut counter, lengths, window);
            }
            totals
        });
        found
            .into_iter()
            .for_each(|totals| self.totals.merge(totals));
        Ok(())
    }

    fn merge(&mut self, other: Self) {
        self.totals.merge(other.totals);
    }

    fn compute(&self) -> Scores {
        let repeated = self.lengths.iter().zip(&self.totals.repeated);
        let repeated = repeated.map(|(n, mean)| (format!("seq_rep_{n}"), mean.value()));
        let share = self.totals.again as f64 / self.totals.words as f64;
        let all = repeated.chain([(format!("rep_{}", self.window), share)]);
        all.fold(Scores::new(), |scores, (name, value)| {
            scores.and(name, value).lower_is_better().unit("fraction")
        })
    }
}

impl Totals {
    fn new(lengths: usize) -> Self {
        Self {
            repeated: vec![Mean::default(); lengths],
            words: 0,
            again: 0,
        }
    }

    fn add(&mut self, counter: &mut Counter, lengths: &[usize], window: usize) {
        self.words += counter.words.len() as u64;
        self.again += counter.again(window);
        for (n, repeated) in lengths.iter().zip(&mut self.repeated) {
            if counter.words.len() >= *n {
                repeated.add(counter.share(*n));
            }
        }
    }

    fn merge(&mut self, other: Self) {
        let means = self.repeated.iter_mut().zip(other.repeated);
        means.for_each(|(mean, more)| mean.merge(more));
        self.words += other.words;
        self.again += other.again;
    }
}

/// Counts within one text, in the same memory.
#[derive(Default)]
struct Counter {
    words: Vec<u64>,
    /// Which words occur in the text more than once. Only runs of these can be repeated.
    repeated: Vec<bool>,
    places: Places,
}

impl Counter {
    /// How many words occur among the `window` before them; finds out which are repeated.
    fn again(&mut self, window: usize) -> u64 {
        self.repeated.clear();
        self.repeated.resize(self.words.len(), false);
        self.places.clear(self.words.len());
        let mut count = 0;
        for (at, word) in self.words.iter().enumerate() {
            if let Some(before) = self.places.replace(*word, at) {
                (self.repeated[before], self.repeated[at]) = (true, true);
                count += u64::from(at - before <= window);
            }
        }
        count
    }

    /// The share of runs of `n` words that repeat another; there is at least one. After
    /// [`Self::again`].
    fn share(&mut self, n: usize) -> f64 {
        self.places.clear(self.words.len());
        let (mut repeated_words, mut repeated_runs) = (0, 0);
        for (at, repeated) in self.repeated.iter().enumerate() {
            repeated_words = if *repeated { repeated_words + 1 } else { 0 };
            if repeated_words >= n {
                let run = ngrams::run(&self.words[at + 1 - n..=at]);
                repeated_runs += usize::from(self.places.replace(run, at).is_some());
            }
        }
        let all = self.words.len() + 1 - n;
        1.0 - (all - repeated_runs) as f64 / all as f64
    }
}

/// Where hashes stood last: a table with room to spare, which is cleared by counting on.
#[derive(Default)]
struct Places {
    /// A hash, where it stood, and in which round; from its own place on, or wherever is room.
    slots: Vec<(u64, usize, u64)>,
    round: u64,
}

impl Places {
    /// Empties the table, and makes room for that many hashes.
    fn clear(&mut self, count: usize) {
        let room = (count * 2).next_power_of_two();
        if self.slots.len() < room {
            self.slots = vec![(0, 0, 0); room];
            self.round = 0;
        }
        self.round += 1;
    }

    /// Notes where a hash stands; where it stood before.
    fn replace(&mut self, hash: u64, at: usize) -> Option<usize> {
        let mask = self.slots.len() - 1;
        let mut slot = hash as usize & mask;
        loop {
            let (known, before, round) = self.slots[slot];
            if round != self.round {
                self.slots[slot] = (hash, at, self.round);
                return None;
            }
            if known == hash {
                self.slots[slot].1 = at;
                return Some(before);
            }
            slot = (slot + 1) & mask;
        }
    }
}
