//! A host small enough to read: parameters from a Hugging Face folder, nothing attached.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use tenon_plugin_api::host::{BuildHost, ModelHandle, Plugin, SiteHost};
use tenon_plugin_api::info::{BuildInfo, HeadInfo, Init, SiteInfo};
use tenon_plugin_api::model::{Forward, Model as _};
use tenon_plugin_api::options::Options as _;
use tenon_plugin_api::tch::{Device, Kind, Tensor};
use tenon_plugin_api::tensor::TensorMap;
use tenon_plugin_api::{Error, Result};

pub type Tensors = BTreeMap<String, Tensor>;

/// Passes tensors at a site through something.
pub type Attached = Arc<dyn Fn(Vec<Tensor>) -> Vec<Tensor> + Send + Sync>;

/// What is compared agrees to this, relative to the largest element of the tensor.
pub const TOLERANCE: f64 = 1e-5;

/// The parameters of a model, shared with its builder.
#[derive(Clone)]
pub struct Store {
    model: &'static str,
    weights: Arc<Mutex<Tensors>>,
    built: Arc<Mutex<Tensors>>,
    sites: Arc<Mutex<Vec<SiteInfo>>>,
    head: Option<HeadInfo>,
    attached: Option<(String, Attached)>,
}

impl Store {
    /// Weights of a folder, whole or in shards.
    pub fn open(folder: &Path, head: Option<HeadInfo>) -> Self {
        let mut weights = Tensors::new();
        for entry in std::fs::read_dir(folder).expect("a fixture folder") {
            let path = entry.expect("an entry").path();
            let name = path
                .file_name()
                .expect("a name")
                .to_string_lossy()
                .into_owned();
            if name.starts_with("model") && name.ends_with(".safetensors") {
                weights.extend(load(&path));
            }
        }
        assert!(!weights.is_empty(), "{} holds weights", folder.display());
        Self::of(weights, head)
    }

    pub fn of(weights: Tensors, head: Option<HeadInfo>) -> Self {
        Self {
            model: "bert",
            weights: Arc::new(Mutex::new(weights)),
            built: Arc::default(),
            sites: Arc::default(),
            head,
            attached: None,
        }
    }

    /// The same for another model of the plugin.
    #[allow(dead_code)]
    pub fn for_model(self, model: &'static str) -> Self {
        Self { model, ..self }
    }

    /// The same with something attached at the site `name`.
    #[allow(dead_code)]
    pub fn with(self, name: &str, attached: Attached) -> Self {
        Self {
            attached: Some((name.to_owned(), attached)),
            ..self
        }
    }

    pub fn model(&self, options: &serde_json::Value) -> ModelHandle {
        self.try_model(options).expect("a model")
    }

    pub fn try_model(&self, options: &serde_json::Value) -> Result<ModelHandle> {
        let plugin = Plugin::linked(tenon_bert::tenon_plugin());
        plugin.model(self.model, &options.to_string(), self.clone())
    }

    /// The parameter that files call `name`.
    pub fn param(&self, name: &str) -> Tensor {
        let built = self.built.lock().expect("no panic");
        let with_prefix = format!("{}.{name}", self.model);
        let tensor = built.get(name).or_else(|| built.get(&with_prefix));
        tensor
            .unwrap_or_else(|| panic!("no parameter {name}"))
            .shallow_clone()
    }

    pub fn names(&self) -> Vec<String> {
        self.built
            .lock()
            .expect("no panic")
            .keys()
            .cloned()
            .collect()
    }

    #[allow(dead_code)]
    pub fn sites(&self) -> Vec<SiteInfo> {
        self.sites.lock().expect("no panic").clone()
    }

    fn find(&self, name: &str) -> Option<Tensor> {
        let weights = self.weights.lock().expect("no panic");
        let mut spellings = vec![name.to_owned()];
        let renames = match self.model {
            "bert" => tenon_bert::Bert::RENAMES,
            _ => tenon_bert::Roberta::RENAMES,
        };
        for (old, new) in renames {
            if let Some(start) = name.strip_suffix(new) {
                spellings.push(format!("{start}{old}"));
            }
        }
        let bare = spellings
            .iter()
            .filter_map(|name| name.strip_prefix(self.model)?.strip_prefix('.'))
            .map(str::to_owned);
        let all: Vec<_> = spellings.iter().cloned().chain(bare).collect();
        all.iter()
            .find_map(|name| weights.get(name))
            .map(Tensor::shallow_clone)
    }
}

impl BuildHost for Store {
    fn param(&mut self, name: &str, shape: &[i64], _init: Init, new: bool) -> Result<Tensor> {
        let tensor = match self.find(name) {
            Some(tensor) => tensor,
            None if new => Tensor::zeros(shape, (Kind::Float, Device::Cpu)),
            None => return Err(Error::data(format!("the weights lack {name}"))),
        };
        assert_eq!(tensor.size(), shape, "{name}");
        let tensor = tensor.copy().set_requires_grad(true);
        self.built
            .lock()
            .expect("a tensor")
            .insert(name.to_owned(), tensor.shallow_clone());
        Ok(tensor)
    }

    fn site(&mut self, site: SiteInfo, _weights: TensorMap) -> Result<Box<dyn SiteHost>> {
        let attached = self
            .attached
            .as_ref()
            .filter(|(name, _)| *name == site.name);
        let attached = attached.map(|(_, attached)| attached.clone());
        self.sites.lock().expect("no panic").push(site);
        Ok(Box::new(Place(attached)))
    }

    fn info(&self) -> BuildInfo {
        BuildInfo {
            head: self.head.clone(),
        }
    }
}

struct Place(Option<Attached>);

impl SiteHost for Place {
    fn attached(&self) -> u32 {
        u32::from(self.0.is_some())
    }

    fn apply(&self, tensors: Vec<Tensor>, _forward: &Forward) -> Result<Vec<Tensor>> {
        Ok(match &self.0 {
            Some(attached) => attached(tensors),
            None => tensors,
        })
    }
}

/// Asserts that two tensors agree relative to the largest element expected, or to `floor` if that is larger.
#[track_caller]
pub fn close(name: &str, found: &Tensor, expected: &Tensor, floor: f64) {
    let (found, expected) = (found.reshape([-1]), expected.reshape([-1]));
    assert_eq!(found.size(), expected.size(), "{name}");
    let difference = (&found - &expected).abs().max().double_value(&[]);
    let scale = expected.abs().max().double_value(&[]).max(floor);
    assert!(
        difference <= TOLERANCE * scale,
        "{name}: differs by {difference:e}, that is {:e} of {scale:e}",
        difference / scale
    );
}

/// Asserts that every gradient among `frozen` is that of the store's parameter. Gradients far below the largest
/// are sums that cancel (that of a key's bias is zero but for rounding): they are held to the tolerance at the
/// share `floor` of the largest.
pub fn same_gradients(frozen: &Tensors, store: &Store, floor: f64) {
    let gradients: Vec<_> = frozen
        .iter()
        .filter_map(|(name, gradient)| Some((name.strip_prefix("grad.")?, gradient)))
        .collect();
    assert_eq!(
        gradients.len(),
        store.names().len(),
        "every parameter has a gradient"
    );
    let largest = gradients
        .iter()
        .map(|(_, g)| g.abs().max().double_value(&[]))
        .fold(0.0, f64::max);
    for (name, expected) in gradients {
        close(name, &store.param(name).grad(), expected, largest * floor);
    }
}

/// The tensors of a safetensors file, by name.
pub fn load(path: &Path) -> Tensors {
    let bytes = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let file = safetensors::SafeTensors::deserialize(&bytes).expect("a safetensors file");
    let read = |(name, view): (String, safetensors::tensor::TensorView<'_>)| {
        let shape: Vec<i64> = view.shape().iter().map(|&size| size as i64).collect();
        let kind = match view.dtype() {
            safetensors::Dtype::F32 => Kind::Float,
            safetensors::Dtype::I64 => Kind::Int64,
            other => panic!("{name}: {other:?}"),
        };
        (name, Tensor::from_data_size(view.data(), &shape, kind))
    };
    file.tensors().into_iter().map(read).collect()
}

pub fn config(folder: &Path) -> serde_json::Value {
    let text = std::fs::read_to_string(folder.join("config.json")).expect("config.json");
    serde_json::from_str(&text).expect("JSON")
}

/// The entries of `config.json` that the model has options for.
pub fn options(config: &serde_json::Value) -> serde_json::Value {
    let text = match config["model_type"] == "bert" {
        true => tenon_bert::Config::SCHEMA,
        false => tenon_bert::RobertaConfig::SCHEMA,
    };
    let schema: serde_json::Value = serde_json::from_str(text).expect("a schema");
    let known = |(name, _): &(&String, &serde_json::Value)| {
        schema["properties"].get(name.as_str()).is_some()
    };
    let entries = config.as_object().expect("an object").iter().filter(known);
    entries
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

/// Largest magnitude, norm, and sixteen elements at equal strides, as `make_bert.py` takes them.
#[allow(dead_code)]
pub fn digest(tensor: &Tensor) -> Tensor {
    let flat = tensor.reshape([-1]);
    let stride = (flat.size()[0] / 16).max(1);
    let picked = flat.slice(0, 0, i64::MAX, stride);
    let picked = picked.narrow(0, 0, picked.size()[0].min(16));
    let norm = flat
        .to_kind(Kind::Double)
        .norm()
        .to_kind(Kind::Float)
        .reshape([1]);
    Tensor::cat(&[flat.abs().max().reshape([1]), norm, picked], 0)
}

/// MiniLM, which is 90 MB and not part of the repository.
#[allow(dead_code)]
pub fn minilm() -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../models/all-MiniLM-L6-v2");
    assert!(
        folder.join("model.safetensors").is_file(),
        "models/all-MiniLM-L6-v2 is not there; `cargo xtask test` fetches it, as does `cargo xtask demo`"
    );
    folder
}
