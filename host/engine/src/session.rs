//! A run's components put together: task, tokenizer, model, PEFT method, metrics.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use tch::{Device, Kind as DType, Tensor};
use tenon_core::config::options::{Dtype, Precision};
use tenon_core::config::{
    Catalog, ComponentInfo, ComponentSettings, Device as DeviceSetting, Kind, RunSettings,
};
use tenon_core::data::{Batch, HfTokenizer};
use tenon_core::hex;
use tenon_core::registry::Registry;
use tenon_plugin_api::error::StdError;
use tenon_plugin_api::host::{MetricHandle, ModelHandle, PeftHandle, TaskHandle};
use tenon_plugin_api::info::{
    BuildInfo, DataInfo, ModelFacts, ModelInfo, ModelView, OutputInfo, PromptInfo, TaskInfo,
};
use tenon_plugin_api::model::Forward;
use tenon_plugin_api::tensor::TensorMap;
use tenon_plugin_api::tokenizer::SharedTokenizer;

use crate::data::{self, Discovered};
use crate::facts;
use crate::params::{Owner, SharedStore};
use crate::pretrained::{
    check_architecture, check_weights, folder_of, inputs, model_options, name_of, naming,
    read_config,
};
use crate::tokenizer::{RunTokenizer, check_vocabulary, trained};
use crate::weights::Weights;

/// A task that is opened but not yet told about the data.
pub struct OpenTask {
    /// The task.
    pub handle: TaskHandle,
    /// What it reads.
    pub info: TaskInfo,
}

/// A PEFT method that is attached.
pub struct AttachedPeft {
    /// The method.
    pub handle: PeftHandle,
}

/// A run's components, ready to compute.
pub struct Session {
    /// The settings of the run.
    pub settings: RunSettings,
    /// The installed plugins.
    pub registry: Arc<Registry>,
    /// The task.
    pub task: Arc<TaskHandle>,
    /// What the task reads, makes and puts out, now that it knows the data.
    pub task_info: TaskInfo,
    /// What was found in the data.
    pub found: Discovered,
    /// The tokenizer.
    pub tokenizer: Arc<SharedTokenizer>,
    /// The same as it is loaded.
    pub vocabulary: Arc<HfTokenizer>,
    /// Digest of all that the tokenizer does.
    pub tokenizer_digest: String,
    /// The model.
    pub model: ModelHandle,
    /// What the model told of itself.
    pub model_info: ModelInfo,
    /// What the task was told of the model.
    pub facts: ModelFacts,
    /// `config.json` of the pretrained model.
    pub config: Map<String, Value>,
    /// Folder of the pretrained model.
    pub pretrained: Option<PathBuf>,
    /// Parameters and sites.
    pub store: SharedStore,
    /// The PEFT method.
    pub peft: Option<AttachedPeft>,
    /// What the PEFT method was shown.
    pub view: ModelView,
    /// Where it computes.
    pub device: Device,
    /// Digest of the settings that decide the result.
    pub digest: String,
    inputs: Vec<(String, bool)>,
    length_field: Option<String>,
}

/// Opens the task of a run.
///
/// # Errors
/// The plugin cannot be opened, or it refuses its options.
pub fn open_task(registry: &Registry, settings: &RunSettings) -> Result<OpenTask> {
    let component = &settings.task;
    let plugin = registry.open(&component.plugin)?;
    let handle = plugin
        .task(&component.id, &json(&component.options)?)
        .map_err(StdError)?;
    let info = handle.describe().map_err(StdError)?;
    Ok(OpenTask { handle, info })
}

/// The device that the settings ask for.
///
/// # Errors
/// There is no such device.
pub fn device(setting: DeviceSetting) -> Result<Device> {
    let count = tch::Cuda::device_count();
    Ok(match setting {
        DeviceSetting::Cpu => Device::Cpu,
        DeviceSetting::Auto if tch::Cuda::is_available() => Device::Cuda(0),
        DeviceSetting::Auto => Device::Cpu,
        DeviceSetting::Cuda(index) => {
            ensure!(
                i64::from(index) < count,
                "run.device is cuda:{index}, but libtorch sees {count} CUDA devices{}",
                if count == 0 {
                    " (no GPU, no driver, or no libtorch_cuda.so beside libtorch_cpu.so)"
                } else {
                    ""
                },
            );
            Device::Cuda(index as usize)
        }
    })
}

/// How records become prompts, for a task that understands it.
fn prompt(
    settings: &RunSettings,
    task: &TaskInfo,
    found: &Discovered,
) -> Result<Option<PromptInfo>> {
    let Some(prompt) = &settings.prompt else {
        return Ok(None);
    };
    ensure!(
        task.promptable,
        "[prompt]: the task `{}` makes its own inputs and knows no prompts",
        settings.task.id
    );
    Ok(Some(PromptInfo {
        template: prompt.template.clone(),
        verbalizers: prompt.verbalizers.clone(),
        separator: prompt.separator.clone(),
        demonstrations: found.demonstrations.clone(),
        calibrate: prompt.calibrate,
    }))
}

/// The model's component.
fn component(registry: &Registry, settings: &RunSettings) -> Result<ComponentInfo> {
    let wanted = &settings.model.component;
    let name = format!("{}::{}", wanted.plugin, wanted.id);
    let found = registry.lookup(Kind::Model, &name);
    found.map_err(|error| anyhow::anyhow!("model {}: {error}", wanted.id))
}

impl Session {
    /// Puts the components together: prepares the task, builds and loads the model, attaches the
    /// PEFT method and freezes what it leaves alone.
    ///
    /// # Errors
    /// A component refuses, weights do not fit, or libtorch fails.
    pub fn open(
        settings: RunSettings,
        registry: Arc<Registry>,
        task: OpenTask,
        found: Discovered,
    ) -> Result<Self> {
        let device = device(settings.run.device)?;
        ensure!(
            settings.train.precision == Precision::Float32,
            "train.precision: this version computes in float32 only",
        );
        let pretrained = settings
            .model
            .pretrained
            .as_ref()
            .map(folder_of)
            .transpose()?;
        let mut config = pretrained
            .as_deref()
            .map(read_config)
            .transpose()?
            .unwrap_or_default();
        let component = component(&registry, &settings)?;
        check_architecture(&component.extra, &config, pretrained.as_deref())?;
        let path = trained::place(&settings, found.tokenizer.as_ref(), pretrained.as_deref())?;
        let tokenizer = HfTokenizer::load(&path)?;
        check_vocabulary(&tokenizer, config.get("vocab_size").and_then(Value::as_u64))
            .with_context(|| path.display().to_string())?;
        let mut options = model_options(&settings.model.component, &component.schema, &config);
        if pretrained.is_none() {
            facts::fit(&mut options, &component.schema, &tokenizer);
            // What it was built of goes into its own config.json, by which it is built again.
            config.extend(options.clone());
        }
        let facts = facts::of(&component, &options, &config, &tokenizer);
        let OpenTask {
            handle: mut task, ..
        } = task;
        let positions = facts::positions(&options, &component.schema, &config);
        let max_length = settings
            .tokenizer
            .max_length
            .map_or(positions, |limit| match positions {
                0 => limit as usize,
                positions => positions.min(limit as usize),
            });
        task.prepare(&DataInfo {
            labels: found.labels.clone(),
            kinds: found.kinds.clone(),
            max_length,
            model: facts.clone(),
            prompt: prompt(&settings, &task.describe().map_err(StdError)?, &found)?,
        })
        .map_err(StdError)?;
        let task_info = task.describe().map_err(StdError)?;
        facts::check_head(&task_info, &facts)?;
        let weights = pretrained
            .as_deref()
            .map(Weights::open_folder)
            .transpose()?;
        let kind = match settings.model.dtype {
            Dtype::Float32 => DType::Float,
            Dtype::Bfloat16 => DType::BFloat16,
        };
        let build = BuildInfo {
            head: task_info.head.clone(),
        };
        let store = SharedStore::new(
            weights,
            naming(&component.extra),
            build,
            (device, kind),
            settings.run.seed,
        );
        let plugin = registry.open(&component.plugin)?;
        let model = plugin
            .model(&component.id, &json(&options)?, store.builder(Owner::Model))
            .map_err(StdError)
            .with_context(|| match &pretrained {
                Some(folder) => format!("building model {} of {}", component.id, folder.display()),
                None => format!("building model {}", component.id),
            })?;
        check_weights(&store, &settings.model.ignore_weights)?;
        let model_info = model.describe().map_err(StdError)?;

        let tokenizer_digest = tenon_core::data::Tokenize::fingerprint(&tokenizer).to_owned();
        let limit = [max_length, model_info.max_length]
            .into_iter()
            .filter(|limit| *limit > 0)
            .min();
        let vocabulary = Arc::new(tokenizer);
        let tokenizer = Arc::new(SharedTokenizer::new(RunTokenizer {
            tokenizer: Arc::clone(&vocabulary),
            limit,
        }));

        let view = {
            let store = store.lock();
            let sites = store.sites().iter();
            ModelView {
                model: component.id.clone(),
                pretrained: settings.model.pretrained.as_ref().map(name_of),
                head: task_info.head.clone(),
                sites: sites.map(|site| site.info.clone()).collect(),
                parameters: store.infos(),
            }
        };
        let length_field = task_info
            .fields
            .iter()
            .find(|field| field.length)
            .map(|field| field.name.clone());
        let mut session = Self {
            digest: digest(&settings),
            task: Arc::new(task),
            inputs: inputs(&component.extra),
            settings,
            registry,
            task_info,
            found,
            tokenizer,
            vocabulary,
            tokenizer_digest,
            model,
            model_info,
            facts,
            config,
            pretrained,
            store,
            peft: None,
            view,
            device,
            length_field,
        };
        session.attach()?;
        Ok(session)
    }

    /// Attaches the PEFT method and freezes what it leaves alone; without one all is trainable.
    fn attach(&mut self) -> Result<()> {
        let Some(component) = &self.settings.peft else {
            return self.set_trainable(|_| true);
        };
        let plugin = self.registry.open(&component.plugin)?;
        let mut handle = plugin
            .peft(&component.id, &json(&component.options)?)
            .map_err(StdError)?;
        let plan = handle.plan(&self.view).map_err(StdError)?;
        for name in &plan.sites {
            let (info, weights) = {
                let store = self.store.lock();
                let site = store.sites().iter().find(|site| site.info.name == *name);
                let site = site.with_context(|| {
                    format!(
                        "{} wants to attach to `{name}`, which is no site",
                        component.id
                    )
                })?;
                (
                    site.info.clone(),
                    site.weights
                        .iter()
                        .map(|(n, t)| (n, t.shallow_clone()))
                        .collect::<TensorMap>(),
                )
            };
            let attached = handle
                .attach(&info, &weights, self.store.builder(Owner::Peft))
                .map_err(StdError)
                .with_context(|| format!("attaching {} to {name}", component.id))?;
            let store = self.store.lock();
            if let Some(site) = store.sites().iter().find(|site| site.info.name == *name) {
                site.attach(attached);
            }
        }
        for name in &plan.trainable {
            ensure!(
                self.store.lock().get(name).is_some(),
                "{} trains `{name}`, which is no parameter",
                component.id
            );
        }
        self.peft = Some(AttachedPeft { handle });
        self.set_trainable(|name| plan.trainable.iter().any(|trainable| trainable == name))
    }

    /// Sets which of the model's own parameters are trained; what a PEFT method made always is.
    fn set_trainable(&self, trainable: impl Fn(&str) -> bool) -> Result<()> {
        let store = self.store.lock();
        for param in store.params() {
            let on = !param.is_buffer() && (param.owner == Owner::Peft || trainable(&param.name));
            let _ = param.tensor.f_set_requires_grad(on)?;
        }
        Ok(())
    }

    /// The trainable parameters with their names, in the order of building.
    pub fn trainable(&self) -> Vec<(String, Tensor)> {
        let store = self.store.lock();
        let trainable = store
            .params()
            .iter()
            .filter(|param| param.tensor.requires_grad());
        trainable
            .map(|param| (param.name.clone(), param.tensor.shallow_clone()))
            .collect()
    }

    /// Modules of the model that the pretrained weights lack, which start from the seed.
    pub fn new_modules(&self) -> Vec<String> {
        let store = self.store.lock();
        let new = store
            .params()
            .iter()
            .filter(|param| param.new && param.owner == Owner::Model);
        let mut modules: Vec<String> = new
            .map(|param| match param.name.rsplit_once('.') {
                Some((module, _)) => module.to_owned(),
                None => param.name.clone(),
            })
            .collect();
        modules.dedup();
        modules
    }

    /// The number of trainable parameters and of all.
    pub fn parameters(&self) -> (u64, u64) {
        let store = self.store.lock();
        let count = |tensor: &Tensor| tensor.numel() as u64;
        let trainable = store
            .params()
            .iter()
            .filter(|param| param.tensor.requires_grad());
        (
            trainable.map(|param| count(&param.tensor)).sum(),
            store
                .params()
                .iter()
                .filter(|param| !param.is_buffer())
                .map(|param| count(&param.tensor))
                .sum(),
        )
    }

    /// The tensors of a batch, on the device.
    ///
    /// # Errors
    /// Memory runs out.
    pub fn tensors(&self, batch: &Batch) -> Result<TensorMap> {
        data::tensors(batch, self.length_field.as_deref(), self.device)
    }

    /// Whether a batch has all the fields that the task declares, labels included.
    pub fn has_references(&self, tensors: &TensorMap) -> bool {
        self.task_info
            .fields
            .iter()
            .all(|field| tensors.get(&field.name).is_some())
    }

    /// The model's outputs for a batch.
    ///
    /// # Errors
    /// The batch lacks an input, or the model fails.
    pub fn forward(&self, tensors: &TensorMap, forward: &Forward) -> Result<TensorMap> {
        let mut inputs = TensorMap::new();
        for (name, optional) in &self.inputs {
            match tensors.get(name) {
                Some(tensor) => inputs.insert(name.as_str(), tensor.shallow_clone()),
                None if *optional => {}
                None => bail!("the model needs the input `{name}`, which the task does not make"),
            }
        }
        Ok(self.model.forward(&inputs, forward).map_err(StdError)?)
    }

    /// The metrics of the run, fresh; those that the task suggests when the run file names none.
    ///
    /// # Errors
    /// One cannot be opened, or does not read what the task puts out.
    pub fn metrics(&self) -> Result<Vec<(String, MetricHandle)>> {
        let wanted = match self.settings.metrics.is_empty() {
            true => self.suggested_metrics()?,
            false => {
                let named = self.settings.metrics.iter();
                named
                    .map(|metric| (metric.name.clone(), metric.component.clone()))
                    .collect()
            }
        };
        let open = |(name, component): (String, ComponentSettings)| -> Result<_> {
            let context = || format!("metric {name}");
            let plugin = self.registry.open(&component.plugin)?;
            let metric = plugin.metric(&component.id, &json(&component.options)?);
            let mut metric = metric.map_err(StdError).with_context(context)?;
            metric
                .begin(&self.task_info.output)
                .map_err(StdError)
                .with_context(context)?;
            Ok((name, metric))
        };
        wanted.into_iter().map(open).collect()
    }

    fn suggested_metrics(&self) -> Result<Vec<(String, ComponentSettings)>> {
        let find = |request: &tenon_plugin_api::info::MetricRequest| {
            let found = self.registry.lookup(Kind::Metric, &request.name).map_err(|error| {
                anyhow::anyhow!(
                    "the task suggests metric `{}`, which is {error}; name the metrics in the run file",
                    request.name
                )
            })?;
            let options = request.options.clone().into_iter().collect();
            Ok((
                request.name.clone(),
                ComponentSettings {
                    plugin: found.plugin,
                    id: found.id,
                    options,
                },
            ))
        };
        self.task_info.metrics.iter().map(find).collect()
    }

    /// What the task puts out.
    pub fn output(&self) -> &OutputInfo {
        &self.task_info.output
    }
}

/// Options of a component as JSON.
fn json<T: serde::Serialize>(options: &T) -> Result<String> {
    Ok(serde_json::to_string(options)?)
}

/// What may differ between the parts of a run: where it lies and how much of it is kept does not
/// change what it computes.
pub const FREE_TO_DIFFER: [&str; 5] = [
    "run.output_dir",
    "run.name",
    "plugins.paths",
    "train.resume",
    "train.keep_checkpoints",
];

/// Digest of the settings that decide the result, which a resumed run must share.
fn digest(settings: &RunSettings) -> String {
    let mut value = serde_json::to_value(settings).unwrap_or_default();
    for (table, key) in FREE_TO_DIFFER
        .iter()
        .filter_map(|path| path.split_once('.'))
    {
        if let Some(table) = value.get_mut(table).and_then(Value::as_object_mut) {
            table.remove(key);
        }
    }
    hex(&Sha256::digest(value.to_string()))
}
