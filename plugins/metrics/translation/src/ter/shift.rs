//! The search for shifts, as tercom does it, with sacrebleu's limits.
//!
//! Again and again the phrase is moved whose move lowers the edit distance most. A phrase may move
//! when it stands in the reference too, elsewhere, and is wrong where it is and missing where it
//! would go. Of moves that are worth the same it is the longest phrase, then the first, then the
//! one that goes to the earliest place. The search ends with the move that lowers nothing, or once
//! [`CANDIDATES`] moves were tried: then without the one found last.

use super::distance::{Distances, Edit};

/// The longest phrase that moves.
const LONGEST: usize = 10;
/// How far apart it stands in the prediction and in the reference at most.
const FARTHEST: usize = 50;
/// How many moves are tried in one segment.
const CANDIDATES: usize = 1000;

/// Buffers of the search.
#[derive(Debug, Default)]
pub struct Search {
    distances: Distances,
    trace: Vec<Edit>,
    alignment: Alignment,
    words: Vec<u32>,
    moved: Vec<u32>,
    best: Vec<u32>,
    tried: usize,
}

/// Where the words of the reference stand in the prediction.
#[derive(Debug, Default)]
struct Alignment {
    /// For each word of the reference, one more than the place of the word of the prediction that
    /// stands for it, or that it would follow.
    places: Vec<usize>,
    /// Whether a word of the reference, or of the prediction, is wrong.
    reference_wrong: Vec<bool>,
    prediction_wrong: Vec<bool>,
}

/// A move: `length` words from `start` to before what stands at `to`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Move {
    distance: u32,
    start: usize,
    length: usize,
    to: usize,
}

impl Move {
    /// Whether it is to be preferred.
    fn beats(&self, other: &Self) -> bool {
        let rank = |m: &Self| (m.distance, std::cmp::Reverse(m.length), m.start, m.to);
        rank(self) < rank(other)
    }
}

impl Search {
    /// The number of edits that turn a prediction into a reference, shifts among them.
    pub fn edits(&mut self, prediction: &[u32], reference: &[u32]) -> u64 {
        if reference.is_empty() {
            return prediction.len() as u64;
        }
        self.words.clear();
        self.words.extend_from_slice(prediction);
        self.distances.begin(reference, prediction.len());
        let mut distance = self.distances.set(&self.words, 0);
        let mut shifts = 0;
        self.tried = 0;
        while distance > 0 {
            let found = self.best_move(reference, distance);
            if self.tried >= CANDIDATES {
                break;
            }
            let Some(found) = found else { break };
            distance = found.distance;
            std::mem::swap(&mut self.words, &mut self.best);
            self.distances.set(&self.words, found.start.min(found.to));
            shifts += 1;
        }
        shifts + u64::from(distance)
    }

    /// The best move that lowers the distance, made in `best`.
    fn best_move(&mut self, reference: &[u32], distance: u32) -> Option<Move> {
        self.distances.trace(&self.words, &mut self.trace);
        self.alignment.read(&self.trace);
        let mut best: Option<Move> = None;
        for start in 0..self.words.len() {
            let nearest = start.saturating_sub(FARTHEST);
            let farthest = reference.len().min(start + FARTHEST + 1);
            for target in nearest..farthest {
                let same = self.words[start..].iter().zip(&reference[target..]);
                let longest = same.take(LONGEST).take_while(|(a, b)| a == b).count();
                for length in 1..=longest {
                    if !self.alignment.may_move(start, target, length) {
                        continue;
                    }
                    self.try_places((start, target, length), distance, &mut best);
                    if self.tried >= CANDIDATES {
                        return best;
                    }
                }
            }
        }
        best
    }

    /// Tries a phrase behind each word of the reference from the one before its own on.
    fn try_places(
        &mut self,
        (start, target, length): (usize, usize, usize),
        distance: u32,
        best: &mut Option<Move>,
    ) {
        let mut before = usize::MAX;
        for offset in 0..=length {
            // The place behind the word `target + offset - 1` of the reference.
            let to = match target + offset {
                0 => 0,
                at => match self.alignment.places.get(at - 1) {
                    Some(to) => *to,
                    None => break,
                },
            };
            if to == before {
                continue;
            }
            before = to;
            self.tried += 1;
            move_words(&self.words, (start, length, to), &mut self.moved);
            let limit = best.map_or(distance - 1, |best| best.distance);
            let same = start.min(to);
            let Some(distance) = self.distances.of(&self.moved, same, limit) else {
                continue;
            };
            let found = Move {
                distance,
                start,
                length,
                to,
            };
            if best.is_none_or(|best| found.beats(&best)) {
                *best = Some(found);
                std::mem::swap(&mut self.best, &mut self.moved);
            }
        }
    }
}

impl Alignment {
    /// Reads the edits of a trace, the last one first.
    fn read(&mut self, trace: &[Edit]) {
        self.places.clear();
        self.reference_wrong.clear();
        self.prediction_wrong.clear();
        for edit in trace.iter().rev() {
            let wrong = *edit != Edit::Keep;
            if *edit != Edit::Insert {
                self.prediction_wrong.push(wrong);
            }
            if *edit != Edit::Delete {
                self.places.push(self.prediction_wrong.len());
                self.reference_wrong.push(wrong);
            }
        }
    }

    /// Whether a phrase is wrong where it stands, and missing in the reference's place.
    fn may_move(&self, start: usize, target: usize, length: usize) -> bool {
        let any = |wrong: &[bool], from: usize| wrong[from..from + length].contains(&true);
        // Not within itself: the place is one more than where the word stands.
        let within = start + 1..start + length + 1;
        any(&self.prediction_wrong, start)
            && any(&self.reference_wrong, target)
            && !within.contains(&self.places[target])
    }
}

/// The words with `length` of them moved from `start` to before what stands at `to`; where that is
/// among themselves, they go on by as much.
fn move_words(words: &[u32], (start, length, to): (usize, usize, usize), moved: &mut Vec<u32>) {
    let end = start + length;
    let phrase = &words[start..end];
    let parts = match to {
        to if to < start => [&words[..to], phrase, &words[to..start], &words[end..]],
        to if to > end => [&words[..start], &words[end..to], phrase, &words[to..]],
        to => {
            let behind = words.len().min(to + length);
            [
                &words[..start],
                &words[end..behind],
                phrase,
                &words[behind..],
            ]
        }
    };
    moved.clear();
    parts.iter().for_each(|part| moved.extend_from_slice(part));
}
