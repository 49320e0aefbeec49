//! Components as a host holds and calls them.

use abi_stable::std_types::{RSliceMut, RVec};

use super::Component;
use crate::abi::processor::RawSequence;
use crate::abi::root::{BoxedMetric, BoxedProcessor, BoxedTask};
use crate::abi::task::RawExamples;
use crate::abi::{from_json, to_json};
use crate::ensure;
use crate::error::{Error, Result};
use crate::info::{DataInfo, OutputInfo, TaskInfo};
use crate::metric::{Metric, Scores};
use crate::processor::{Decoding, Processor, Sequence};
use crate::record::{Examples, RecordBatch};
use crate::resample::{Draws, Resampling};
use crate::tokenizer::SharedTokenizer;
use crate::values::Values;

/// A metric of a plugin.
pub struct MetricHandle {
    object: BoxedMetric,
    from: Component,
}

impl MetricHandle {
    pub(super) fn new(object: BoxedMetric, from: Component) -> Self {
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

/// A processor of a plugin. May be called from several threads at once.
pub struct ProcessorHandle {
    object: BoxedProcessor,
    from: Component,
}

impl ProcessorHandle {
    pub(super) fn new(object: BoxedProcessor, from: Component) -> Self {
        Self { object, from }
    }

    /// A processor of this program, through the same adapter as one of a plugin.
    ///
    /// # Errors
    /// It refuses the options.
    pub fn of<P: Processor>(options: &str) -> Result<Self> {
        let from = Component::here(P::ID);
        from.answer(crate::processor::create::<P>(options))
            .map(|object| Self::new(object, from))
    }

    /// Tells it what is being decoded.
    ///
    /// # Errors
    /// It cannot work on that.
    pub fn begin(&mut self, decoding: &Decoding) -> Result<()> {
        let text = to_json(decoding)?;
        self.from.answer(self.object.begin(text.as_rstr()))
    }

    /// Changes the scores of the next token of a sequence.
    ///
    /// # Errors
    /// The sequence is not what it can work on.
    pub fn process(&self, sequence: Sequence<'_>, scores: &mut [f32]) -> Result<()> {
        let raw = RawSequence {
            tokens: sequence.tokens.into(),
            prompt: sequence.prompt as u64,
            source: sequence.source.into(),
            siblings: sequence.siblings.into(),
            reserved: [0; 4],
        };
        self.from
            .answer(self.object.process(raw, RSliceMut::from_mut_slice(scores)))
    }
}

/// A task of a plugin. May be called from several threads at once.
pub struct TaskHandle {
    object: BoxedTask,
    from: Component,
}

impl TaskHandle {
    pub(super) fn new(object: BoxedTask, from: Component) -> Self {
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

/// Handles of what computes with tensors.
#[cfg(feature = "torch")]
pub(super) mod torch {
    use abi_stable::std_types::{RBox, RSlice, RStr, RString, RVec};
    use tch::Tensor;

    use super::{Component, TaskHandle, from_json, to_json};
    use crate::abi::model::{
        BuildObject, BuildObject_TO, ForwardArgs, ParamRequest, RawStep, SiteObject, SiteObject_TO,
    };
    use crate::abi::peft::AttachedObject_TO;
    use crate::abi::root::{BoxedBuild, BoxedModel, BoxedPeft};
    use crate::abi::task::RawPredictions;
    use crate::abi::{AbiResult, TD_Opaque};
    use crate::cache::Cache;
    use crate::error::{Error, Result};
    use crate::info::{BuildInfo, Init, ModelInfo, ModelView, ParamRole, Plan, SiteInfo, Tie};
    use crate::model::{Forward, Model, map, tensors};
    use crate::panic::{contain, guard};
    use crate::peft::Peft;
    use crate::record::RecordBatch;
    use crate::task::{Loss, Predictions, Task};
    use crate::tensor::{NamedTensors, RawTensor, TensorMap};
    use crate::values::Values;

    /// What a host implements to provide parameters and sites.
    pub trait BuildHost: Send + 'static {
        /// The parameter `name`; `new` when pretrained weights need not have it.
        ///
        /// # Errors
        /// The weights lack it or have it in another shape.
        fn param(&mut self, name: &str, shape: &[i64], init: Init, new: bool) -> Result<Tensor>;
        /// The parameter `name`, which is the parameter `to` unless the weights have one of its own, with other
        /// values.
        ///
        /// # Errors
        /// `to` was not provided, or one of the two has another shape.
        fn tied(&mut self, _name: &str, to: &str, shape: &[i64]) -> Result<Tensor> {
            self.param(to, shape, Init::Zeros, false)
        }
        /// The parameter `name`, which was provided as new, is of no head.
        fn below_head(&mut self, _name: &str) {}
        /// What the parameter `name` is, told once it was provided, where the plugin says so.
        fn role(&mut self, _name: &str, _role: ParamRole) {}
        /// A site, with its weights.
        ///
        /// # Errors
        /// A site of that name exists.
        fn site(&mut self, site: SiteInfo, weights: TensorMap) -> Result<Box<dyn SiteHost>>;
        /// What the builder is told.
        fn info(&self) -> BuildInfo;
    }

    /// What a host implements to pass tensors through what is attached at a site.
    pub trait SiteHost: Send + 'static {
        /// How many computations are attached.
        fn attached(&self) -> u32;
        /// Passes tensors through all of them.
        ///
        /// # Errors
        /// Those of the attached computations.
        fn apply(&self, tensors: Vec<Tensor>, forward: &Forward) -> Result<Vec<Tensor>>;
    }

    struct Served<T>(T);

    impl<B: BuildHost> BuildObject for Served<B> {
        fn param(&mut self, request: ParamRequest<'_>) -> AbiResult<RawTensor> {
            guard("host", || {
                let (name, init) = (request.name.as_str(), request.init.as_str());
                let new = request.flags & 1 != 0;
                let tensor = match from_json(init) {
                    Ok(Tie::Tied { to }) => self.0.tied(name, &to, &request.shape)?,
                    Err(_) => self.0.param(name, &request.shape, from_json(init)?, new)?,
                };
                if request.flags & 2 != 0 {
                    self.0.below_head(name);
                }
                if let Some(role) = ParamRole::from_code(request.flags >> 8 & 0xff) {
                    self.0.role(name, role);
                }
                Ok(tensor.into())
            })
        }

        fn site(
            &mut self,
            site: RStr<'_>,
            weights: NamedTensors,
        ) -> AbiResult<SiteObject_TO<'static, RBox<()>>> {
            guard("host", || {
                let site = self.0.site(from_json(site.as_str())?, map(weights))?;
                Ok(SiteObject_TO::from_value(Served(site), TD_Opaque))
            })
        }

        fn info(&self) -> RString {
            // Empty is no JSON: the builder then fails instead of building something else.
            contain(RString::new(), || {
                to_json(&self.0.info()).unwrap_or_default()
            })
        }
    }

    impl SiteObject for Served<Box<dyn SiteHost>> {
        fn attached(&self) -> u32 {
            // Not 0 after a panic, so that `apply` is called and tells.
            contain(u32::MAX, || self.0.attached())
        }

        fn apply(&self, args: ForwardArgs, raw: RVec<RawTensor>) -> AbiResult<RVec<RawTensor>> {
            guard("host", || {
                let out = self.0.apply(tensors(raw), &Forward::from_args(args))?;
                Ok(out.into_iter().map(RawTensor::from).collect())
            })
        }
    }

    pub(in crate::host) fn serve(build: impl BuildHost) -> BoxedBuild {
        BuildObject_TO::from_value(Served(build), TD_Opaque)
    }

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

    /// A model of a plugin.
    pub struct ModelHandle {
        object: BoxedModel,
        from: Component,
    }

    impl ModelHandle {
        pub(in crate::host) fn new(object: BoxedModel, from: Component) -> Self {
            Self { object, from }
        }

        /// A model of this program, through the same adapter as one of a plugin.
        ///
        /// # Errors
        /// It refuses the options, or building fails.
        pub fn of<M: Model>(options: &str, build: impl BuildHost) -> Result<Self> {
            let from = Component::here(M::ID);
            from.answer(crate::model::create::<M>(options, serve(build)))
                .map(|object| Self::new(object, from))
        }

        /// What it tells of itself.
        ///
        /// # Errors
        /// The model failed.
        pub fn describe(&self) -> Result<ModelInfo> {
            from_json(self.from.answer(self.object.describe())?.as_str())
        }

        /// Computes named outputs from named inputs.
        ///
        /// # Errors
        /// An input is missing or of a wrong shape, or libtorch refuses an operation.
        pub fn forward(&self, inputs: &TensorMap, forward: &Forward) -> Result<TensorMap> {
            self.from
                .answer(self.object.forward(forward.args(), inputs.share()))
                .map(map)
        }

        /// Begins a decoding: reads the prompts into the cache. The cache is empty again after an error.
        ///
        /// # Errors
        /// As [`ModelHandle::forward`]; a model that does not generate.
        pub fn prefill(
            &self,
            inputs: &TensorMap,
            cache: &mut Cache,
            forward: &Forward,
        ) -> Result<TensorMap> {
            let raw = std::mem::replace(cache, Cache::new(Vec::new(), 0, 0)?).into_raw();
            let answered = self.object.prefill(forward.args(), inputs.share(), raw);
            self.taken_back(answered, cache)
        }

        /// Goes on by one token a row. The cache is empty after an error.
        ///
        /// # Errors
        /// As [`ModelHandle::prefill`].
        pub fn step(
            &self,
            inputs: &TensorMap,
            cache: &mut Cache,
            forward: &Forward,
        ) -> Result<TensorMap> {
            let raw = std::mem::replace(cache, Cache::new(Vec::new(), 0, 0)?).into_raw();
            let answered = self.object.step(forward.args(), inputs.share(), raw);
            self.taken_back(answered, cache)
        }

        fn taken_back(&self, answered: AbiResult<RawStep>, cache: &mut Cache) -> Result<TensorMap> {
            let step = self.from.answer(answered)?;
            *cache = Cache::from_raw(step.cache);
            Ok(map(step.outputs))
        }
    }

    /// A PEFT method of a plugin.
    pub struct PeftHandle {
        object: BoxedPeft,
        from: Component,
    }

    impl PeftHandle {
        pub(in crate::host) fn new(object: BoxedPeft, from: Component) -> Self {
            Self { object, from }
        }

        /// A method of this program, through the same adapter as one of a plugin.
        ///
        /// # Errors
        /// It refuses the options.
        pub fn of<P: Peft>(options: &str) -> Result<Self> {
            let from = Component::here(P::ID);
            from.answer(crate::peft::create::<P>(options))
                .map(|object| Self::new(object, from))
        }

        /// Where it attaches and what stays trainable.
        ///
        /// # Errors
        /// A target matches nothing.
        pub fn plan(&mut self, model: &ModelView) -> Result<Plan> {
            let text = to_json(model)?;
            from_json(self.from.answer(self.object.plan(text.as_rstr()))?.as_str())
        }

        /// The computation at a site.
        ///
        /// # Errors
        /// The method cannot attach there.
        pub fn attach(
            &mut self,
            site: &SiteInfo,
            weights: &TensorMap,
            build: impl BuildHost,
        ) -> Result<AttachedHandle> {
            let text = to_json(site)?;
            let object = self.from.answer(self.object.attach(
                text.as_rstr(),
                weights.share(),
                serve(build),
            ))?;
            let from = self.from.clone();
            Ok(AttachedHandle { object, from })
        }

        /// What goes into `adapter_config.json`; `None` when the result is a whole model.
        ///
        /// # Errors
        /// The options cannot be expressed in the file.
        pub fn adapter_config(
            &self,
            model: &ModelView,
        ) -> Result<Option<serde_json::Map<String, serde_json::Value>>> {
            let text = to_json(model)?;
            let config = self
                .from
                .answer(self.object.adapter_config(text.as_rstr()))?
                .into_option();
            config.map(|config| from_json(config.as_str())).transpose()
        }

        /// Name of a trained parameter in the adapter file.
        ///
        /// # Errors
        /// The method failed.
        pub fn file_name(&self, parameter: &str) -> Result<String> {
            self.from
                .answer(self.object.file_name(parameter.into()))
                .map(RString::into_string)
        }

        /// Whether a tensor of an adapter file that is no trained parameter's may be left out of
        /// account.
        ///
        /// # Errors
        /// The method failed.
        pub fn is_redundant(&self, tensor: &str) -> Result<bool> {
            self.from.answer(self.object.is_redundant(tensor.into()))
        }

        /// After each backward pass, before the optimizer's step.
        ///
        /// # Errors
        /// The method failed.
        pub fn after_backward(&mut self, step: u64, total: u64) -> Result<()> {
            self.from.answer(self.object.after_backward(step, total))
        }

        /// A scalar to add to the normalised loss.
        ///
        /// # Errors
        /// The method failed.
        pub fn extra_loss(&self, forward: &Forward) -> Result<Option<Tensor>> {
            Ok(self
                .from
                .answer(self.object.extra_loss(forward.fork()))?
                .into_option()
                .map(Tensor::from))
        }
    }

    /// An attached computation of a plugin.
    pub struct AttachedHandle {
        object: AttachedObject_TO<'static, RBox<()>>,
        from: Component,
    }

    impl AttachedHandle {
        /// Passes tensors through.
        ///
        /// # Errors
        /// libtorch refuses an operation.
        pub fn forward(&self, raw: Vec<Tensor>, forward: &Forward) -> Result<Vec<Tensor>> {
            let raw = raw.into_iter().map(RawTensor::from).collect();
            self.from
                .answer(self.object.forward(forward.args(), raw))
                .map(tensors)
        }

        /// What to add to the site's weights so that the attachment can go.
        ///
        /// # Errors
        /// libtorch refuses an operation.
        pub fn delta(&self) -> Result<Option<TensorMap>> {
            Ok(self
                .from
                .answer(self.object.delta())?
                .into_option()
                .map(map))
        }
    }
}
