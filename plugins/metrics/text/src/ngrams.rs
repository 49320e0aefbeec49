//! Runs of words of a text.

use rustc_hash::FxHashMap;
use tenon_plugin_api::options::OneOrMany;
use tenon_plugin_api::{Result, ensure};

use crate::words::split;

/// The words of one text as numbers, and a count of its distinct runs.
#[derive(Default)]
pub struct Runs<'a> {
    ids: FxHashMap<&'a str, u32>,
    /// The words as numbers, in order.
    pub words: Vec<u32>,
    longer: FxHashMap<u64, u32>,
}

impl<'a> Runs<'a> {
    /// Reads a text: words between white space.
    pub fn read(text: &'a str) -> Self {
        let mut runs = Self::default();
        for word in split(text) {
            let next = runs.ids.len() as u32;
            let id = *runs.ids.entry(word).or_insert(next);
            runs.words.push(id);
        }
        runs
    }

    /// How many runs of `n` words there are.
    pub fn count(&self, n: usize) -> usize {
        (self.words.len() + 1).saturating_sub(n)
    }

    /// How many of them are distinct.
    pub fn distinct(&mut self, n: usize) -> usize {
        if n == 1 {
            return self.ids.len();
        }
        let mut starts = self.words.clone();
        let mut found = 0;
        for length in 2..=n {
            self.longer.clear();
            starts.truncate(self.count(length));
            for (start, word) in starts.iter_mut().zip(&self.words[length - 1..]) {
                // A run is the shorter one that it begins with, and a word.
                let next = self.longer.len() as u32;
                let run = u64::from(*start) << 32 | u64::from(*word);
                *start = *self.longer.entry(run).or_insert(next);
            }
            found = self.longer.len();
        }
        found
    }
}

/// The lengths of runs that a user asks for.
pub fn lengths(n: OneOrMany<usize>) -> Result<Vec<usize>> {
    let all = n.into_vec();
    ensure!(!all.is_empty(), Options, "`n` is empty");
    for (index, n) in all.iter().enumerate() {
        ensure!(*n > 0, Options, "`n` has 0; the shortest run is of 1 word");
        ensure!(!all[..index].contains(n), Options, "`n` has {n} twice");
    }
    Ok(all)
}
