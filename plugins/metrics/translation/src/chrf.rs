//! chrF: the F-score of character n-grams, and chrF++ with those of words besides.
//!
//! With precision `P` and recall `R` averaged over the orders of n-grams,
//! `chrF = 100 · (1 + β²) · P · R / (β² · P + R)` (Popović 2015, 2017). Of several references a
//! segment counts against the one that gives it the best score.

use serde_json::json;
use tenon_plugin_api::metric::prelude::*;

use crate::corpus::{Corpus, Level, Measure};
use crate::ngrams::{Ngrams, total};
use crate::real::Real;
use crate::signature::{case, signature, yes_no};
use crate::text::{is_space, words};
use crate::words::Words;

/// Precision or recall where there is nothing to divide by.
const EPSILON: f64 = 1e-16;

/// Options of `chrf`.
#[derive(Options, Debug)]
pub struct ChrfOptions {
    /// The longest n-grams of characters.
    #[default(6)]
    #[range(min = 0, max = 64)]
    pub char_order: usize,
    /// The longest n-grams of words; 2 is chrF++.
    #[default(0)]
    #[range(min = 0, max = 64)]
    pub word_order: usize,
    /// How many times as much recall counts as precision.
    #[default(2)]
    pub beta: u32,
    /// Compare lower-case letters.
    #[default(false)]
    pub lowercase: bool,
    /// Let white space be among the characters.
    #[default(false)]
    pub whitespace: bool,
    /// Average the F-scores of all orders, with 1e-16 in place of what is not defined, as NLTK and
    /// Moses do, and not those orders only which both sides have.
    #[default(false)]
    pub eps_smoothing: bool,
    /// Whether the score is that of the corpus or of its segments.
    #[default(Level::Corpus)]
    pub level: Level,
}

/// chrF of a corpus.
pub struct Chrf(Corpus<Shared>);

impl Metric for Chrf {
    const ID: &'static str = "chrf";
    const ABOUT: &'static str = "F-score of character (and word) n-grams, as sacrebleu's";
    type Options = ChrfOptions;
    type Input = Text;

    fn new(options: ChrfOptions) -> Result<Self> {
        ensure!(
            options.char_order + options.word_order > 0,
            Options,
            "`char_order` and `word_order` are both 0, which leaves nothing to compare"
        );
        let level = options.level;
        Ok(Self(Corpus::new(Shared { options }, level)))
    }

    fn update(&mut self, batch: Pairs<'_, Text>) -> Result<()> {
        self.0.update(batch)
    }

    fn merge(&mut self, other: Self) {
        self.0.merge(other.0);
    }

    fn compute(&self) -> Scores {
        let measure = self.0.measure();
        let mut detail = json!({ "signature": measure.signature(&self.0.references()) });
        if let Some(scores) = self.0.segment_scores() {
            detail["segments"] = json!(scores);
        }
        Scores::one("chrf", self.0.score())
            .higher_is_better()
            .unit("percent")
            .detail(detail)
    }

    fn keep_examples(&mut self) -> bool {
        self.0.keep();
        true
    }

    fn resample(&self, draws: Draws<'_>) -> Result<Vec<Vec<f64>>> {
        self.0.resample(draws)
    }
}

/// Counts of shared n-grams: `[predicted, referred, shared]` by order, characters before words.
#[derive(Debug)]
struct Shared {
    options: ChrfOptions,
}

/// What a thread keeps.
#[derive(Default)]
struct Scratch {
    words: Words,
    ngrams: Ngrams,
    prediction: Units,
    reference: Units,
    shared: Vec<u64>,
    statistics: Vec<f64>,
}

/// A line as characters and as words.
#[derive(Default)]
struct Units {
    characters: Vec<u32>,
    words: Vec<u32>,
}

impl Shared {
    fn orders(&self) -> usize {
        self.options.char_order + self.options.word_order
    }

    fn signature(&self, references: &str) -> String {
        let options = &self.options;
        signature(&[
            ("nrefs", references),
            ("case", case(options.lowercase)),
            ("eff", yes_no(!options.eps_smoothing)),
            ("nc", &options.char_order.to_string()),
            ("nw", &options.word_order.to_string()),
            ("space", yes_no(options.whitespace)),
        ])
    }

    fn read(&self, line: &str, words: &mut Words, units: &mut Units) {
        if self.options.lowercase {
            self.read_as_is(&line.to_lowercase(), words, units);
        } else {
            self.read_as_is(line, words, units);
        }
    }

    fn read_as_is(&self, line: &str, words: &mut Words, units: &mut Units) {
        units.characters.clear();
        let keep = |c: &char| self.options.whitespace || !is_space(*c);
        let characters = line.chars().filter(keep).map(u32::from);
        units.characters.extend(characters);
        units.words.clear();
        if self.options.word_order > 0 {
            pieces(line, |word| units.words.push(words.id(word)));
        }
    }

    /// Counts against one reference.
    fn count_one(
        &self,
        prediction: &Units,
        reference: &Units,
        ngrams: &mut Ngrams,
        shared: &mut Vec<u64>,
        statistics: &mut [f64],
    ) {
        let (characters, words) = statistics.split_at_mut(3 * self.options.char_order);
        let sides = [
            (&prediction.characters, &reference.characters, characters),
            (&prediction.words, &reference.words, words),
        ];
        for (predicted, referred, statistics) in sides {
            let order = statistics.len() / 3;
            shared.clear();
            shared.resize(order, 0);
            ngrams.begin(referred.len(), order);
            ngrams.count(referred, order);
            ngrams.matches(predicted, shared);
            for (n, statistics) in statistics.chunks_exact_mut(3).enumerate() {
                let there = total(referred.len(), n + 1);
                // What a reference is too short for does not count against a prediction.
                statistics[0] = match there {
                    0 => 0.0,
                    _ => total(predicted.len(), n + 1) as f64,
                };
                statistics[1] = there as f64;
                statistics[2] = shared[n] as f64;
            }
        }
    }

    /// `β²`.
    fn factor(&self) -> f64 {
        f64::from(self.options.beta).powi(2)
    }

    /// The F-score of the means over the orders that both sides have.
    fn effective<T: Real>(&self, sums: &[T]) -> f64 {
        let zero = T::of(0.0);
        let (mut precision, mut recall, mut orders) = (zero, zero, 0.0);
        for order in sums.chunks_exact(3) {
            let (predicted, referred, shared) = (order[0], order[1], order[2]);
            if predicted > zero && referred > zero {
                precision = precision + shared / predicted;
                recall = recall + shared / referred;
                orders += 1.0;
            }
        }
        if orders > 0.0 {
            precision = precision / T::of(orders);
            recall = recall / T::of(orders);
        }
        if precision + recall == zero {
            return 0.0;
        }
        let factor = self.factor();
        let score = T::of(1.0 + factor) * precision * recall;
        let score = score / (T::of(factor) * precision + recall);
        (T::of(100.0) * score).into()
    }

    /// The mean of the F-scores of all orders.
    ///
    /// What is not defined is a plain number in sacrebleu, and stays in double precision until it
    /// meets a number of the sums'.
    fn smoothed<T: Real>(&self, sums: &[T]) -> f64 {
        let factor = self.factor();
        let zero = T::of(0.0);
        let mut score = Mixed::Plain(0.0);
        for order in sums.chunks_exact(3) {
            let (predicted, referred, shared) = (order[0], order[1], order[2]);
            let share = |all: T| match all > zero {
                true => Mixed::Summed(shared / all),
                false => Mixed::Plain(EPSILON),
            };
            let (precision, recall) = (share(predicted), share(referred));
            let plain = Mixed::Plain;
            let divisor = plain(factor).times(precision).plus(recall);
            let f = match divisor.number() > 0.0 {
                true => plain(1.0 + factor)
                    .times(precision)
                    .times(recall)
                    .over(divisor),
                false => plain(EPSILON),
            };
            score = score.plus(f);
        }
        let orders = Mixed::Plain(self.orders() as f64);
        Mixed::Plain(100.0).times(score).over(orders).number()
    }
}

/// A number of the sums' precision, or a plain one, which takes on the precision of the other.
#[derive(Clone, Copy)]
enum Mixed<T> {
    Plain(f64),
    Summed(T),
}

impl<T: Real> Mixed<T> {
    fn plus(self, other: Self) -> Self {
        self.with(other, |a, b| a + b, |a, b| a + b)
    }

    fn times(self, other: Self) -> Self {
        self.with(other, |a, b| a * b, |a, b| a * b)
    }

    fn over(self, other: Self) -> Self {
        self.with(other, |a, b| a / b, |a, b| a / b)
    }

    fn with(self, other: Self, plain: fn(f64, f64) -> f64, summed: fn(T, T) -> T) -> Self {
        match (self, other) {
            (Self::Plain(a), Self::Plain(b)) => Self::Plain(plain(a, b)),
            (a, b) => Self::Summed(summed(a.summed(), b.summed())),
        }
    }

    fn summed(self) -> T {
        match self {
            Self::Plain(number) => T::of(number),
            Self::Summed(number) => number,
        }
    }

    fn number(self) -> f64 {
        match self {
            Self::Plain(number) => number,
            Self::Summed(number) => number.into(),
        }
    }
}

impl Measure for Shared {
    type Scratch = Scratch;

    fn width(&self) -> usize {
        3 * self.orders()
    }

    fn count(
        &self,
        prediction: &str,
        references: Texts<'_>,
        scratch: &mut Scratch,
        statistics: &mut [f64],
    ) {
        let words = &mut scratch.words;
        words.begin();
        self.read(prediction, words, &mut scratch.prediction);
        scratch.statistics.resize(self.width(), 0.0);
        let only = references.len() == 1;
        let mut best = -1.0;
        for reference in references {
            self.read(reference, words, &mut scratch.reference);
            self.count_one(
                &scratch.prediction,
                &scratch.reference,
                &mut scratch.ngrams,
                &mut scratch.shared,
                &mut scratch.statistics,
            );
            let score = match only {
                true => 0.0,
                false => self.score(&scratch.statistics),
            };
            if score > best {
                best = score;
                statistics.copy_from_slice(&scratch.statistics);
            }
        }
    }

    fn score<T: Real>(&self, sums: &[T]) -> f64 {
        match self.options.eps_smoothing {
            true => self.smoothed(sums),
            false => self.effective(sums),
        }
    }
}

/// Words, with one punctuation mark cut off from the end of each or else from its beginning.
fn pieces(line: &str, mut each: impl FnMut(&str)) {
    for word in words(line) {
        let mark = |c: Option<char>| c.filter(char::is_ascii_punctuation);
        let mut characters = word.chars();
        let (first, last) = (characters.next(), characters.next_back());
        if last.is_none() {
            each(word);
        } else if mark(last).is_some() {
            each(&word[..word.len() - 1]);
            each(&word[word.len() - 1..]);
        } else if mark(first).is_some() {
            each(&word[..1]);
            each(&word[1..]);
        } else {
            each(word);
        }
    }
}
