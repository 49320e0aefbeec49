//! The ways in which a word can be cut into pieces.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use super::Piece;

/// How much less probable than the rarest piece an unknown letter is, as a logarithm.
const UNKNOWN: f64 = 10.0;
const NONE: u32 = u32::MAX;

/// Pieces as a tree of letters.
pub(super) struct Lattice {
    children: HashMap<u64, u32, BuildHasherDefault<Mixer>>,
    /// The piece that ends at a node.
    ends: Vec<u32>,
    scores: Vec<f64>,
    unknown: f64,
}

/// Mixes a key of 64 bits; a key is a node and a letter, so nobody chooses collisions cheaply.
#[derive(Default)]
struct Mixer(u64);

impl Hasher for Mixer {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, key: u64) {
        let mixed = (self.0 ^ key).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        self.0 = mixed ^ (mixed >> 29);
    }
}

fn key(node: u32, letter: char) -> u64 {
    u64::from(node) << 32 | u64::from(u32::from(letter))
}

impl Lattice {
    pub fn new(pieces: &[Piece]) -> Self {
        let mut lattice = Self {
            children: HashMap::default(),
            ends: vec![NONE],
            scores: pieces.iter().map(|(_, score)| *score).collect(),
            unknown: pieces.iter().map(|(_, score)| *score).fold(0.0, f64::min) - UNKNOWN,
        };
        for (id, (piece, _)) in pieces.iter().enumerate() {
            let mut node = 0;
            for letter in piece.chars() {
                let next = lattice.ends.len() as u32;
                node = *lattice.children.entry(key(node, letter)).or_insert(next);
                if node == next {
                    lattice.ends.push(NONE);
                }
            }
            lattice.ends[node as usize] = id as u32;
        }
        lattice
    }

    /// Calls `found(end, piece, score)` for every piece of `letters` from `start`; an unknown
    /// letter is a piece without number.
    fn each(&self, letters: &[char], start: usize, mut found: impl FnMut(usize, u32, f64)) {
        let mut node = 0;
        let mut has_letter = false;
        for (index, letter) in letters[start..].iter().enumerate() {
            match self.children.get(&key(node, *letter)) {
                Some(next) => node = *next,
                None => break,
            }
            let id = self.ends[node as usize];
            if id != NONE {
                has_letter |= index == 0;
                found(start + index + 1, id, self.scores[id as usize]);
            }
        }
        if !has_letter {
            found(start + 1, NONE, self.unknown);
        }
    }

    /// Adds how often each piece is expected in a word that came `count` times: the forward and
    /// backward pass, `c(piece) = count · α(start) · p(piece) · β(end) / Z`.
    pub fn expect(&self, letters: &[char], count: f64, sums: &mut [f64]) {
        let n = letters.len();
        let mut forward = vec![f64::NEG_INFINITY; n + 1];
        forward[0] = 0.0;
        let mut edges = Vec::with_capacity(4 * n);
        for start in 0..n {
            let here = forward[start];
            self.each(letters, start, |end, id, score| {
                forward[end] = log_sum(forward[end], here + score);
                edges.push((start, end, id, score));
            });
        }
        let mut backward = vec![f64::NEG_INFINITY; n + 1];
        backward[n] = 0.0;
        let whole = forward[n];
        for (start, end, id, score) in edges.into_iter().rev() {
            let after = score + backward[end];
            backward[start] = log_sum(backward[start], after);
            if id != NONE {
                sums[id as usize] += count * (forward[start] + after - whole).exp();
            }
        }
    }

    /// The most probable pieces of a word, without `except`; unknown letters are left out.
    pub fn best(&self, letters: &[char], except: Option<u32>) -> Vec<u32> {
        let n = letters.len();
        let mut scores = vec![f64::NEG_INFINITY; n + 1];
        scores[0] = 0.0;
        let mut from = vec![(0, NONE); n + 1];
        for start in 0..n {
            let here = scores[start];
            self.each(letters, start, |end, id, score| {
                if Some(id) != except && here + score > scores[end] {
                    scores[end] = here + score;
                    from[end] = (start, id);
                }
            });
        }
        let mut pieces = Vec::new();
        let mut end = n;
        while end > 0 {
            let (start, id) = from[end];
            if id != NONE {
                pieces.push(id);
            }
            end = start;
        }
        pieces.reverse();
        pieces
    }
}

/// ln(eᵃ + eᵇ)
fn log_sum(a: f64, b: f64) -> f64 {
    let (low, high) = if a < b { (a, b) } else { (b, a) };
    match high - low {
        // Also where `low` is −∞.
        difference if difference < 50.0 => high + (-difference).exp().ln_1p(),
        _ => high,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lattice() -> Lattice {
        let pieces = [("a", 0.4), ("b", 0.3), ("ab", 0.2), ("ba", 0.1)];
        let pieces: Vec<Piece> = pieces
            .iter()
            .map(|(piece, p)| ((*piece).to_owned(), f64::ln(*p)))
            .collect();
        Lattice::new(&pieces)
    }

    /// By hand: `aba` is a·b·a (0.048), ab·a (0.08) or a·ba (0.04).
    #[test]
    fn expectations_are_those_of_all_ways() {
        let mut sums = vec![0.0; 4];
        lattice().expect(&['a', 'b', 'a'], 2.0, &mut sums);
        let z = 0.048 + 0.08 + 0.04;
        let expected = [
            2.0 * (2.0 * 0.048 + 0.08 + 0.04) / z,
            2.0 * 0.048 / z,
            2.0 * 0.08 / z,
            2.0 * 0.04 / z,
        ];
        for (sum, expected) in sums.iter().zip(expected) {
            assert!((sum - expected).abs() < 1e-12, "{sums:?}");
        }
    }

    #[test]
    fn the_best_way_may_leave_a_piece_out() {
        let lattice = lattice();
        let letters = ['a', 'b', 'x', 'a'];
        assert_eq!(lattice.best(&letters, None), [2, 0]);
        assert_eq!(lattice.best(&letters, Some(2)), [0, 1, 0]);
    }
}
