//! A model on the bench, with parameters kept in memory.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use tenon_plugin_api::host::{BuildHost, ModelHandle, SiteHost};
use tenon_plugin_api::info::{
    BuildInfo, HeadInfo, Init, ModelView, ParamInfo, ParamRole, SiteInfo, SiteKind,
};
use tenon_plugin_api::model::{Forward, Model};
use tenon_plugin_api::services::mix;
use tenon_plugin_api::tch::Tensor;
use tenon_plugin_api::tensor::TensorMap;
use tenon_plugin_api::{Error, ErrorCode, Result};

use crate::columns::Draws;
use crate::pretrained::Naming;

/// Builds a model on parameters in memory, with options as `config.json` or a run file would give
/// them.
///
/// # Panics
/// Building fails.
#[track_caller]
pub fn model<M: Model>(options: Value, weights: &Weights) -> ModelHandle {
    let built = ModelHandle::of::<M>(&options.to_string(), weights.clone());
    crate::ok(built, "building the model")
}

/// The parameters and sites of a model under test, as a host keeps them. Clones are the same
/// store.
///
/// Parameters that were not given start as their `Init` says, drawn from the seed and the name, so
/// that they are the same whatever the order of building.
#[derive(Clone, Default)]
pub struct Weights {
    store: Arc<Mutex<Store>>,
    seed: u64,
    head: Option<HeadInfo>,
}

/// What is attached at a site: called with the tensors that pass through it.
pub type Attachment = Box<dyn Fn(Vec<Tensor>, &Forward) -> Result<Vec<Tensor>> + Send>;

#[derive(Default)]
struct Store {
    given: BTreeMap<String, Tensor>,
    /// Where `given` is all there is: what a folder of pretrained weights has.
    pretrained: Option<Naming>,
    parameters: Vec<(ParamInfo, Tensor)>,
    sites: Vec<(SiteInfo, TensorMap, Slot)>,
}

impl Store {
    /// What was given for a parameter.
    fn find(&self, name: &str) -> Option<Tensor> {
        let names = match &self.pretrained {
            Some(naming) => naming.spellings(name),
            None => vec![name.to_owned()],
        };
        let mut found = names.iter().filter_map(|name| self.given.get(name));
        found.next().map(Tensor::shallow_clone)
    }
}

type Slot = Arc<Mutex<Vec<Attachment>>>;

impl Weights {
    /// No parameters yet; those asked for are drawn from `seed`.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self {
            seed,
            ..Self::default()
        }
    }

    /// Gives a parameter its value; the model must ask for it in this shape.
    #[must_use]
    pub fn with(self, name: &str, value: Tensor) -> Self {
        lock(&self.store).given.insert(name.to_owned(), value);
        self
    }

    /// The tensors of a model's folder, by their names there; a parameter that is not among them is an error,
    /// unless it is new.
    pub(crate) fn of_folder(given: BTreeMap<String, Tensor>, naming: Naming) -> Self {
        let weights = Self::default();
        {
            let mut store = lock(&weights.store);
            (store.given, store.pretrained) = (given, Some(naming));
        }
        weights
    }

    /// The head that the model is told the task asks for.
    #[must_use]
    pub fn head(mut self, kind: &str, num_labels: usize) -> Self {
        self.head = Some(HeadInfo {
            kind: kind.to_owned(),
            num_labels,
            problem_type: None,
        });
        self
    }

    /// Whether the model is told that the task asks for the head `kind`.
    pub(crate) fn has_head(&self, kind: &str) -> bool {
        self.head.as_ref().is_some_and(|head| head.kind == kind)
    }

    /// The parameters that were asked for, in that order.
    #[must_use]
    pub fn parameters(&self) -> Vec<ParamInfo> {
        let store = lock(&self.store);
        store
            .parameters
            .iter()
            .map(|(info, _)| info.clone())
            .collect()
    }

    /// The parameter of that name; it shares its storage with the model's.
    ///
    /// # Panics
    /// The model did not ask for it.
    #[track_caller]
    pub fn parameter(&self, name: &str) -> Tensor {
        let store = lock(&self.store);
        let found = store.parameters.iter().find(|(info, _)| info.name == name);
        match found {
            Some((_, tensor)) => tensor.shallow_clone(),
            None => panic!("nobody asked for the parameter `{name}`"),
        }
    }

    /// The sites that were declared, in that order.
    #[must_use]
    pub fn sites(&self) -> Vec<SiteInfo> {
        let store = lock(&self.store);
        store.sites.iter().map(|(info, ..)| info.clone()).collect()
    }

    /// The weights that were declared with a site, shared.
    ///
    /// # Panics
    /// There is no such site.
    #[track_caller]
    #[must_use]
    pub fn site_weights(&self, name: &str) -> TensorMap {
        let store = lock(&self.store);
        let (_, weights, _) = site(&store, name);
        weights
            .iter()
            .map(|(name, tensor)| (name, tensor.shallow_clone()))
            .collect()
    }

    /// Attaches a computation to a site, behind those that are there.
    ///
    /// # Panics
    /// There is no such site.
    #[track_caller]
    pub fn attach(&self, name: &str, attachment: Attachment) {
        let store = lock(&self.store);
        lock(&site(&store, name).2).push(attachment);
    }

    /// Takes all that is attached away.
    pub fn detach_all(&self) {
        for (.., slot) in &lock(&self.store).sites {
            lock(slot).clear();
        }
    }

    /// What a PEFT method is shown of the model.
    #[must_use]
    pub fn view(&self, model: &str) -> ModelView {
        ModelView {
            model: model.to_owned(),
            pretrained: None,
            head: self.head.clone(),
            sites: self.sites(),
            parameters: self.parameters(),
        }
    }
}

#[track_caller]
fn site<'a>(store: &'a Store, name: &str) -> &'a (SiteInfo, TensorMap, Slot) {
    match store.sites.iter().find(|(info, ..)| info.name == name) {
        Some(found) => found,
        None => panic!("the model declared no site `{name}`"),
    }
}

impl BuildHost for Weights {
    fn param(&mut self, name: &str, shape: &[i64], init: Init, new: bool) -> Result<Tensor> {
        let mut store = lock(&self.store);
        if let Some((info, tensor)) = store.parameters.iter().find(|(info, _)| info.name == name) {
            // Tied parameters are asked for twice.
            return same_shape(name, &info.shape, shape).map(|()| tensor.shallow_clone());
        }
        let tensor = match store.find(name) {
            Some(given) => {
                same_shape(name, &given.size(), shape)?;
                given
            }
            None if store.pretrained.is_some() && !new => {
                return Err(Error::new(
                    ErrorCode::Weights,
                    format!("the pretrained weights lack {name}"),
                ));
            }
            None => initialised(name, shape, init, self.seed)?,
        };
        let tensor = tensor.set_requires_grad(true);
        let info = ParamInfo {
            name: name.to_owned(),
            shape: shape.to_vec(),
            new,
            head: new,
            role: None,
        };
        store.parameters.push((info, tensor.shallow_clone()));
        Ok(tensor)
    }

    fn tied(&mut self, name: &str, to: &str, shape: &[i64]) -> Result<Tensor> {
        let first = self.param(to, shape, Init::Zeros, false)?;
        let own = lock(&self.store).find(name);
        match own {
            Some(own) if own.size() != shape || !own.f_equal(&first)? => {
                self.param(name, shape, Init::Zeros, false)
            }
            _ => Ok(first),
        }
    }

    fn role(&mut self, name: &str, role: ParamRole) {
        let mut store = lock(&self.store);
        let mut asked_for = store.parameters.iter_mut();
        if let Some((info, tensor)) = asked_for.find(|(info, _)| info.name == name) {
            info.role = Some(role);
            let _ = tensor.set_requires_grad(role != ParamRole::Buffer);
        }
    }

    fn site(&mut self, site: SiteInfo, weights: TensorMap) -> Result<Box<dyn SiteHost>> {
        let mut store = lock(&self.store);
        if store.sites.iter().any(|(info, ..)| info.name == site.name) {
            return Err(Error::new(
                ErrorCode::Other,
                format!("site `{}` is declared twice", site.name),
            ));
        }
        let (kind, slot) = (site.kind, Slot::default());
        store.sites.push((site, weights, slot.clone()));
        Ok(Box::new(Attachments { kind, slot }))
    }

    fn info(&self) -> BuildInfo {
        BuildInfo {
            head: self.head.clone(),
        }
    }
}

struct Attachments {
    kind: SiteKind,
    slot: Slot,
}

impl SiteHost for Attachments {
    fn attached(&self) -> u32 {
        lock(&self.slot).len() as u32
    }

    fn apply(&self, mut tensors: Vec<Tensor>, forward: &Forward) -> Result<Vec<Tensor>> {
        for attachment in lock(&self.slot).iter() {
            tensors = match (self.kind, tensors.first()) {
                // Each attachment sees the layer's input, and the output so far.
                (SiteKind::Linear, Some(input)) => {
                    let input = input.shallow_clone();
                    let out = attachment(tensors, forward)?;
                    std::iter::once(input).chain(out).collect()
                }
                _ => attachment(tensors, forward)?,
            };
        }
        Ok(match self.kind {
            SiteKind::Linear => tensors.split_off(1),
            _ => tensors,
        })
    }
}

fn same_shape(name: &str, has: &[i64], wanted: &[i64]) -> Result<()> {
    if has == wanted {
        return Ok(());
    }
    Err(Error::new(
        ErrorCode::Weights,
        format!("parameter `{name}` has shape {has:?}, the model wants {wanted:?}"),
    ))
}

fn initialised(name: &str, shape: &[i64], init: Init, seed: u64) -> Result<Tensor> {
    let start = name
        .bytes()
        .fold(seed, |hash, byte| mix(hash ^ u64::from(byte)));
    let mut draws = Draws(start);
    let count: i64 = shape.iter().product();
    let mut draw: Box<dyn FnMut() -> f64> = match init {
        Init::Zeros => Box::new(|| 0.0),
        Init::Ones => Box::new(|| 1.0),
        Init::Normal { std } => Box::new(move || std * draws.normal()),
        Init::Uniform { bound } => Box::new(move || bound * (2.0 * draws.unit() - 1.0)),
        Init::KaimingUniform { a } => {
            let fan_in: i64 = shape.iter().skip(1).product();
            let bound = (6.0 / ((1.0 + a * a) * fan_in.max(1) as f64)).sqrt();
            Box::new(move || bound * (2.0 * draws.unit() - 1.0))
        }
        other => {
            return Err(Error::unsupported(format!(
                "the testkit does not know the initialisation {other:?} of `{name}`"
            )));
        }
    };
    let values: Vec<f32> = (0..count).map(|_| draw() as f32).collect();
    Ok(Tensor::f_from_slice(&values)?.f_reshape(shape)?)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The largest absolute difference of two tensors of one shape.
///
/// # Panics
/// Their shapes differ.
#[track_caller]
#[must_use]
pub fn largest_difference(a: &Tensor, b: &Tensor) -> f64 {
    use tenon_plugin_api::tch::Kind;
    assert_eq!(a.size(), b.size(), "shapes of the tensors to compare");
    if a.numel() == 0 {
        return 0.0;
    }
    let difference = a.to_kind(Kind::Double) - b.to_kind(Kind::Double);
    difference.abs().max().double_value(&[])
}
