//! What stands between a [`Metric`] and the boundary: answers as JSON, panics as errors.

use std::any::TypeId;
use std::hash::{DefaultHasher, Hash, Hasher};

use abi_stable::std_types::{RSlice, RStr, RString, RVec};

use super::{Metric, Pairs};
use crate::abi::metric::{MetricObject, MetricObject_TO, RawState, library};
use crate::abi::{AbiResult, RBox, TD_Opaque, from_json, to_json};
use crate::error::{Error, Result};
use crate::options::Options;
use crate::panic::{discard, guard};
use crate::resample::{Draws, Resampling};
use crate::values::Values;

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

/// Carries a [`Metric`] across the boundary.
struct Adapter<M: Metric> {
    metric: Option<M>,
}

impl<M: Metric> Adapter<M> {
    fn metric(&mut self) -> Result<&mut M> {
        self.metric.as_mut().ok_or_else(released)
    }
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

pub(crate) fn not_resampled() -> Error {
    Error::unsupported("the metric cannot score draws of examples")
}
