//! Text match: the share of texts that equal one of their references.
//!
//! `(1/N) Σᵢ [f(pᵢ) ∈ f(Rᵢ)]`, where `f` leaves out what the options name, as the `exact_match` of
//! Hugging Face's `evaluate` does. Answers to questions have a metric of their own, `squad`.

use std::borrow::Cow;

use tenon_plugin_api::metric::prelude::*;
use tenon_plugin_api::services::parallel_chunks;

use crate::kept::Kept;
use crate::mean::{Mean, need_references};
use crate::words::split;

/// Examples that one thread takes at a time.
const CHUNK: usize = 128;

/// Options of `text-match`.
#[derive(Options, Clone, Copy, Debug)]
pub struct TextMatchOptions {
    /// Whether to compare in lower case.
    #[default(false)]
    pub ignore_case: bool,
    /// Whether to leave out the punctuation of ASCII.
    #[default(false)]
    pub ignore_punctuation: bool,
    /// Whether to leave out the digits 0 to 9.
    #[default(false)]
    pub ignore_numbers: bool,
    /// Whether to leave out white space at both ends, and to take other runs of it for one space.
    #[default(false)]
    pub ignore_whitespace: bool,
}

/// Share of texts that equal one of their references.
#[derive(Debug)]
pub struct TextMatch {
    options: TextMatchOptions,
    mean: Mean,
    kept: Kept,
}

impl Metric for TextMatch {
    const ID: &'static str = "text-match";
    const ABOUT: &'static str = "Share of texts that equal one of their references (exact match)";
    type Options = TextMatchOptions;
    type Input = Text;

    fn new(options: TextMatchOptions) -> Result<Self> {
        Ok(Self {
            options,
            mean: Mean::default(),
            kept: Kept::new(1),
        })
    }

    fn update(&mut self, batch: Pairs<'_, Text>) -> Result<()> {
        need_references(batch, self.mean.count)?;
        let options = self.options;
        let values = parallel_chunks(batch.len(), CHUNK, |examples| {
            let is_right = |index| {
                let (prediction, mut references) = batch.get(index);
                let right = references.any(|reference| options.equal(prediction, reference));
                f64::from(u8::from(right))
            };
            examples.map(is_right).collect::<Vec<f64>>()
        });
        for value in values.into_iter().flatten() {
            self.mean.add(value);
            self.kept.add(&[value]);
        }
        Ok(())
    }

    fn merge(&mut self, other: Self) {
        self.mean.merge(other.mean);
        self.kept.merge(other.kept);
    }

    fn compute(&self) -> Scores {
        Scores::one("exact_match", self.mean.value())
            .higher_is_better()
            .unit("fraction")
    }

    fn keep_examples(&mut self) -> bool {
        self.kept.keep();
        true
    }

    fn resample(&self, draws: Draws<'_>) -> Result<Vec<Vec<f64>>> {
        self.kept.resample(draws, <[f64]>::to_vec)
    }
}

impl TextMatchOptions {
    fn equal(self, one: &str, other: &str) -> bool {
        if one == other {
            return true;
        }
        // The lower case of Σ depends on what follows.
        let whole = |text: &str| self.ignore_case && text.contains('Σ');
        if self.ignore_whitespace || whole(one) || whole(other) {
            return self.reduced(one) == self.reduced(other);
        }
        // As far as they are equal, without copies.
        match one.is_ascii() && other.is_ascii() {
            true => self.bytes(one).eq(self.bytes(other)),
            false => self.letters(one).eq(self.letters(other)),
        }
    }

    /// What is compared of a text of ASCII.
    fn bytes(self, text: &str) -> impl Iterator<Item = u8> + '_ {
        let bytes = text.bytes();
        let kept = bytes.filter(move |byte| !self.leaves_out(char::from(*byte)));
        kept.map(move |byte| match self.ignore_case {
            true => byte.to_ascii_lowercase(),
            false => byte,
        })
    }

    /// What is compared of a text without Σ.
    fn letters(self, text: &str) -> impl Iterator<Item = char> + '_ {
        let kept = text.chars().filter(move |letter| !self.leaves_out(*letter));
        kept.flat_map(move |letter| {
            let lower = self.ignore_case.then(|| letter.to_lowercase());
            let same = (!self.ignore_case).then_some(letter);
            lower.into_iter().flatten().chain(same)
        })
    }

    /// What is compared of a text.
    fn reduced(self, text: &str) -> Cow<'_, str> {
        let mut text = Cow::Borrowed(text);
        if self.ignore_case {
            text = Cow::Owned(text.to_lowercase());
        }
        if self.ignore_punctuation || self.ignore_numbers {
            let kept = text.chars().filter(|letter| !self.leaves_out(*letter));
            text = Cow::Owned(kept.collect());
        }
        if self.ignore_whitespace {
            text = Cow::Owned(split(&text).collect::<Vec<_>>().join(" "));
        }
        text
    }

    fn leaves_out(self, letter: char) -> bool {
        (self.ignore_punctuation && letter.is_ascii_punctuation())
            || (self.ignore_numbers && letter.is_ascii_digit())
    }
}
