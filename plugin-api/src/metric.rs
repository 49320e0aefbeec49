//! Metrics: what a metric's author implements. No libtorch is needed.
//!
//! A metric sees predictions and references in batches, can be merged with another of its kind
//! (workers count apart and are merged), and computes its scores at the end. The host creates one
//! metric a worker and calls each from one thread at a time.

use std::any::TypeId;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::marker::PhantomData;

use serde::{Deserialize, Serialize};

use crate::abi::metric::{MetricObject, MetricObject_TO, RawState, library};
use crate::abi::{AbiResult, RBox, TD_Opaque, from_json, to_json};
use crate::error::{Error, Result};
use crate::options::Options;
use crate::panic::{discard, guard};
use crate::resample::{Draws, Resampling};
use crate::values::{Texts, ValueKind, Values};
use abi_stable::std_types::{RSlice, RStr, RString, RVec};

/// What a metric author imports.
pub mod prelude {
    pub use super::{
        Answer, Classes, Input, Label, LabelSet, Metric, Number, NumberList, OutputInfo, Pairs,
        Score, ScoredText, Scores, Text, Tokens,
    };
    pub use crate::error::{Context as _, Error, ErrorCode, Result};
    pub use crate::options::{Column, Options};
    pub use crate::resample::{Draws, Resampling};
    pub use crate::values::{Texts, ValueKind, Values};
    pub use crate::{bail, ensure, register};
}

/// A metric, such as accuracy or BLEU.
pub trait Metric: Sized + Send + 'static {
    /// The name that users write, in kebab-case.
    const ID: &'static str;
    /// One line on what it computes, for `tenon plugin inspect`.
    const ABOUT: &'static str = "";
    /// What a run file may set.
    type Options: Options;
    /// What it compares: [`Text`], [`Answer`], [`Label`], [`Classes`], [`Number`], [`NumberList`],
    /// [`Tokens`].
    type Input: Input;

    /// Creates the metric from its options.
    ///
    /// # Errors
    /// The options do not fit together.
    fn new(options: Self::Options) -> Result<Self>;

    /// Told once before the first batch what the task puts out.
    ///
    /// # Errors
    /// The metric cannot work on it.
    fn begin(&mut self, _output: &OutputInfo) -> Result<()> {
        Ok(())
    }

    /// Takes in a batch.
    ///
    /// # Errors
    /// A prediction or reference cannot be compared.
    fn update(&mut self, batch: Pairs<'_, Self::Input>) -> Result<()>;

    /// Takes in all that `other` has seen, as if this metric had seen it after its own.
    fn merge(&mut self, other: Self);

    /// The scores of all that was seen.
    fn compute(&self) -> Scores;

    /// Told once before the first batch that [`Self::resample`] will be asked, so that a metric
    /// keeps what it needs of each example only then. Answers whether it can.
    fn keep_examples(&mut self) -> bool {
        false
    }

    /// The scores of other choices of the examples than all that were seen: for confidence
    /// intervals, and to test whether systems differ.
    ///
    /// For each draw the values of the first scores of [`Self::compute`], in their order; those
    /// that are left out have no interval. `draws.iter().map(|draw| …).collect()` does it, and
    /// [`parallel_chunks`](crate::services::parallel_chunks) does it on the host's threads. Asked
    /// any number of times, after the last batch.
    ///
    /// # Errors
    /// The metric cannot, which is the default.
    fn resample(&self, _draws: Draws<'_>) -> Result<Vec<Vec<f64>>> {
        Err(not_resampled())
    }
}

/// What a task puts out, told to metrics before the first batch.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct OutputInfo {
    /// Name of a [`ValueKind`].
    pub kind: String,
    /// Class names by id, for labels; empty otherwise.
    #[serde(default)]
    pub labels: Vec<String>,
}

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

/// A batch of predictions with their references.
pub struct Pairs<'a, I: Input> {
    predictions: &'a Values,
    references: &'a Values,
    input: PhantomData<I>,
}

impl<I: Input> Clone for Pairs<'_, I> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<I: Input> Copy for Pairs<'_, I> {}

impl<'a, I: Input> Pairs<'a, I> {
    /// Pairs two columns up, after checking that they fit each other and the metric.
    ///
    /// # Errors
    /// The lengths differ, or a column is of a kind that `I` does not read.
    pub fn new(predictions: &'a Values, references: &'a Values) -> Result<Self> {
        for (side, values) in [("predictions", predictions), ("references", references)] {
            values.validate()?;
            let kind = values.kind().map_or("?", ValueKind::name);
            if !I::KINDS.contains(&kind) {
                let expected = I::KINDS.join(" or ");
                return Err(Error::data(format!(
                    "the {side} are of kind {kind}; the metric reads {expected}"
                )));
            }
        }
        if predictions.kind() != references.kind() {
            let name = |values: &Values| values.kind().map_or("?", ValueKind::name);
            let (p, r) = (name(predictions), name(references));
            return Err(Error::data(format!(
                "the predictions are of kind {p} and the references of kind {r}"
            )));
        }
        if predictions.len() != references.len() {
            let (p, r) = (predictions.len(), references.len());
            return Err(Error::data(format!("{p} predictions for {r} references")));
        }
        Ok(Self {
            predictions,
            references,
            input: PhantomData,
        })
    }

    /// The number of examples.
    #[must_use]
    pub fn len(&self) -> usize {
        self.predictions.len()
    }

    /// Whether the batch is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.predictions.is_empty()
    }

    /// Whether the examples carry sets of classes (multi-label) instead of one class.
    #[must_use]
    pub fn multi_label(&self) -> bool {
        self.predictions.kind() == Some(ValueKind::Labels)
    }

    /// The number of scores beside each prediction, of classes or of a text; 0 without scores.
    #[must_use]
    pub fn classes(&self) -> usize {
        self.predictions.classes()
    }

    /// Prediction and reference of an example.
    #[must_use]
    pub fn get(&self, index: usize) -> (I::Prediction<'a>, I::Reference<'a>) {
        (
            I::prediction(self.predictions, index),
            I::reference(self.references, index),
        )
    }

    /// Predictions and references in order.
    pub fn iter(
        &self,
    ) -> impl ExactSizeIterator<Item = (I::Prediction<'a>, I::Reference<'a>)> + 'a {
        let pairs = *self;
        (0..pairs.len()).map(move |index| pairs.get(index))
    }
}

impl<'a, I: Input> IntoIterator for Pairs<'a, I> {
    type Item = (I::Prediction<'a>, I::Reference<'a>);
    type IntoIter = Box<dyn ExactSizeIterator<Item = Self::Item> + 'a>;

    fn into_iter(self) -> Self::IntoIter {
        Box::new(self.iter())
    }
}

/// One score: a name, a number, and how to read it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// Name in logs and summaries: `accuracy`, `f1_macro`, …
    pub name: String,
    /// The value; NaN when it is not defined on what was seen.
    #[serde(with = "nan_as_null")]
    pub value: f64,
    /// What the value counts: `fraction`, `percent`, `nats`, `correlation`, …
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub unit: String,
    /// Whether a higher value is better; `None` when neither is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub higher_is_better: Option<bool>,
    /// Anything that does not fit in one number, such as a confusion matrix.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<serde_json::Value>,
}

/// Scores of a metric, the main one first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Scores {
    scores: Vec<Score>,
}

impl Scores {
    /// No score yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A single score.
    #[must_use]
    pub fn one(name: impl Into<String>, value: f64) -> Self {
        Self::new().and(name, value)
    }

    /// Adds a score.
    #[must_use]
    pub fn and(mut self, name: impl Into<String>, value: f64) -> Self {
        self.scores.push(Score {
            name: name.into(),
            value,
            unit: String::new(),
            higher_is_better: None,
            detail: None,
        });
        self
    }

    /// Says of the score added last that higher is better.
    #[must_use]
    pub fn higher_is_better(self) -> Self {
        self.edit(|score| score.higher_is_better = Some(true))
    }

    /// Says of the score added last that lower is better.
    #[must_use]
    pub fn lower_is_better(self) -> Self {
        self.edit(|score| score.higher_is_better = Some(false))
    }

    /// Gives the score added last a unit.
    #[must_use]
    pub fn unit(self, unit: impl Into<String>) -> Self {
        self.edit(|score| score.unit = unit.into())
    }

    /// Gives the score added last a detail that does not fit in one number.
    #[must_use]
    pub fn detail(self, detail: serde_json::Value) -> Self {
        self.edit(|score| score.detail = Some(detail))
    }

    /// The scores in order.
    #[must_use]
    pub fn as_slice(&self) -> &[Score] {
        &self.scores
    }

    /// The value of a score, if there is one of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<f64> {
        self.scores
            .iter()
            .find(|score| score.name == name)
            .map(|score| score.value)
    }

    fn edit(mut self, change: impl FnOnce(&mut Score)) -> Self {
        if let Some(last) = self.scores.last_mut() {
            change(last);
        }
        self
    }
}

impl IntoIterator for Scores {
    type Item = Score;
    type IntoIter = std::vec::IntoIter<Score>;

    fn into_iter(self) -> Self::IntoIter {
        self.scores.into_iter()
    }
}

/// JSON has no NaN or infinity: what is not finite is written as text, NaN as `null`.
mod nan_as_null {
    use serde::{Deserialize, Deserializer, Serializer};

    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        Number(f64),
        Text(String),
        Null,
    }

    #[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
    pub fn serialize<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
        match *value {
            value if value.is_finite() => serializer.serialize_f64(value),
            value if value.is_nan() => serializer.serialize_none(),
            value => serializer.serialize_str(if value > 0.0 { "inf" } else { "-inf" }),
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
        Ok(match Written::deserialize(deserializer)? {
            Written::Number(value) => value,
            Written::Text(text) if text == "inf" => f64::INFINITY,
            Written::Text(text) if text == "-inf" => f64::NEG_INFINITY,
            Written::Text(_) | Written::Null => f64::NAN,
        })
    }
}

/// Carries a [`Metric`] across the boundary.
struct Adapter<M: Metric> {
    metric: Option<M>,
}

impl<M: Metric> Adapter<M> {
    fn metric(&mut self) -> Result<&mut M> {
        self.metric.as_mut().ok_or_else(released)
    }
}

pub(crate) fn not_resampled() -> Error {
    Error::unsupported("the metric cannot score draws of examples")
}

fn released() -> Error {
    Error::unsupported("the metric was merged into another and is empty")
}

impl<M: Metric> Drop for Adapter<M> {
    fn drop(&mut self) {
        if let Some(metric) = self.metric.take() {
            discard(M::ID, metric);
        }
    }
}

impl<M: Metric> MetricObject for Adapter<M> {
    fn begin(&mut self, output: RStr<'_>) -> AbiResult<()> {
        guard(M::ID, || {
            let output = from_json(output.as_str())?;
            self.metric()?.begin(&output)
        })
    }

    fn update(&mut self, predictions: &Values, references: &Values) -> AbiResult<()> {
        guard(M::ID, || {
            let pairs = Pairs::new(predictions, references)?;
            self.metric()?.update(pairs)
        })
    }

    fn identity(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (TypeId::of::<M>(), library()).hash(&mut hasher);
        hasher.finish()
    }

    fn release(&mut self) -> RawState {
        RawState::new(self.metric.take())
    }

    fn absorb(&mut self, other: RawState) -> AbiResult<()> {
        guard(M::ID, || {
            let other = other.take::<M>().ok_or_else(released)?;
            self.metric()?.merge(other);
            Ok(())
        })
    }

    fn compute(&self) -> AbiResult<RString> {
        guard(M::ID, || {
            let metric = self.metric.as_ref().ok_or_else(released)?;
            to_json(&metric.compute())
        })
    }

    fn keep_examples(&mut self) -> AbiResult<bool> {
        guard(M::ID, || Ok(self.metric()?.keep_examples()))
    }

    fn resample(
        &self,
        examples: RSlice<'_, u32>,
        size: u64,
        exchange: bool,
    ) -> AbiResult<RVec<RVec<f64>>> {
        guard(M::ID, || {
            let how = match exchange {
                true => Resampling::Exchange,
                false => Resampling::Bootstrap,
            };
            let draws = Draws::new(examples.as_slice(), size as usize, how);
            let metric = self.metric.as_ref().ok_or_else(released)?;
            let values = metric.resample(draws)?;
            Ok(values.into_iter().map(RVec::from).collect())
        })
    }
}

/// Creates a metric from its options as JSON; what `register!` puts in the plugin's table.
pub fn create<M: Metric>(options: &str) -> AbiResult<MetricObject_TO<'static, RBox<()>>> {
    guard(M::ID, || {
        let options = M::Options::from_json(options)?;
        let adapter = Adapter {
            metric: Some(M::new(options)?),
        };
        Ok(MetricObject_TO::from_value(adapter, TD_Opaque))
    })
}
