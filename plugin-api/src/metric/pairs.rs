//! A batch: predictions paired with their references.

use std::marker::PhantomData;

use super::Input;
use crate::error::{Error, Result};
use crate::values::{ValueKind, Values};

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
