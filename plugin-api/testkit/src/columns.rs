//! Columns of values for tests: cut into pieces, or made up.

use tenon_plugin_api::services::mix;
use tenon_plugin_api::values::{ValueKind, Values};

/// The examples at `indices` of a column, in that order.
///
/// # Panics
/// An index is out of range, or the column is of a kind that this version does not know.
#[must_use]
pub fn pick(column: &Values, indices: impl IntoIterator<Item = usize>) -> Values {
    let Some(kind) = column.kind() else {
        panic!("a column of an unknown kind")
    };
    let mut picked = Values::new(kind);
    let mut scores = Vec::new();
    for index in indices {
        match kind {
            ValueKind::Text => picked.push_texts(column.texts_at(index)),
            ValueKind::Label => picked.push_label(column.label_at(index)),
            ValueKind::Labels | ValueKind::Tokens => picked.push_ints(column.ints_at(index)),
            ValueKind::Number => picked.push_number(column.number_at(index)),
            ValueKind::Numbers => picked.push_numbers(column.numbers_at(index)),
            other => panic!("a column of {} cannot be cut", other.name()),
        }
        if matches!(kind, ValueKind::Label | ValueKind::Labels | ValueKind::Text) {
            scores.extend_from_slice(column.scores_at(index));
        }
    }
    super::ok(picked.set_scores(scores), "scores of a cut column");
    picked
}

/// Predictions and references of `count` examples, made up from `seed`; about every second
/// prediction is right. Class ids are below `classes`; predicted classes come with scores.
///
/// # Panics
/// The kind is one that this version does not know.
#[must_use]
pub fn made_up(kind: ValueKind, count: usize, classes: usize, seed: u64) -> (Values, Values) {
    let mut draws = Draws(seed);
    let (mut predictions, mut references) = (Values::new(kind), Values::new(kind));
    let mut scores = Vec::new();
    for _ in 0..count {
        let right = draws.below(2) == 0;
        let truth = draws.item(kind, classes);
        let guess = if right {
            truth.clone()
        } else {
            draws.item(kind, classes)
        };
        push(&mut references, kind, &truth);
        push(&mut predictions, kind, &guess);
        if matches!(kind, ValueKind::Label | ValueKind::Labels) {
            scores.extend(draws.scores(&guess, kind, classes));
        }
    }
    super::ok(
        predictions.set_scores(scores),
        "scores of made-up predictions",
    );
    (predictions, references)
}

/// Numbers drawn from a seed, the same on every machine (SplitMix64).
#[derive(Clone, Debug)]
pub struct Draws(pub u64);

impl Draws {
    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(1);
        mix(self.0)
    }

    /// An integer below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        (self.bits() % end.max(1) as u64) as usize
    }

    /// A number in `[0, 1)`.
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// A number with mean 0 and variance 1 (Box and Muller 1958).
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.unit()).cos()
    }

    /// What one example holds, as numbers; `push` says what they mean.
    fn item(&mut self, kind: ValueKind, classes: usize) -> Vec<f64> {
        match kind {
            ValueKind::Label => vec![self.below(classes) as f64],
            ValueKind::Labels => (0..classes)
                .filter(|_| self.below(2) == 0)
                .map(|class| class as f64)
                .collect(),
            ValueKind::Number => vec![(self.normal() * 100.0).round() / 100.0],
            _ => {
                let length = 1 + self.below(5);
                (0..length).map(|_| self.below(9) as f64).collect()
            }
        }
    }

    /// Scores that agree with the guess: probabilities for one class, a half and more for each
    /// class of a set.
    fn scores(&mut self, guess: &[f64], kind: ValueKind, classes: usize) -> Vec<f64> {
        let guessed = |class: usize| guess.contains(&(class as f64));
        let scores: Vec<f64> = (0..classes)
            .map(|class| self.unit() / 2.0 + if guessed(class) { 0.5 } else { 0.0 })
            .collect();
        let sum: f64 = match kind {
            ValueKind::Label => scores.iter().sum(),
            _ => 1.0,
        };
        scores.into_iter().map(|score| score / sum).collect()
    }
}

fn push(column: &mut Values, kind: ValueKind, item: &[f64]) {
    const WORDS: [&str; 9] = [
        "the", "a", "plain", "mortise", "joint", "holds", "without", "glue", "Überall",
    ];
    let ints = || item.iter().map(|number| *number as i64).collect::<Vec<_>>();
    match kind {
        ValueKind::Text => {
            let words: Vec<_> = item.iter().map(|number| WORDS[*number as usize]).collect();
            column.push_text(words.join(" "));
        }
        ValueKind::Label => column.push_label(item[0] as i64),
        ValueKind::Labels | ValueKind::Tokens => column.push_ints(&ints()),
        ValueKind::Number => column.push_number(item[0]),
        ValueKind::Numbers => column.push_numbers(item),
        other => panic!("columns of {} cannot be made up", other.name()),
    }
}
