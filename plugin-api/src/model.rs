//! Models: what a model's author implements, and what the host hands it.
//!
//! The host owns every parameter: its name, dtype, device, loading, freezing and saving. A model
//! asks for parameters while it is built, keeps the tensors (which share storage with the host's)
//! and computes with them. Names are those of Hugging Face, so that folders go in and out.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use serde::Serialize;
use tch::Tensor;

use crate::abi::model::{
    ForwardArgs, ModelObject, ModelObject_TO, ParamRequest, RawCache, RawStep, SiteObject_TO,
    WRITES_NOTHING,
};
use crate::abi::root::BoxedBuild;
use crate::abi::{AbiResult, RBox, RStr, RString, TD_Opaque, answer, from_json, to_json};
use crate::cache::Cache;
use crate::error::{Context as _, Error, Result};
use crate::info::{BuildInfo, HeadInfo, Init, ModelInfo, ParamRole, SiteInfo, Tie};
use crate::manifest::SiteDeclaration;
use crate::options::Options;
use crate::panic::{Contained, guard};
use crate::services::mix;
use crate::tensor::{NamedTensor, NamedTensors, RawTensor, TensorMap, share};

/// What a model author imports.
pub mod prelude {
    pub use super::{Build, Forward, Model, Site};
    pub use crate::cache::{Cache, Entry};
    pub use crate::error::{Context as _, Error, ErrorCode, Result};
    pub use crate::info::{HeadInfo, Init, ModelInfo, ParamRole, SiteInfo, SiteKind};
    pub use crate::manifest::SiteDeclaration;
    pub use crate::options::Options;
    pub use crate::tensor::TensorMap;
    pub use crate::{bail, ensure, register};
    pub use tch::{self, Device, IndexOp as _, Kind, Tensor};
}

/// A model architecture.
pub trait Model: Sized + Send + 'static {
    /// The name that users write, in kebab-case.
    const ID: &'static str;
    /// One line on what it is, for `tenon plugin inspect`.
    const ABOUT: &'static str = "";
    /// Values of `model_type` in `config.json` that it loads.
    const MODEL_TYPES: &'static [&'static str];
    /// What it offers: `encoder`, `sequence-classification`, `causal-lm`, …
    const OFFERS: &'static [&'static str];
    /// Inputs that it takes, by name; a name ending in `?` may be left out.
    const INPUTS: &'static [&'static str];
    /// Prefix of the encoder's parameters in models with a head (`bert`), which files of the bare
    /// encoder lack.
    const BASE_PREFIX: &'static str = "";
    /// Older spellings of parameter names, as `(old ending, new ending)`.
    const RENAMES: &'static [(&'static str, &'static str)] = &[];
    /// Tensors of files that it does without, as globs: heads for other tasks (`cls.*`), tables that are
    /// computed (`*.position_ids`). Every other tensor that no parameter takes is an error.
    const IGNORES: &'static [&'static str] = &[];
    /// Its sites.
    const SITES: &'static [SiteDeclaration] = &[];
    /// Keys of `config.json` that it reads, and what a run file may set.
    type Options: Options;

    /// Builds the model: asks for parameters and sites.
    ///
    /// # Errors
    /// The options do not fit together, or the host cannot provide a parameter.
    fn build(options: Self::Options, build: &Build) -> Result<Self>;

    /// What the host needs to know of it.
    fn describe(&self) -> ModelInfo;

    /// Computes named outputs from named inputs.
    ///
    /// A language-model head puts out `logits` `[batch, time, vocab]`. Given the optional input `labels` `[batch,
    /// time]`, it computes them only where the label is not -100: `[n, vocab]`, row by row. The label of a
    /// position is the token that is to be predicted *there*: tasks shift, models do not.
    ///
    /// # Errors
    /// An input is missing or of a wrong shape, or libtorch refuses an operation.
    fn forward(&self, inputs: &TensorMap, forward: &Forward) -> Result<TensorMap>;

    /// Begins a decoding: reads the prompts, fills the cache, and puts out `logits` `[prompts, vocab]` of the
    /// tokens that follow. For models that offer `causal-lm` or `seq2seq-lm`.
    ///
    /// A causal model is given `input_ids` `[prompts, time]`, filled up in front: row `r` begins at
    /// `cache.starts()[r]`. An encoder–decoder is given its encoder's inputs as in [`Model::forward`], filled up
    /// behind, and `decoder_input_ids` `[prompts, time]`, filled up in front. Where
    /// [`Cache::wants_hidden`] says so, it puts out `hidden` `[prompts, time, hidden]` as well, the states that
    /// the head turns into logits.
    ///
    /// # Errors
    /// As [`Model::forward`]; a model that does not override it offers no generation.
    fn prefill(
        &self,
        _inputs: &TensorMap,
        _cache: &mut Cache,
        _forward: &Forward,
    ) -> Result<TensorMap> {
        Err(Error::unsupported(WRITES_NOTHING))
    }

    /// Goes on by one token: `input_ids` `[rows]`, one for each row of the cache, at the time `cache.length()`.
    /// Puts out `logits` `[rows, vocab]`, and `hidden` `[rows, hidden]` where it is wanted.
    ///
    /// # Errors
    /// As [`Model::forward`].
    fn step(
        &self,
        _inputs: &TensorMap,
        _cache: &mut Cache,
        _forward: &Forward,
    ) -> Result<TensorMap> {
        Err(Error::unsupported(WRITES_NOTHING))
    }
}

/// Hands out parameters and sites while a model or an attachment is built.
///
/// [`Build::sub`] gives the same for a sub-module: names are joined with dots.
#[derive(Clone)]
pub struct Build {
    object: Rc<RefCell<BoxedBuild>>,
    info: Rc<BuildInfo>,
    prefix: String,
    new: bool,
    body: bool,
    role: Option<ParamRole>,
}

impl Build {
    pub(crate) fn open(object: BoxedBuild) -> Result<Self> {
        let info = from_json(object.info().as_str())?;
        let object = Rc::new(RefCell::new(object));
        Ok(Self {
            object,
            info: Rc::new(info),
            prefix: String::new(),
            new: false,
            body: false,
            role: None,
        })
    }

    /// The same for the sub-module `name`.
    #[must_use]
    pub fn sub(&self, name: impl AsRef<str>) -> Self {
        Self {
            prefix: self.path(name.as_ref()),
            ..self.clone()
        }
    }

    /// The same, for parameters of the task's head, which pretrained weights need not have.
    #[must_use]
    pub fn as_new(&self) -> Self {
        Self {
            new: true,
            body: false,
            ..self.clone()
        }
    }

    /// The same, for parameters below the head that some pretrained weights lack, such as a pooler:
    /// these start anew where they are not there, and are told to the user.
    #[must_use]
    pub fn or_new(&self) -> Self {
        Self {
            new: true,
            body: true,
            ..self.clone()
        }
    }

    /// The same, for parameters that are `role` in their layer.
    #[must_use]
    pub fn with_role(&self, role: ParamRole) -> Self {
        Self {
            role: Some(role),
            ..self.clone()
        }
    }

    /// The name of this module.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.prefix
    }

    /// The head that the task asks for.
    #[must_use]
    pub fn head(&self) -> Option<&HeadInfo> {
        self.info.head.as_ref()
    }

    /// The parameter `name` of this module, loaded or initialised. The tensor shares its storage
    /// with the host's parameter; frozen parameters do not require gradients.
    ///
    /// # Errors
    /// The weights lack it or have it in another shape, or memory runs out.
    pub fn param(&self, name: &str, shape: &[i64], init: Init) -> Result<Tensor> {
        self.request(name, shape, &init)
    }

    /// The parameter `name` of this module, which is the parameter `to` (its whole name, asked for before):
    /// one tensor, once in memory and in files. Only where the weights have `name` as well, with other values,
    /// is it a parameter of its own, whatever the configuration says.
    ///
    /// # Errors
    /// Nobody asked for `to`, or one of the two has another shape.
    pub fn tied(&self, name: &str, to: &str, shape: &[i64]) -> Result<Tensor> {
        self.request(name, shape, &Tie::Tied { to: to.to_owned() })
    }

    fn request(&self, name: &str, shape: &[i64], init: &impl Serialize) -> Result<Tensor> {
        let path = self.path(name);
        let init = to_json(init)?;
        let raw = answer(self.object.borrow_mut().param(ParamRequest {
            name: RStr::from(path.as_str()),
            shape: shape.iter().copied().collect(),
            init: init.as_rstr(),
            flags: u64::from(self.new)
                | u64::from(self.body) << 1
                | self.role.map_or(0, ParamRole::code) << 8,
        }))?;
        Ok(raw.into())
    }

    /// Declares a site with the weights that belong to it (`weight`, `bias`).
    ///
    /// # Errors
    /// A site of that name exists.
    pub fn site(&self, site: &SiteInfo, tensors: &[(&str, &Tensor)]) -> Result<Site> {
        let named = |(name, tensor): &(&str, &Tensor)| NamedTensor {
            name: (*name).into(),
            tensor: tensor.shallow_clone().into(),
        };
        let text = to_json(site)?;
        let tensors: NamedTensors = tensors.iter().map(named).collect();
        let object = answer(self.object.borrow_mut().site(text.as_rstr(), tensors))?;
        Ok(Site { object })
    }

    fn path(&self, name: &str) -> String {
        match (self.prefix.is_empty(), name.is_empty()) {
            (true, _) => name.to_owned(),
            (_, true) => self.prefix.clone(),
            _ => format!("{}.{name}", self.prefix),
        }
    }
}

/// A site on the model's side: what is attached there, if anything.
pub struct Site {
    object: SiteObject_TO<'static, RBox<()>>,
}

impl Site {
    /// Whether a PEFT method is attached, so that [`Site::apply`] has something to do.
    #[must_use]
    pub fn is_attached(&self) -> bool {
        self.object.attached() > 0
    }

    /// Passes tensors through what is attached; see [`crate::info::SiteKind`] for which.
    ///
    /// # Errors
    /// Those of the attached computation.
    pub fn apply(&self, tensors: &[&Tensor], forward: &Forward) -> Result<Vec<Tensor>> {
        let out = answer(self.object.apply(forward.fork(), share(tensors)))?;
        Ok(out.into_iter().map(Tensor::from).collect())
    }

    /// Passes `output` of a linear layer on `input` through what is attached.
    ///
    /// # Errors
    /// Those of the attached computation.
    pub fn linear(&self, input: &Tensor, output: Tensor, forward: &Forward) -> Result<Tensor> {
        if !self.is_attached() {
            return Ok(output);
        }
        let out = self.apply(&[input, &output], forward)?;
        out.into_iter()
            .next()
            .context("an attached computation returned no tensor")
    }
}

/// What goes with a forward call: whether it trains, and the seed of its randomness.
#[derive(Debug)]
pub struct Forward {
    args: ForwardArgs,
    calls: Cell<u64>,
}

const TRAINING: u64 = 1;

impl Forward {
    /// For a host or a test: a call that trains, or not, with all randomness from `seed`.
    #[must_use]
    pub fn new(training: bool, seed: u64) -> Self {
        let flags = if training { TRAINING } else { 0 };
        Self::from_args(ForwardArgs {
            seed,
            flags,
            reserved: [0; 6],
        })
    }

    pub(crate) fn from_args(args: ForwardArgs) -> Self {
        Self {
            args,
            calls: Cell::new(0),
        }
    }

    /// Whether dropout is on.
    #[must_use]
    pub fn training(&self) -> bool {
        self.args.flags & TRAINING != 0
    }

    /// A seed for the next random operation: the same in each run, another for each call.
    #[must_use]
    pub fn next_seed(&self) -> u64 {
        let call = self.calls.get();
        self.calls.set(call + 1);
        mix(self.args.seed ^ mix(call))
    }

    #[cfg(feature = "host")]
    pub(crate) fn args(&self) -> ForwardArgs {
        self.args
    }

    /// The arguments for a call made from within this one, with a seed of its own.
    pub(crate) fn fork(&self) -> ForwardArgs {
        ForwardArgs {
            seed: self.next_seed(),
            ..self.args
        }
    }
}

struct Adapter<M>(Contained<M>);

impl<M: Model> ModelObject for Adapter<M> {
    fn describe(&self) -> AbiResult<RString> {
        guard(M::ID, || to_json(&self.0.describe()))
    }

    fn forward(&self, args: ForwardArgs, inputs: NamedTensors) -> AbiResult<NamedTensors> {
        guard(M::ID, || {
            let outputs = self.0.forward(&inputs.into(), &Forward::from_args(args))?;
            Ok(outputs.into())
        })
    }

    fn prefill(
        &self,
        args: ForwardArgs,
        inputs: NamedTensors,
        cache: RawCache,
    ) -> AbiResult<RawStep> {
        guard(M::ID, || {
            let mut cache = Cache::from_raw(cache);
            let forward = Forward::from_args(args);
            let outputs = self.0.prefill(&inputs.into(), &mut cache, &forward)?;
            Ok(RawStep {
                outputs: outputs.into(),
                cache: cache.into_raw(),
            })
        })
    }

    fn step(&self, args: ForwardArgs, inputs: NamedTensors, cache: RawCache) -> AbiResult<RawStep> {
        guard(M::ID, || {
            let mut cache = Cache::from_raw(cache);
            let forward = Forward::from_args(args);
            let outputs = self.0.step(&inputs.into(), &mut cache, &forward)?;
            Ok(RawStep {
                outputs: outputs.into(),
                cache: cache.into_raw(),
            })
        })
    }
}

/// Builds a model from its options as JSON; what `register!` puts in the plugin's table.
pub fn create<M: Model>(
    options: &str,
    build: BoxedBuild,
) -> AbiResult<ModelObject_TO<'static, RBox<()>>> {
    guard(M::ID, || {
        let model = M::build(M::Options::from_json(options)?, &Build::open(build)?)?;
        Ok(ModelObject_TO::from_value(
            Adapter(Contained::new(M::ID, model)),
            TD_Opaque,
        ))
    })
}

pub(crate) fn tensors(raw: abi_stable::std_types::RVec<RawTensor>) -> Vec<Tensor> {
    raw.into_iter().map(Tensor::from).collect()
}

/// Named tensors of the boundary as the author sees them.
pub(crate) fn map(raw: NamedTensors) -> TensorMap {
    raw.into()
}
