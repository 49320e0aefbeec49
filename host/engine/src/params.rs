//! The parameters and sites of a run's model: the host owns them, plugins share them.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use globset::{Glob, GlobSet, GlobSetBuilder};
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

impl Param {
    /// Whether it is kept with the weights and never trained.
    pub fn is_buffer(&self) -> bool {
        self.role == Some(ParamRole::Buffer)
    }
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
    /// Tensors that the model does without, as globs.
    pub ignores: Vec<String>,
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

    /// Closes the pretrained weights. Returns their folder and, in order, the tensors that no parameter bears
    /// the name of, in any spelling, and that the model does not do without.
    ///
    /// # Errors
    /// The model's own globs are none.
    pub fn close_weights(&mut self) -> anyhow::Result<Option<(PathBuf, Vec<String>)>> {
        let Some(weights) = self.weights.take() else {
            return Ok(None);
        };
        let names = self.index.keys();
        let spellings: HashSet<String> =
            names.flat_map(|name| self.naming.spellings(name)).collect();
        let ignored = globs(&self.naming.ignores)?;
        let stray = weights.unused().into_iter();
        let stray = stray.filter(|name| !spellings.contains(*name) && !ignored.is_match(name));
        let stray = stray.map(str::to_owned).collect();
        Ok(Some((weights.folder().to_owned(), stray)))
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
        let shown = self.params.iter().filter(|param| !param.is_buffer());
        shown.map(info).collect()
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
        let (new, head) = (new && !loaded, new && owner == Owner::Model);
        Ok(self.add(name, tensor, (new, head), owner))
    }

    /// One tensor for two names, unless the weights have other values under the second.
    fn tied(&mut self, name: &str, to: &str, shape: &[i64], owner: Owner) -> Result<Tensor> {
        let Some(first) = self.get(to) else {
            return Err(Error::new(
                ErrorCode::Weights,
                format!("parameter `{name}` is tied to `{to}`, which is no parameter"),
            ));
        };
        let first = first.tensor.shallow_clone();
        let misfit = |has: &[i64]| {
            let message = format!("`{name}` is tied to `{to}`: {shape:?} and {has:?}");
            Error::new(ErrorCode::Weights, message)
        };
        if first.size() != shape {
            return Err(misfit(&first.size()));
        }
        let source = self
            .weights
            .as_ref()
            .and_then(|weights| self.naming.find(weights, name, shape, false));
        if let (Some(source), Some(weights)) = (source, &mut self.weights) {
            let mut own = Tensor::f_empty(shape, (self.kind, self.device))?;
            weights
                .load(&source, &mut own)
                .map_err(|error| Error::new(ErrorCode::Weights, format!("{error:#}")))?;
            if !own.f_equal(&first)? {
                return Ok(self.add(name, own, (false, false), owner));
            }
        }
        let at = self.index[to];
        self.index.insert(name.to_owned(), at);
        Ok(first)
    }

    fn add(
        &mut self,
        name: &str,
        tensor: Tensor,
        (new, head): (bool, bool),
        owner: Owner,
    ) -> Tensor {
        self.index.insert(name.to_owned(), self.params.len());
        let shared = tensor.shallow_clone();
        self.params.push(Param {
            name: name.to_owned(),
            tensor,
            new,
            head,
            role: None,
            owner,
        });
        shared
    }
}

impl Naming {
    /// The name that a parameter has in the files, if they have it. A new parameter counts as
    /// absent when its shape differs: a head for other labels is not this head.
    fn find(&self, weights: &Weights, name: &str, shape: &[i64], new: bool) -> Option<String> {
        let mut names = self.spellings(name).into_iter();
        let found = names.find(|name| weights.shape(name).is_some())?;
        (!new || weights.shape(&found) == Some(shape)).then_some(found)
    }

    /// The names that a parameter may have in files, likeliest first.
    fn spellings(&self, name: &str) -> Vec<String> {
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
        names.extend(renamed);
        names
    }
}

/// One matcher for several globs.
///
/// # Errors
/// One is no glob.
pub fn globs(patterns: &[String]) -> anyhow::Result<GlobSet> {
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        set.add(Glob::new(pattern)?);
    }
    Ok(set.build()?)
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

    fn tied(&mut self, name: &str, to: &str, shape: &[i64]) -> Result<Tensor> {
        self.store.lock().tied(name, to, shape, self.owner)
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

#[cfg(test)]
mod tests {
    use tenon_plugin_api::error::StdError;

    use super::*;

    /// A store over a file of these tensors.
    fn store(tensors: &[(&str, &Tensor)]) -> anyhow::Result<(tempfile::TempDir, SharedStore)> {
        let folder = tempfile::tempdir()?;
        let named = tensors
            .iter()
            .map(|(name, tensor)| ((*name).to_owned(), *tensor));
        crate::weights::save(&folder.path().join("model.safetensors"), named)?;
        let naming = Naming {
            renames: vec![("lm_head.weight".into(), "shared.weight".into())],
            ..Naming::default()
        };
        let place = (Device::Cpu, Kind::Float);
        let weights = Some(Weights::open_folder(folder.path())?);
        let store = SharedStore::new(weights, naming, BuildInfo::default(), place, 0);
        Ok((folder, store))
    }

    /// Tied weights are one parameter however often files have them, and two where the file says so.
    #[test]
    fn tied_parameters() -> anyhow::Result<()> {
        let (one, other) = (
            Tensor::from(1.0_f32).expand([2, 3], false),
            Tensor::zeros([2, 3], (Kind::Float, Device::Cpu)),
        );
        type Case<'a> = (&'a str, &'a [(&'a str, &'a Tensor)], &'a [&'a str]);
        let cases: [Case<'_>; 4] = [
            ("once", &[("shared.weight", &one)], &["shared.weight"]),
            (
                "under the other name",
                &[("lm_head.weight", &one)],
                &["shared.weight"],
            ),
            (
                "twice",
                &[("shared.weight", &one), ("lm_head.weight", &one)],
                &["shared.weight"],
            ),
            (
                "untied",
                &[("shared.weight", &one), ("lm_head.weight", &other)],
                &["shared.weight", "lm_head.weight"],
            ),
        ];
        for (what, tensors, expected) in cases {
            let (_folder, store) = store(tensors)?;
            let mut build = store.builder(Owner::Model);
            let shared = build
                .param("shared.weight", &[2, 3], Init::Zeros, false)
                .map_err(StdError)?;
            let head = build
                .tied("lm_head.weight", "shared.weight", &[2, 3])
                .map_err(StdError)?;
            let tied = head.data_ptr() == shared.data_ptr();
            assert_eq!(tied, expected.len() == 1, "{what}");
            assert_eq!(shared.double_value(&[0, 0]), 1.0, "{what}");
            let store = store.lock();
            let names: Vec<_> = store
                .params()
                .iter()
                .map(|param| param.name.as_str())
                .collect();
            assert_eq!(names, expected, "{what}");
            let unused = store.weights.as_ref().map(Weights::unused);
            assert_eq!(unused, Some(vec![]), "{what}");
        }
        Ok(())
    }

    #[test]
    fn ties_that_do_not_fit() -> anyhow::Result<()> {
        let one = Tensor::ones([2, 3], (Kind::Float, Device::Cpu));
        let (_folder, store) = store(&[("shared.weight", &one)])?;
        let mut build = store.builder(Owner::Model);
        let mut error_of = |shape: &[i64]| {
            let made = build.tied("lm_head.weight", "shared.weight", shape);
            made.err().map(|error| error.to_string())
        };
        let nothing =
            "parameter `lm_head.weight` is tied to `shared.weight`, which is no parameter";
        assert_eq!(error_of(&[2, 3]).as_deref(), Some(nothing));
        let shared = store
            .builder(Owner::Model)
            .param("shared.weight", &[2, 3], Init::Zeros, false)
            .map_err(StdError)?;
        assert_eq!(shared.size(), [2, 3]);
        let misfit = "`lm_head.weight` is tied to `shared.weight`: [3, 3] and [2, 3]";
        assert_eq!(error_of(&[3, 3]).as_deref(), Some(misfit));
        Ok(())
    }

    /// A buffer is neither trained nor shown to a method that might want to.
    #[test]
    fn buffers_are_not_shown() -> anyhow::Result<()> {
        let one = Tensor::ones([2], (Kind::Float, Device::Cpu));
        let (_folder, store) = store(&[("bias", &one)])?;
        let mut build = store.builder(Owner::Model);
        let _ = build
            .param("bias", &[2], Init::Zeros, false)
            .map_err(StdError)?;
        assert_eq!(store.lock().infos().len(), 1);
        build.role("bias", ParamRole::Buffer);
        assert_eq!(store.lock().infos().len(), 0);
        Ok(())
    }
}
