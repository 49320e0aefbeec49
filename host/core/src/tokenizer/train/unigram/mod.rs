//! The unigram language model over pieces (Kudo 2018, "Subword regularization", section 3.2).
//!
//! From many substrings as seeds, expectation maximisation finds how probable each piece is, and
//! the quarter of them whose loss would cost the least likelihood goes, until the vocabulary has
//! its size. As in SentencePiece: the M step is its Bayesian one, `log p = ψ(c) − ψ(Σc)`, and
//! single characters always stay.

mod lattice;
mod seeds;

use super::count::Alphabet;
use super::{TrainError, Watch};
use crate::data::in_order;
use lattice::Lattice;

/// A piece and the logarithm of its probability.
pub(super) type Piece = (String, f64);

/// The mark of a word's beginning.
pub(super) const SPACE: char = '▁';
/// Share of the pieces that a round leaves.
const SHRINK: f64 = 0.75;
/// EM steps before pieces are taken away.
const STEPS: usize = 2;
/// A piece that is expected less often goes.
const RARE: f64 = 0.5;
/// Parts that the words are counted in. Sums of floating-point numbers depend on it, so it is the
/// same on every machine.
const PARTS: usize = 16;

/// Words as letters, with how often they came.
pub(super) struct Words {
    pub letters: Vec<(Vec<char>, f64)>,
    threads: usize,
}

impl Words {
    /// Cuts words at letters that are not in the alphabet.
    fn new(words: &[(String, u64)], alphabet: &Alphabet) -> Self {
        let mut letters = Vec::with_capacity(words.len());
        for (word, count) in words {
            let parts = word
                .split(|c| !alphabet.has(c))
                .filter(|part| !part.is_empty());
            letters.extend(parts.map(|part| (part.chars().collect(), *count as f64)));
        }
        Self {
            letters,
            threads: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        }
    }

    /// Adds up what `of` says of each word, piece by piece.
    fn sum(&self, pieces: usize, of: impl Fn(&[char], f64, &mut [f64]) + Sync) -> Vec<f64> {
        let size = self.letters.len().div_ceil(PARTS).max(1);
        let parts = self.letters.len().div_ceil(size);
        let part = |index: usize| {
            let mut sums = vec![0.0; pieces];
            let end = self.letters.len().min((index + 1) * size);
            for (letters, count) in &self.letters[index * size..end] {
                of(letters, *count, &mut sums);
            }
            sums
        };
        let mut total = vec![0.0; pieces];
        let added = in_order(parts, self.threads, part, |sums| {
            total
                .iter_mut()
                .zip(sums)
                .for_each(|(all, sum)| *all += sum);
            Ok::<(), std::convert::Infallible>(())
        });
        let Ok(()) = added;
        total
    }
}

/// Finds at most `room` pieces, the characters of the alphabet among them, the most probable
/// first.
pub(super) fn train(
    words: &[(String, u64)],
    alphabet: &Alphabet,
    room: usize,
    watch: &dyn Watch,
) -> Result<Vec<Piece>, TrainError> {
    let words = Words::new(words, alphabet);
    watch.phase("finding substrings", 1);
    let mut pieces = seeds::find(&words, alphabet);
    watch.at(1);
    // A little more than is wanted, so that the last choice is by probability.
    let wanted = room * 11 / 10;
    let rounds = (wanted.max(1) as f64 / pieces.len() as f64).ln() / SHRINK.ln();
    let rounds = rounds.max(0.0).ceil() as u64 + 1;
    watch.phase("estimating pieces", rounds);
    for round in 0.. {
        for _ in 0..STEPS {
            pieces = step(&words, &pieces);
            if watch.stopped() {
                return Err(TrainError::Stopped);
            }
        }
        watch.at(rounds.min(round + 1));
        if pieces.len() <= wanted {
            break;
        }
        let before = pieces.len();
        pieces = prune(&words, pieces, wanted);
        if pieces.len() == before {
            break;
        }
    }
    Ok(choose(pieces, alphabet, room))
}

/// One step of expectation maximisation.
fn step(words: &Words, pieces: &[Piece]) -> Vec<Piece> {
    let lattice = Lattice::new(pieces);
    let expected = words.sum(pieces.len(), |letters, count, sums| {
        lattice.expect(letters, count, sums);
    });
    let kept = || {
        pieces
            .iter()
            .zip(&expected)
            .filter(|(_, count)| **count >= RARE)
    };
    let total: f64 = kept().map(|(_, count)| *count).sum();
    let total = digamma(total);
    kept()
        .map(|((piece, _), count)| (piece.clone(), digamma(*count) - total))
        .collect()
}

/// Leaves out the pieces whose loss costs least: their share goes to the pieces that would stand
/// in their place.
fn prune(words: &Words, pieces: Vec<Piece>, wanted: usize) -> Vec<Piece> {
    let lattice = Lattice::new(&pieces);
    let found = words.sum(pieces.len(), |letters, count, sums| {
        for id in lattice.best(letters, None) {
            sums[id as usize] += count;
        }
    });
    let total: f64 = found.iter().sum();
    let words_total: f64 = words.letters.iter().map(|(_, count)| count).sum();
    let mut keep = vec![false; pieces.len()];
    let mut candidates = Vec::new();
    let mut kept = 0;
    for (id, (piece, _)) in pieces.iter().enumerate() {
        let letters: Vec<char> = piece.chars().collect();
        if letters.len() == 1 {
            keep[id] = true;
            kept += 1;
            continue;
        }
        if found[id] == 0.0 {
            continue;
        }
        let others = lattice.best(&letters, Some(id as u32));
        if others.is_empty() {
            // Nothing could stand in its place.
            keep[id] = true;
            kept += 1;
            continue;
        }
        let (count, parts) = (found[id], others.len() as f64);
        let without = (total + count * (parts - 1.0)).ln();
        let instead: f64 = others
            .iter()
            .map(|other| (found[*other as usize] + count).ln() - without)
            .sum();
        let loss = count / words_total * (count.ln() - total.ln() - instead);
        candidates.push((id, loss));
    }
    let size = wanted.max((pieces.len() as f64 * SHRINK) as usize);
    candidates.sort_by(|(a, m), (b, n)| n.total_cmp(m).then_with(|| a.cmp(b)));
    for (id, _) in candidates.into_iter().take(size.saturating_sub(kept)) {
        keep[id] = true;
    }
    let kept = pieces.into_iter().zip(keep).filter(|(_, keep)| *keep);
    kept.map(|(piece, _)| piece).collect()
}

/// The final vocabulary: every character, then the most probable pieces while there is room.
fn choose(mut pieces: Vec<Piece>, alphabet: &Alphabet, room: usize) -> Vec<Piece> {
    let order = |(a, m): &Piece, (b, n): &Piece| n.total_cmp(m).then_with(|| a.cmp(b));
    let lowest = pieces.iter().map(|(_, score)| *score).fold(0.0, f64::min);
    let is_char = |piece: &str| piece.chars().nth(1).is_none();
    let (mut chosen, mut longer): (Vec<Piece>, Vec<Piece>) =
        pieces.drain(..).partition(|(piece, _)| is_char(piece));
    let mut missing = 0.0;
    for c in &alphabet.chars {
        let c = c.to_string();
        if !chosen.iter().any(|(piece, _)| *piece == c) {
            // No two alike, so that the order is told by the file.
            chosen.push((c, lowest + missing));
            missing += 0.0001;
        }
    }
    longer.sort_by(order);
    longer.truncate(room.saturating_sub(chosen.len()));
    chosen.append(&mut longer);
    chosen.sort_by(order);
    chosen
}

/// ψ(x) for x > 0: the recurrence up to 7, then the asymptotic series.
fn digamma(mut x: f64) -> f64 {
    let mut result = 0.0;
    while x < 7.0 {
        result -= 1.0 / x;
        x += 1.0;
    }
    let y = 1.0 / (x * x);
    result + x.ln() - 0.5 / x - y * (1.0 / 12.0 - y * (1.0 / 120.0 - y / 252.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokenizer::train::Unwatched;

    #[test]
    fn digamma_is_that_of_the_tables() {
        for (x, expected) in [
            (1.0, -0.577_215_664_9),
            (0.5, -1.963_510_026_0),
            (10.0, 2.251_752_589_1),
        ] {
            assert!(
                (digamma(x) - expected).abs() < 1e-9,
                "ψ({x}) = {}",
                digamma(x)
            );
        }
    }

    #[test]
    fn frequent_words_become_pieces() {
        let mut words = Vec::new();
        for stem in ["walk", "talk", "jump", "help", "play"] {
            for (ending, count) in [("", 20), ("ing", 12), ("ed", 9), ("er", 5)] {
                words.push((format!("▁{stem}{ending}"), count));
            }
        }
        let alphabet = Alphabet::new(&words, 1.0);
        let room = alphabet.chars.len() + 8;
        let pieces = train(&words, &alphabet, room, &Unwatched).expect("pieces");
        assert_eq!(pieces.len(), room);
        assert!(pieces.is_sorted_by(|(_, a), (_, b)| a >= b));
        let has = |stem: &str| pieces.iter().any(|(piece, _)| *piece == format!("▁{stem}"));
        assert!(
            ["walk", "talk", "jump", "help", "play"]
                .into_iter()
                .all(has),
            "{pieces:?}"
        );
    }
}
