//! How metrics read their batches: one type for each kind of prediction and reference.

use crate::values::{Texts, Values};

/// How a metric reads predictions and references.
pub trait Input: 'static {
    /// Kinds of [`Values`] that it reads, by name.
    const KINDS: &'static [&'static str];
    /// One prediction.
    type Prediction<'a>;
    /// One reference.
    type Reference<'a>;

    /// Reads a prediction.
    fn prediction(values: &Values, index: usize) -> Self::Prediction<'_>;
    /// Reads a reference.
    fn reference(values: &Values, index: usize) -> Self::Reference<'_>;
}

/// Strings: the prediction is one, the references are one or more.
pub enum Text {}

impl Input for Text {
    const KINDS: &'static [&'static str] = &["text"];
    type Prediction<'a> = &'a str;
    type Reference<'a> = Texts<'a>;

    fn prediction(values: &Values, index: usize) -> &str {
        values.text_at(index)
    }

    fn reference(values: &Values, index: usize) -> Texts<'_> {
        values.texts_at(index)
    }
}

/// Strings with scores beside the predicted one, such as answers to questions with the probability
/// that there is none. Reads what [`Text`] reads; a task that gives no scores leaves them empty.
pub enum Answer {}

/// A predicted string with the scores of its example.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ScoredText<'a> {
    /// The string.
    pub text: &'a str,
    /// What the task says of the example, empty when it says nothing. Of an answer: the probability
    /// that there is none.
    pub scores: &'a [f64],
}

impl Input for Answer {
    const KINDS: &'static [&'static str] = &["text"];
    type Prediction<'a> = ScoredText<'a>;
    type Reference<'a> = Texts<'a>;

    fn prediction(values: &Values, index: usize) -> ScoredText<'_> {
        ScoredText {
            text: values.text_at(index),
            scores: values.scores_at(index),
        }
    }

    fn reference(values: &Values, index: usize) -> Texts<'_> {
        values.texts_at(index)
    }
}

/// Numbers, as of regression.
pub enum Number {}

impl Input for Number {
    const KINDS: &'static [&'static str] = &["number"];
    type Prediction<'a> = f64;
    type Reference<'a> = f64;

    fn prediction(values: &Values, index: usize) -> f64 {
        values.number_at(index)
    }

    fn reference(values: &Values, index: usize) -> f64 {
        values.number_at(index)
    }
}

/// Sequences of numbers of any length, such as the sums that a perplexity is made of.
pub enum NumberList {}

impl Input for NumberList {
    const KINDS: &'static [&'static str] = &["numbers"];
    type Prediction<'a> = &'a [f64];
    type Reference<'a> = &'a [f64];

    fn prediction(values: &Values, index: usize) -> &[f64] {
        values.numbers_at(index)
    }

    fn reference(values: &Values, index: usize) -> &[f64] {
        values.numbers_at(index)
    }
}

/// Token-id sequences.
pub enum Tokens {}

impl Input for Tokens {
    const KINDS: &'static [&'static str] = &["tokens"];
    type Prediction<'a> = &'a [i64];
    type Reference<'a> = &'a [i64];

    fn prediction(values: &Values, index: usize) -> &[i64] {
        values.ints_at(index)
    }

    fn reference(values: &Values, index: usize) -> &[i64] {
        values.ints_at(index)
    }
}

/// One class an example.
pub enum Label {}

impl Input for Label {
    const KINDS: &'static [&'static str] = &["label"];
    type Prediction<'a> = LabelSet<'a>;
    type Reference<'a> = i64;

    fn prediction(values: &Values, index: usize) -> LabelSet<'_> {
        LabelSet::read(values, index)
    }

    fn reference(values: &Values, index: usize) -> i64 {
        values.label_at(index)
    }
}

/// Classes of an example, one (single-label) or any number (multi-label).
pub enum Classes {}

impl Input for Classes {
    const KINDS: &'static [&'static str] = &["label", "labels"];
    type Prediction<'a> = LabelSet<'a>;
    type Reference<'a> = LabelSet<'a>;

    fn prediction(values: &Values, index: usize) -> LabelSet<'_> {
        LabelSet::read(values, index)
    }

    fn reference(values: &Values, index: usize) -> LabelSet<'_> {
        LabelSet::read(values, index)
    }
}

/// Class ids of one example with the scores of every class.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LabelSet<'a> {
    /// Exactly one id for single-label data, any number for multi-label data.
    pub ids: &'a [i64],
    /// A score (probability) a class, or empty when the predictions carry none.
    pub scores: &'a [f64],
}

impl<'a> LabelSet<'a> {
    fn read(values: &'a Values, index: usize) -> Self {
        Self {
            ids: values.class_ids_at(index),
            scores: values.scores_at(index),
        }
    }

    /// The one id of single-label data; -1 when the set is empty.
    #[must_use]
    pub fn id(&self) -> i64 {
        self.ids.first().copied().unwrap_or(-1)
    }
}
