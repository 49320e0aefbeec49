//! Tasks: what a task's author implements.
//!
//! A task turns records into examples (called in parallel, off the training thread), model
//! outputs and batches into a loss, and model outputs into predictions. Collation, batching, the
//! loop, normalising the loss and running the metrics are the host's.

use tch::Tensor;

use crate::abi::task::{
    RawExamples, RawLoss, RawPredictions, RawRecords, TaskObject, TaskObject_TO,
};
use crate::abi::tokenizer::TokenizerObject_TO;
use crate::abi::{AbiResult, RBox, RStr, RString, TD_Opaque, from_json, to_json};
use crate::error::Result;
use crate::info::{DataInfo, TaskInfo};
use crate::options::Options;
use crate::panic::{Contained, guard};
use crate::record::{Examples, Found, Record, Records};
use crate::tensor::{NamedTensors, TensorMap};
use crate::tokenizer::Tokenizer;
use crate::values::{ValueKind, Values};
use abi_stable::std_types::RSlice;

/// What a task author imports.
pub mod prelude {
    pub use super::{Loss, Predictions, Task};
    pub use crate::error::{Context as _, Error, ErrorCode, Result};
    pub use crate::info::{
        ColumnInfo, ColumnKind, DataInfo, FieldInfo, FieldKind, HeadInfo, MetricRequest,
        ModelFacts, OutputInfo, PackInfo, Pad, PromptInfo, TaskInfo,
    };
    pub use crate::options::{Column, Options};
    pub use crate::record::{Example, Examples, Found, Record, Records};
    pub use crate::tensor::TensorMap;
    pub use crate::tokenizer::{Encode, Encoding, Frame, Tokenizer, Truncation};
    pub use crate::values::{ValueKind, Values};
    pub use crate::{bail, ensure, register};
    pub use tch::{self, Device, IndexOp as _, Kind, Tensor};
}

/// A task, such as classification.
pub trait Task: Sized + Send + Sync + 'static {
    /// The name that users write, in kebab-case.
    const ID: &'static str;
    /// One line on what it does, for `tenon plugin inspect`.
    const ABOUT: &'static str = "";
    /// Kinds of predictions that it can put out, by name ([`crate::values::ValueKind`]).
    const OUTPUTS: &'static [&'static str];
    /// What a run file may set.
    type Options: Options;

    /// Creates the task from its options.
    ///
    /// # Errors
    /// The options do not fit together.
    fn new(options: Self::Options) -> Result<Self>;

    /// What it reads, makes, needs and puts out. Called before and after [`Task::prepare`]: the
    /// number of labels is known only after it.
    fn describe(&self) -> TaskInfo;

    /// Told once, before the first record, what the host found in the data.
    ///
    /// # Errors
    /// The data is not what the task can work on.
    fn prepare(&mut self, _data: &DataInfo) -> Result<()> {
        Ok(())
    }

    /// Makes examples of a record: one, several (long documents) or none. Called from several
    /// threads at once.
    ///
    /// # Errors
    /// The record is not what the task can work on; the host adds file and line.
    fn encode(
        &self,
        record: Record<'_>,
        tokenizer: &Tokenizer<'_>,
        examples: &mut Examples,
    ) -> Result<()>;

    /// The summed loss of a batch and the weight that it is to be divided by.
    ///
    /// # Errors
    /// An output or a field is missing, or libtorch refuses an operation.
    fn loss(&self, outputs: &TensorMap, batch: &TensorMap) -> Result<Loss>;

    /// Predictions of a batch, and references where the batch has them.
    ///
    /// # Errors
    /// An output is missing, or libtorch refuses an operation.
    fn predict(&self, outputs: &TensorMap, batch: &TensorMap) -> Result<Predictions>;

    /// Makes the prompts of a record that a model is to go on with, in the fields of
    /// [`TaskInfo::prompt`]. Called as [`Task::encode`] is, for tasks that declare such fields.
    ///
    /// Without one it is what [`Task::encode`] makes.
    ///
    /// # Errors
    /// As [`Task::encode`].
    fn encode_prompt(
        &self,
        record: Record<'_>,
        tokenizer: &Tokenizer<'_>,
        examples: &mut Examples,
    ) -> Result<()> {
        self.encode(record, tokenizer, examples)
    }

    /// Makes one prediction, and a reference, of each record from what was found of its examples. Called for
    /// tasks that set [`TaskInfo::concludes`], with some records at a time, from several threads at once.
    ///
    /// What was found is the text that the model wrote for each prompt of [`Task::encode_prompt`] (one string, or as
    /// many as sequences were asked for); for a task without prompts, what [`Task::predict`] made of each example
    /// of [`Task::encode`]; and nothing at all for one that makes no examples. References are `None` when the
    /// records lack the columns for them.
    ///
    /// Without one it is what was found, which must be one entry a record, and no references.
    ///
    /// # Errors
    /// What was found is not what can be worked on.
    fn conclude(&self, records: Records<'_>, found: Found<'_>) -> Result<Predictions> {
        found.as_predictions(records.len())
    }
}

/// A loss, not yet normalised: the engine divides by the weight of the whole accumulation window.
#[derive(Debug)]
pub struct Loss {
    /// Sum over all that counts; a scalar that gradients flow through.
    pub sum: Tensor,
    /// How much counts: examples, or tokens.
    pub weight: f64,
}

/// Predictions with their references, where these are known.
#[derive(Clone, Debug)]
pub struct Predictions {
    /// One an example.
    pub predictions: Values,
    /// One an example; `None` when the batch has no references.
    pub references: Option<Values>,
}

impl Predictions {
    /// For [`Task::conclude`]: the texts that the model wrote for each record, without white space at their ends, and
    /// what `references` says to be right, where it does so for each record.
    ///
    /// # Errors
    /// Those of `references`.
    pub fn written<S: AsRef<str>>(
        records: Records<'_>,
        found: Found<'_>,
        mut references: impl FnMut(Record<'_>) -> Result<Option<Vec<S>>>,
    ) -> Result<Self> {
        let mut made = Self {
            predictions: Values::new(ValueKind::Text),
            references: Some(Values::new(ValueKind::Text)),
        };
        for (row, record) in records.iter().enumerate() {
            let texts = found.of(row).flat_map(|at| found.values().texts_at(at));
            let texts: Vec<&str> = texts.map(str::trim).collect();
            match texts.is_empty() {
                true => made.predictions.push_text(""),
                false => made.predictions.push_texts(texts),
            }
            let right = references(record)?;
            made.references = made.references.zip(right).map(|(mut all, right)| {
                all.push_texts(right);
                all
            });
        }
        Ok(made)
    }
}

impl From<Predictions> for RawPredictions {
    fn from(made: Predictions) -> Self {
        Self {
            predictions: made.predictions,
            references: made.references.into(),
        }
    }
}

fn each_record(
    records: &RawRecords,
    tokenizer: &TokenizerObject_TO<'static, RBox<()>>,
    encode: impl Fn(Record<'_>, &Tokenizer<'_>, &mut Examples) -> Result<()>,
) -> Result<RawExamples> {
    let tokenizer = Tokenizer::new(tokenizer);
    let mut examples = Examples::new();
    for row in 0..records.len as usize {
        examples.at_record(row as u64);
        encode(Record::new(records, row), &tokenizer, &mut examples)?;
    }
    examples.into_raw()
}

struct Adapter<T>(Contained<T>);

impl<T: Task> TaskObject for Adapter<T> {
    fn describe(&self) -> AbiResult<RString> {
        guard(T::ID, || to_json(&self.0.describe()))
    }

    fn prepare(&mut self, data: RStr<'_>) -> AbiResult<()> {
        guard(T::ID, || self.0.prepare(&from_json(data.as_str())?))
    }

    fn encode(
        &self,
        records: &RawRecords,
        tokenizer: &TokenizerObject_TO<'static, RBox<()>>,
    ) -> AbiResult<RawExamples> {
        guard(T::ID, || {
            each_record(records, tokenizer, |record, tokenizer, examples| {
                self.0.encode(record, tokenizer, examples)
            })
        })
    }

    fn loss(&self, outputs: NamedTensors, batch: NamedTensors) -> AbiResult<RawLoss> {
        guard(T::ID, || {
            let loss = self.0.loss(&outputs.into(), &batch.into())?;
            Ok(RawLoss {
                sum: loss.sum.into(),
                weight: loss.weight,
            })
        })
    }

    fn predict(&self, outputs: NamedTensors, batch: NamedTensors) -> AbiResult<RawPredictions> {
        guard(T::ID, || {
            let made = self.0.predict(&outputs.into(), &batch.into())?;
            Ok(made.into())
        })
    }

    fn encode_prompt(
        &self,
        records: &RawRecords,
        tokenizer: &TokenizerObject_TO<'static, RBox<()>>,
    ) -> AbiResult<RawExamples> {
        guard(T::ID, || {
            each_record(records, tokenizer, |record, tokenizer, examples| {
                self.0.encode_prompt(record, tokenizer, examples)
            })
        })
    }

    fn conclude(
        &self,
        records: &RawRecords,
        found: &Values,
        owners: RSlice<'_, u64>,
    ) -> AbiResult<RawPredictions> {
        guard(T::ID, || {
            let found = Found::new(found, owners.as_slice(), records.len as usize)?;
            Ok(self.0.conclude(Records::new(records), found)?.into())
        })
    }
}

/// Creates a task from its options as JSON; what `register!` puts in the plugin's table.
pub fn create<T: Task>(options: &str) -> AbiResult<TaskObject_TO<'static, RBox<()>>> {
    guard(T::ID, || {
        let task = T::new(T::Options::from_json(options)?)?;
        Ok(TaskObject_TO::from_value(
            Adapter(Contained::new(T::ID, task)),
            TD_Opaque,
        ))
    })
}
