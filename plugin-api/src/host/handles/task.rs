//! A task as a host calls it.

use crate::abi::root::BoxedTask;
use crate::abi::task::RawExamples;
use crate::abi::{from_json, to_json};
use crate::error::{Error, Result};
use crate::host::Component;
use crate::info::{DataInfo, TaskInfo};
use crate::record::{Examples, RecordBatch};
use crate::tokenizer::SharedTokenizer;

/// A task of a plugin. May be called from several threads at once.
pub struct TaskHandle {
    object: BoxedTask,
    from: Component,
}

impl TaskHandle {
    pub(in crate::host) fn new(object: BoxedTask, from: Component) -> Self {
        Self { object, from }
    }

    /// What it reads, makes, needs and puts out.
    ///
    /// # Errors
    /// The task failed.
    pub fn describe(&self) -> Result<TaskInfo> {
        from_json(self.from.answer(self.object.describe())?.as_str())
    }

    /// Tells it what was found in the data.
    ///
    /// # Errors
    /// The data is not what the task can work on.
    pub fn prepare(&mut self, data: &DataInfo) -> Result<()> {
        let text = to_json(data)?;
        self.from.answer(self.object.prepare(text.as_rstr()))
    }

    /// Makes examples of records.
    ///
    /// # Errors
    /// A record is not what the task can work on.
    pub fn encode(&self, records: &RecordBatch, tokenizer: &SharedTokenizer) -> Result<Examples> {
        let raw = self.object.encode(records.raw(), tokenizer.object());
        examples_of(self.from.answer(raw)?, records)
    }

    /// Makes prompts of records.
    ///
    /// # Errors
    /// A record is not what the task can work on.
    pub fn encode_prompt(
        &self,
        records: &RecordBatch,
        tokenizer: &SharedTokenizer,
    ) -> Result<Examples> {
        let raw = self.object.encode_prompt(records.raw(), tokenizer.object());
        examples_of(self.from.answer(raw)?, records)
    }
}

fn examples_of(raw: RawExamples, records: &RecordBatch) -> Result<Examples> {
    let examples = Examples::from_raw(raw)?;
    let count = records.len();
    if (0..examples.len()).any(|example| examples.record_of(example) >= count) {
        return Err(Error::data(
            "the task made an example of a record that it was not given",
        ));
    }
    Ok(examples)
}

/// Losses and predictions.
#[cfg(feature = "torch")]
mod torch {
    use abi_stable::std_types::RSlice;

    use super::TaskHandle;
    use crate::abi::task::RawPredictions;
    use crate::error::{Error, Result};
    use crate::host::Component;
    use crate::record::RecordBatch;
    use crate::task::{Loss, Predictions, Task};
    use crate::tensor::TensorMap;
    use crate::values::Values;

    impl TaskHandle {
        /// A task of this program, through the same adapter as one of a plugin.
        ///
        /// # Errors
        /// It refuses the options.
        pub fn of<T: Task>(options: &str) -> Result<Self> {
            let from = Component::here(T::ID);
            from.answer(crate::task::create::<T>(options))
                .map(|object| Self::new(object, from))
        }

        /// The summed loss of a batch and its weight.
        ///
        /// # Errors
        /// An output or a field is missing, or libtorch refuses an operation.
        pub fn loss(&self, outputs: &TensorMap, batch: &TensorMap) -> Result<Loss> {
            let raw = self
                .from
                .answer(self.object.loss(outputs.share(), batch.share()))?;
            Ok(Loss {
                sum: raw.sum.into(),
                weight: raw.weight,
            })
        }

        /// Predictions of a batch, checked to be well-formed and to have a reference each, or none.
        ///
        /// # Errors
        /// An output is missing, or libtorch refuses an operation.
        pub fn predict(&self, outputs: &TensorMap, batch: &TensorMap) -> Result<Predictions> {
            let raw = self
                .from
                .answer(self.object.predict(outputs.share(), batch.share()))?;
            self.checked(raw)
        }

        /// Makes one prediction of each record from what was found of its examples, whose records `owners` tells,
        /// ascending. Checked as those of [`TaskHandle::predict`], and to be one a record.
        ///
        /// # Errors
        /// What was found is not what the task can work on.
        pub fn conclude(
            &self,
            records: &RecordBatch,
            found: &Values,
            owners: &[u64],
        ) -> Result<Predictions> {
            let owners = RSlice::from_slice(owners);
            let raw = self.object.conclude(records.raw(), found, owners);
            let made = self.checked(self.from.answer(raw)?)?;
            let (made_of, count) = (made.predictions.len(), records.len());
            if made_of != count {
                let message =
                    format!("the task concluded {made_of} predictions of {count} records");
                return Err(Error::data(message).with_component(&*self.from.0));
            }
            Ok(made)
        }

        fn checked(&self, raw: RawPredictions) -> Result<Predictions> {
            let made = Predictions {
                predictions: raw.predictions,
                references: raw.references.into_option(),
            };
            made.predictions.validate()?;
            if let Some(references) = &made.references {
                references.validate()?;
                let (p, r) = (made.predictions.len(), references.len());
                if p != r {
                    let message = format!("the task made {p} predictions with {r} references");
                    return Err(Error::data(message).with_component(&*self.from.0));
                }
            }
            Ok(made)
        }
    }
}
