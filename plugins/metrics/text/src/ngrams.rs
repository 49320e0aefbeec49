//! Runs of words, told apart by 64 bits of hash: two of a million are taken for one with a
//! probability of 3 · 10⁻⁸.

use tenon_plugin_api::options::OneOrMany;
use tenon_plugin_api::{Result, ensure};

use crate::words::split;

/// An odd number without pattern: the first bits of the fraction of π.
const ODD: u64 = 0x243f_6a88_85a3_08d3;

/// Reads the words of a text as hashes.
pub fn read(text: &str, words: &mut Vec<u64>) {
    words.clear();
    words.extend(split(text).map(|word| hash(word.as_bytes())));
}

/// Hashes of the runs of `n` words.
pub fn runs(words: &[u64], n: usize) -> impl Iterator<Item = u64> + '_ {
    words.windows(n).map(run)
}

/// The hash of a run of words.
pub fn run(words: &[u64]) -> u64 {
    words.iter().copied().fold(0, mix)
}

fn hash(word: &[u8]) -> u64 {
    let mut state = word.len() as u64;
    if let Some(last) = word.last_chunk::<8>() {
        for part in word.chunks_exact(8).filter_map(<[u8]>::first_chunk::<8>) {
            state = mix(state, u64::from_le_bytes(*part));
        }
        return mix(state, u64::from_le_bytes(*last));
    }
    if let (Some(first), Some(last)) = (word.first_chunk::<4>(), word.last_chunk::<4>()) {
        let both = [first, last].map(|part| u64::from(u32::from_le_bytes(*part)));
        return mix(state, both[0] << 32 | both[1]);
    }
    let all = match *word {
        [] => [0; 3],
        [.., last] => [word[0], word[word.len() / 2], last],
    };
    let [first, middle, last] = all.map(u64::from);
    mix(state, first << 16 | middle << 8 | last)
}

fn mix(state: u64, more: u64) -> u64 {
    let state = (state.rotate_left(23) ^ more).wrapping_mul(ODD);
    state ^ (state >> 32)
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
