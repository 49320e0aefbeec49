//! The parameters and sites of a run's model: the host owns them, plugins share them.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tch::{Device, Kind, Tensor};
use tenon_core::data::rng::derive_seed;
use tenon_plugin_api::host::{AttachedHandle, BuildHost, SiteHost};
use tenon_plugin_api::info::{BuildInfo, Init, ParamInfo, ParamRole, SiteInfo};
use tenon_plugin_api::model::Forward;
use tenon_plugin_api::tensor::TensorMap;
use tenon_plugin_api::{Error, ErrorCode, Result};

use crate::weights::Weights;

/// Who asked for a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// The model.
    Model,
    /// The PEFT method.
    Peft,
}

/// A parameter.
pub struct Param {
    /// Name, as Hugging Face has it.
    pub name: String,
    /// The tensor; the plugin's shares its storage and its gradient.
    pub tensor: Tensor,
    /// Whether pretrained weights need not have it and do not.
    pub new: bool,
    /// Whether it is of the task's head, be it new or in the pretrained weights.
    pub head: bool,
    /// What it is in its layer, where the model says so.
    pub role: Option<ParamRole>,
    /// Who asked for it.
    pub owner: Owner,
}

/// A site with what is attached there.
pub struct SiteEntry {
    /// The model's description of it.
    pub info: SiteInfo,
    /// Its weights (`weight`, `bias`).
    pub weights: TensorMap,
    attached: Arc<Mutex<Vec<AttachedHandle>>>,
}

/// How names in files differ from the model's.
#[derive(Clone, Debug, Default)]
pub struct Naming {
    /// Prefix that files of the bare encoder lack, without the dot.
    pub base_prefix: String,
    /// Older endings, as (old, new).
    pub renames: Vec<(String, String)>,
}

/// All parameters and sites, in the order of building.
pub struct ParamStore {
    params: Vec<Param>,
    index: HashMap<String, usize>,
    sites: Vec<SiteEntry>,
    missing: Vec<String>,
    weights: Option<Weights>,
    naming: Naming,
    info: BuildInfo,
    device: Device,
    kind: Kind,
    seed: u64,
}

/// A store that plugins fill through builders.
#[derive(Clone)]
pub struct SharedStore(Arc<Mutex<ParamStore>>);

impl SharedStore {
    /// An empty store. `weights` are those of the pretrained model, if any.
    pub fn new(
        weights: Option<Weights>,
        naming: Naming,
        info: BuildInfo,
        (device, kind): (Device, Kind),
        seed: u64,
    ) -> Self {
        Self(Arc::new(Mutex::new(ParamStore {
            params: Vec::new(),
            index: HashMap::new(),
            sites: Vec::new(),
            missing: Vec::new(),
            weights,
            naming,
            info,
            device,
            kind,
            seed,
        })))
    }

    /// A builder that adds to this store.
    pub fn builder(&self, owner: Owner) -> impl BuildHost + use<> {
        Builder {
            store: self.clone(),
            owner,
        }
    }

    /// The store itself.
    pub fn lock(&self) -> MutexGuard<'_, ParamStore> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ParamStore {
    /// All parameters.
    pub fn params(&self) -> &[Param] {
        &self.params
    }

    /// The parameter of that name.
    pub fn get(&self, name: &str) -> Option<&Param> {
        self.index.get(name).map(|at| &self.params[*at])
    }

    /// All sites.
    pub fn sites(&self) -> &[SiteEntry] {
        &self.sites
    }

    /// Parameters that the pretrained weights lack and that are not new.
    pub fn missing(&self) -> &[String] {
        &self.missing
    }

    /// Takes the pretrained weights out, to tell what of them was not used.
    pub fn take_weights(&mut self) -> Option<Weights> {
        self.weights.take()
    }

    /// Parameters as a PEFT method is shown them.
    pub fn infos(&self) -> Vec<ParamInfo> {
        let info = |param: &Param| ParamInfo {
            name: param.name.clone(),
            shape: param.tensor.size(),
            new: param.new,
            head: param.head,
            role: param.role,
        };
        self.params.iter().map(info).collect()
    }

    fn param(
        &mut self,
        name: &str,
        shape: &[i64],
        init: Init,
        new: bool,
        owner: Owner,
    ) -> Result<Tensor> {
        if let Some(param) = self.get(name) {
            if param.tensor.size() != shape {
                let had = param.tensor.size();
                return Err(Error::new(
                    ErrorCode::Weights,
                    format!("parameter `{name}` is asked for with shape {shape:?} after {had:?}"),
                ));
            }
            return Ok(param.tensor.shallow_clone());
        }
        let mut tensor = Tensor::f_empty(shape, (self.kind, self.device))?;
        let source = self
            .weights
            .as_ref()
            .and_then(|weights| self.naming.find(weights, name, shape, new));
        let loaded = source.is_some();
        match (source, &mut self.weights) {
            (Some(source), Some(weights)) => weights
                .load(&source, &mut tensor)
                .map_err(|error| Error::new(ErrorCode::Weights, format!("{error:#}")))?,
            (_, weights) => {
                if weights.is_some() && !new {
                    self.missing.push(name.to_owned());
                }
                initialise(
                    &mut tensor,
                    init,
                    derive_seed(self.seed, 0, 0, &format!("init:{name}")),
                )?;
            }
        }
        self.index.insert(name.to_owned(), self.params.len());
        let shared = tensor.shallow_clone();
        self.params.push(Param {
            name: name.to_owned(),
            tensor,
            new: new && !loaded,
            head: new && owner == Owner::Model,
            role: None,
            owner,
        });
        Ok(shared)
    }
}

impl Naming {
    /// The name that a parameter has in the files, if they have it. A new parameter counts as
    /// absent when its shape differs: a head for other labels is not this head.
    fn find(&self, weights: &Weights, name: &str, shape: &[i64], new: bool) -> Option<String> {
        let bare = name
            .strip_prefix(&self.base_prefix)
            .and_then(|rest| rest.strip_prefix('.'));
        let prefixed = format!("{}.{name}", self.base_prefix);
        let mut names = vec![name.to_owned()];
        names.extend(bare.map(str::to_owned));
        if bare.is_none() && !self.base_prefix.is_empty() {
            names.push(prefixed);
        }
        let renamed = names.iter().flat_map(|name| {
            let older = |(old, new): &(String, String)| {
                name.strip_suffix(new.as_str())
                    .map(|stem| format!("{stem}{old}"))
            };
            self.renames.iter().filter_map(older)
        });
        let renamed: Vec<_> = renamed.collect();
        let found = names
            .into_iter()
            .chain(renamed)
            .find(|name| weights.shape(name).is_some())?;
        (!new || weights.shape(&found) == Some(shape)).then_some(found)
    }
}

/// Fills a parameter: drawn on the CPU, so that each device starts from the same values.
fn initialise(tensor: &mut Tensor, init: Init, seed: u64) -> Result<()> {
    tch::manual_seed(seed.cast_signed());
    let shape = tensor.size();
    let fan_in: i64 = shape.iter().skip(1).product::<i64>().max(1);
    let uniform = |bound: f64| -> Result<Tensor> {
        Ok(Tensor::f_empty(&shape, (Kind::Float, Device::Cpu))?.f_uniform_(-bound, bound)?)
    };
    let values = match init {
        Init::Zeros => Tensor::f_zeros(&shape, (Kind::Float, Device::Cpu))?,
        Init::Ones => Tensor::f_ones(&shape, (Kind::Float, Device::Cpu))?,
        Init::Normal { std } => {
            Tensor::f_empty(&shape, (Kind::Float, Device::Cpu))?.f_normal_(0.0, std)?
        }
        Init::Uniform { bound } => uniform(bound)?,
        Init::KaimingUniform { a } => uniform((6.0 / ((1.0 + a * a) * fan_in as f64)).sqrt())?,
        other => {
            return Err(Error::unsupported(format!(
                "initialisation {other:?} is of a later version"
            )));
        }
    };
    tch::no_grad(|| tensor.f_copy_(&values))?;
    Ok(())
}

struct Builder {
    store: SharedStore,
    owner: Owner,
}

impl BuildHost for Builder {
    fn param(&mut self, name: &str, shape: &[i64], init: Init, new: bool) -> Result<Tensor> {
        self.store.lock().param(name, shape, init, new, self.owner)
    }

    fn below_head(&mut self, name: &str) {
        let mut store = self.store.lock();
        if let Some(at) = store.index.get(name).copied() {
            store.params[at].head = false;
        }
    }

    fn role(&mut self, name: &str, role: ParamRole) {
        let mut store = self.store.lock();
        if let Some(at) = store.index.get(name).copied() {
            store.params[at].role = Some(role);
        }
    }

    fn site(&mut self, info: SiteInfo, weights: TensorMap) -> Result<Box<dyn SiteHost>> {
        let mut store = self.store.lock();
        if store
            .sites
            .iter()
            .any(|site| site.info.name == info.name && site.info.kind == info.kind)
        {
            return Err(Error::unsupported(format!("a second site `{}`", info.name)));
        }
        let attached = Arc::default();
        store.sites.push(SiteEntry {
            info,
            weights,
            attached: Arc::clone(&attached),
        });
        Ok(Box::new(Slot(attached)))
    }

    fn info(&self) -> BuildInfo {
        self.store.lock().info.clone()
    }
}

struct Slot(Arc<Mutex<Vec<AttachedHandle>>>);

impl SiteHost for Slot {
    fn attached(&self) -> u32 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len() as u32
    }

    fn apply(&self, tensors: Vec<Tensor>, forward: &Forward) -> Result<Vec<Tensor>> {
        let attached = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let inputs: Vec<_> = tensors.iter().map(Tensor::shallow_clone).collect();
        let Some((first, rest)) = attached.split_first() else {
            return Ok(tensors);
        };
        let mut out = first.forward(tensors, forward)?;
        for next in rest {
            // A linear site passes the layer's input along with the output so far.
            let mut tensors: Vec<_> = inputs.iter().map(Tensor::shallow_clone).collect();
            let kept = tensors.len().saturating_sub(out.len());
            tensors.truncate(kept);
            tensors.append(&mut out);
            out = next.forward(tensors, forward)?;
        }
        Ok(out)
    }
}

impl SiteEntry {
    /// Attaches a computation behind those that are attached.
    pub fn attach(&self, handle: AttachedHandle) {
        self.attached
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(handle);
    }

    /// What all that is attached adds to the site's weights, in float32; `None` when a computation
    /// cannot be merged.
    ///
    /// # Errors
    /// libtorch refuses an operation.
    pub fn delta(&self) -> Result<Option<BTreeMap<String, Tensor>>> {
        let attached = self.attached.lock().unwrap_or_else(PoisonError::into_inner);
        let mut sum: BTreeMap<String, Tensor> = BTreeMap::new();
        for handle in attached.iter() {
            let Some(delta) = handle.delta()? else {
                return Ok(None);
            };
            for (name, tensor) in delta.iter() {
                let tensor = tensor.f_to_kind(Kind::Float)?;
                let total = match sum.remove(name) {
                    Some(total) => total.f_add(&tensor)?,
                    None => tensor,
                };
                sum.insert(name.to_owned(), total);
            }
        }
        Ok(Some(sum))
    }

    /// Whether anything is attached.
    pub fn is_attached(&self) -> bool {
        !self
            .attached
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .is_empty()
    }

    /// Takes off all that is attached, to be attached again or dropped.
    pub fn detach(&self) -> Vec<AttachedHandle> {
        std::mem::take(&mut *self.attached.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
