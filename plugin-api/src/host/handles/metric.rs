//! A metric as a host calls it.

use abi_stable::std_types::RVec;

use crate::abi::root::BoxedMetric;
use crate::abi::{from_json, to_json};
use crate::ensure;
use crate::error::{Error, Result};
use crate::host::Component;
use crate::info::OutputInfo;
use crate::metric::{Metric, Scores};
use crate::resample::{Draws, Resampling};
use crate::values::Values;

/// A metric of a plugin.
pub struct MetricHandle {
    object: BoxedMetric,
    from: Component,
}

impl MetricHandle {
    pub(in crate::host) fn new(object: BoxedMetric, from: Component) -> Self {
        Self { object, from }
    }

    /// A metric of this program, through the same adapter as one of a plugin.
    ///
    /// # Errors
    /// It refuses the options.
    pub fn of<M: Metric>(options: &str) -> Result<Self> {
        let from = Component::here(M::ID);
        from.answer(crate::metric::create::<M>(options))
            .map(|object| Self::new(object, from))
    }

    /// Tells it what the task puts out.
    ///
    /// # Errors
    /// The metric cannot work on it.
    pub fn begin(&mut self, output: &OutputInfo) -> Result<()> {
        let text = to_json(output)?;
        self.from.answer(self.object.begin(text.as_rstr()))
    }

    /// Takes in a batch.
    ///
    /// # Errors
    /// The columns do not fit each other or the metric.
    pub fn update(&mut self, predictions: &Values, references: &Values) -> Result<()> {
        self.from
            .answer(self.object.update(predictions, references))
    }

    /// Takes in all that `other` has seen.
    ///
    /// # Errors
    /// `other` is another metric.
    pub fn merge(&mut self, mut other: Self) -> Result<()> {
        if self.object.identity() != other.object.identity() {
            return Err(Error::unsupported(
                "only metrics of the same kind can be merged",
            ));
        }
        self.from.answer(self.object.absorb(other.object.release()))
    }

    /// The scores of all that was seen.
    ///
    /// # Errors
    /// The metric failed.
    pub fn compute(&self) -> Result<Scores> {
        from_json(self.from.answer(self.object.compute())?.as_str())
    }

    /// Has it keep what scoring draws needs of each example; whether it can. Before the first
    /// batch.
    ///
    /// # Errors
    /// The metric failed.
    pub fn keep_examples(&mut self) -> Result<bool> {
        self.from.answer(self.object.keep_examples())
    }

    /// For each draw of examples the values of the first scores, in the order of
    /// [`Self::compute`].
    ///
    /// # Errors
    /// The metric cannot, it failed, or it has not answered every draw.
    pub fn resample(&self, draws: Draws<'_>) -> Result<Vec<Vec<f64>>> {
        let (examples, size) = draws.raw();
        let exchange = draws.how() == Resampling::Exchange;
        let values = self.object.resample(examples.into(), size as u64, exchange);
        let values = self.from.answer(values)?;
        let (asked, answered) = (draws.len(), values.len());
        ensure!(
            asked == answered,
            Data,
            "{answered} answers for {asked} draws of examples"
        );
        Ok(values.into_iter().map(RVec::into_vec).collect())
    }
}
