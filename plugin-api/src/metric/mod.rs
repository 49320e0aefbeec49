//! Metrics: what a metric's author implements. No libtorch is needed.
//!
//! A metric sees predictions and references in batches, can be merged with another of its kind
//! (workers count apart and are merged), and computes its scores at the end. The host creates one
//! metric a worker and calls each from one thread at a time.

mod adapter;
mod input;
mod pairs;
mod scores;

pub use adapter::create;
pub(crate) use adapter::not_resampled;
pub use input::{
    Answer, Classes, Input, Label, LabelSet, Number, NumberList, ScoredText, Text, Tokens,
};
pub use pairs::Pairs;
pub use scores::{Score, Scores};

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::options::Options;
use crate::resample::Draws;

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
    /// Whether it never looks at references. A host need not read them then: it may give blanks,
    /// of text, tokens and lists of numbers.
    const IGNORES_REFERENCES: bool = false;
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
