//! The result of a run as other programs read it: a Hugging Face model folder or a PEFT adapter
//! folder; and adapters merged into the weights below them.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::{Map, Value, json};
use tch::{Kind, Tensor};
use tenon_core::folder::write_folder_atomically;
use tenon_plugin_api::error::StdError;
use tenon_plugin_api::host::AttachedHandle;
use tenon_plugin_api::model::Forward;
use tenon_plugin_api::tensor::TensorMap;

use crate::params::Owner;
use crate::pretrained::first_of;
use crate::session::Session;
use crate::tokenizer::trained;
use crate::weights::{self, Weights};

/// Files of a tokenizer that a model folder carries along.
pub const TOKENIZER_FILES: [&str; 12] = [
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "chat_template.jinja",
    "vocab.txt",
    "vocab.json",
    "target_vocab.json",
    "merges.txt",
    "spiece.model",
    "tokenizer.model",
    "source.spm",
    "target.spm",
];

/// What a pretrained folder says of generation.
pub const GENERATION_CONFIG: &str = "generation_config.json";

/// Writes the result: an adapter folder if the PEFT method has one, else a model folder. Returns
/// whether it is an adapter.
///
/// # Errors
/// Writing fails; what was there stays.
pub fn result(session: &Session, model: &Path, adapter: &Path) -> Result<bool> {
    let config = match &session.peft {
        Some(peft) => peft
            .handle
            .adapter_config(&session.view)
            .map_err(StdError)?,
        None => None,
    };
    match config {
        Some(config) => {
            write_adapter(session, adapter, config)?;
            Ok(true)
        }
        None => {
            write_model(session, model)?;
            Ok(false)
        }
    }
}

/// Writes a PEFT adapter folder: `adapter_config.json` and `adapter_model.safetensors`.
fn write_adapter(session: &Session, path: &Path, config: Map<String, Value>) -> Result<()> {
    let peft = session.peft.as_ref().context("no PEFT method")?;
    let mut tensors = Vec::new();
    for (name, tensor) in session.trainable() {
        tensors.push((peft.handle.file_name(&name).map_err(StdError)?, tensor));
    }
    write_folder_atomically(path, |folder| -> Result<()> {
        fs::write(
            folder.join("adapter_config.json"),
            serde_json::to_vec_pretty(&config)?,
        )?;
        let tensors = tensors.iter().map(|(name, tensor)| (name.clone(), tensor));
        weights::save(&folder.join("adapter_model.safetensors"), tensors)
    })
    .with_context(|| format!("writing the adapter {}", path.display()))
}

/// Writes a Hugging Face model folder: `config.json`, `model.safetensors`, the tokenizer's files.
///
/// # Errors
/// Writing fails; what was there stays.
pub fn write_model(session: &Session, path: &Path) -> Result<()> {
    let config = config(session);
    write_folder_atomically(path, |folder| -> Result<()> {
        fs::write(
            folder.join("config.json"),
            serde_json::to_vec_pretty(&config)?,
        )?;
        {
            let store = session.store.lock();
            let params = store
                .params()
                .iter()
                .filter(|param| param.owner == Owner::Model);
            weights::save(
                &folder.join("model.safetensors"),
                params.map(|param| (param.name.clone(), &param.tensor)),
            )?;
        }
        // how to write with it, of which training changes nothing
        let generation = session.pretrained.as_deref();
        let generation = generation.map(|pretrained| pretrained.join(GENERATION_CONFIG));
        if let Some(file) = generation.filter(|file| file.is_file()) {
            fs::copy(&file, folder.join(GENERATION_CONFIG))
                .with_context(|| format!("copying {}", file.display()))?;
        }
        let source = trained::place(
            &session.settings,
            session.found.tokenizer.as_ref(),
            session.pretrained.as_deref(),
        )
        .ok();
        let source = source.as_deref();
        for name in TOKENIZER_FILES {
            let file = source.map(|source| match name {
                _ if source.is_dir() => source.join(name),
                // Whatever it is called, in a model folder it is this.
                "tokenizer.json" => source.to_owned(),
                _ => source.with_file_name(name),
            });
            if let Some(file) = file.filter(|file| file.is_file()) {
                fs::copy(&file, folder.join(name))
                    .with_context(|| format!("copying {}", file.display()))?;
            }
        }
        Ok(())
    })
    .with_context(|| format!("writing the model {}", path.display()))
}

/// `config.json` of the result: that of the pretrained model, with the run's options and head.
fn config(session: &Session) -> Map<String, Value> {
    let mut config = session.config.clone();
    config.extend(session.model_info.config.clone());
    config.insert(
        "architectures".into(),
        json!([session.model_info.architecture]),
    );
    let output = session.output();
    if !output.labels.is_empty() {
        let by_id: Map<_, _> = output
            .labels
            .iter()
            .enumerate()
            .map(|(id, name)| (id.to_string(), json!(name)))
            .collect();
        let by_name: Map<_, _> = output
            .labels
            .iter()
            .enumerate()
            .map(|(id, name)| (name.clone(), json!(id)))
            .collect();
        config.insert("id2label".into(), Value::Object(by_id));
        config.insert("label2id".into(), Value::Object(by_name));
    }
    let head = session.task_info.head.as_ref();
    if let Some(head) = head.filter(|head| head.num_labels > 0) {
        config.insert("num_labels".into(), json!(head.num_labels));
        if let Some(problem) = &head.problem_type {
            config.insert("problem_type".into(), json!(problem));
        }
    }
    config
}

/// Loads an adapter folder's tensors into the attached method's parameters. Every tensor of the
/// file must have its place, unless the method says that it is redundant, and every trainable
/// parameter its tensor.
///
/// # Errors
/// The file is of another model or of other options; each stray name is told.
pub fn load_adapter(session: &Session, folder: &Path) -> Result<()> {
    let peft = session
        .peft
        .as_ref()
        .context("no PEFT method is attached")?;
    let mut weights = Weights::open_file(&folder.join("adapter_model.safetensors"))?;
    let mut lacking = Vec::new();
    for (name, mut tensor) in session.trainable() {
        let file_name = peft.handle.file_name(&name).map_err(StdError)?;
        match weights.shape(&file_name) {
            Some(_) => weights.load(&file_name, &mut tensor)?,
            None => lacking.push(file_name),
        }
    }
    let mut stray = Vec::new();
    for name in weights.unused() {
        if !peft.handle.is_redundant(name).map_err(StdError)? {
            stray.push(name.to_owned());
        }
    }
    let faults = [("it lacks", &lacking), ("nothing here is named", &stray)];
    let faults = faults.into_iter().filter(|(_, names)| !names.is_empty());
    let faults: Vec<_> = faults
        .map(|(what, names)| format!("{what} {}", first_of(names)))
        .collect();
    ensure!(
        faults.is_empty(),
        "{} is not of this model with these options: {}",
        folder.join("adapter_model.safetensors").display(),
        faults.join("; ")
    );
    Ok(())
}

/// Merged weights, with what undoes the merge.
pub struct Merge {
    originals: Vec<(Tensor, Tensor)>,
    /// What was attached, by the number of its site.
    detached: Vec<(usize, Vec<AttachedHandle>)>,
}

impl Merge {
    /// Adds what is attached to the weights below it, in float32, and takes it off.
    ///
    /// # Errors
    /// A computation cannot be merged; nothing is changed then.
    pub fn apply(session: &Session) -> Result<Self> {
        let store = session.store.lock();
        let mut changes = Vec::new();
        for site in store.sites().iter().filter(|site| site.is_attached()) {
            let delta = site.delta().map_err(StdError)?.with_context(|| {
                format!("what is attached to {} cannot be merged", site.info.name)
            })?;
            for (name, delta) in delta {
                let weight = site
                    .weights
                    .get(&name)
                    .with_context(|| format!("{} has no {name}", site.info.name))?;
                changes.push((weight.shallow_clone(), delta));
            }
        }
        let mut originals = Vec::new();
        tch::no_grad(|| -> Result<()> {
            for (mut weight, delta) in changes {
                originals.push((weight.shallow_clone(), weight.f_detach_copy()?));
                let merged = weight.f_to_kind(Kind::Float)?.f_add(&delta)?;
                weight.f_copy_(&merged)?;
            }
            Ok(())
        })?;
        let detached = store
            .sites()
            .iter()
            .enumerate()
            .map(|(number, site)| (number, site.detach()))
            .collect();
        Ok(Self {
            originals,
            detached,
        })
    }

    /// Puts the weights back bit for bit, and what was attached in its place.
    ///
    /// # Errors
    /// libtorch fails.
    pub fn undo(self, session: &Session) -> Result<()> {
        tch::no_grad(|| -> Result<()> {
            for (mut weight, original) in self.originals {
                weight.f_copy_(&original)?;
            }
            Ok(())
        })?;
        let store = session.store.lock();
        for (number, handles) in self.detached {
            handles
                .into_iter()
                .for_each(|handle| store.sites()[number].attach(handle));
        }
        Ok(())
    }
}

/// The largest difference of any output between two forward passes of the same batch.
///
/// # Errors
/// The model fails.
pub fn largest_difference(session: &Session, before: &TensorMap, batch: &TensorMap) -> Result<f64> {
    let after = session.forward(batch, &Forward::new(false, 0))?;
    let mut largest = 0.0_f64;
    for (name, tensor) in before.iter() {
        let difference = tensor
            .f_sub(after.require(name).map_err(StdError)?)?
            .f_abs()?
            .f_max()?;
        largest = largest.max(difference.f_double_value(&[])?);
    }
    Ok(largest)
}
