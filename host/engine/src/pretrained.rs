//! What a pretrained folder says of itself, and how a model's entry reads it.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::{Map, Value};
use tenon_core::config::{ComponentSettings, Pretrained};

use crate::hub;
use crate::params::{Naming, SharedStore, globs};

/// The folder of a pretrained model; a hub model is fetched into the hub's cache.
///
/// # Errors
/// There is no such folder, or the hub cannot be reached.
pub fn folder_of(pretrained: &Pretrained) -> Result<PathBuf> {
    match pretrained {
        Pretrained::Folder(folder) => {
            ensure!(
                folder.is_dir(),
                "model.pretrained: {} is not a folder",
                folder.display()
            );
            Ok(folder.clone())
        }
        Pretrained::Hub { name, revision } => hub::fetch(name, revision.as_deref()),
    }
}

/// What users call it: the folder's path, or its name on the hub.
pub fn name_of(pretrained: &Pretrained) -> String {
    match pretrained {
        Pretrained::Folder(folder) => folder.to_string_lossy().into_owned(),
        Pretrained::Hub { name, .. } => name.clone(),
    }
}

/// `config.json` of a folder.
///
/// # Errors
/// It cannot be read, or is no JSON object.
pub fn read_config(folder: &Path) -> Result<Map<String, Value>> {
    let path = folder.join("config.json");
    let text =
        std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("reading {}", path.display()))
}

/// Checks that `config.json` is of an architecture that the model plugin loads.
pub fn check_architecture(
    entry: &Value,
    config: &Map<String, Value>,
    folder: Option<&Path>,
) -> Result<()> {
    let (Some(found), Some(folder)) = (config.get("model_type").and_then(Value::as_str), folder)
    else {
        return Ok(());
    };
    let known = words(entry, "model_types");
    let id = entry.get("id").and_then(Value::as_str).unwrap_or("?");
    ensure!(
        known.is_empty() || known.contains(&found),
        "{}: model_type is \"{found}\"; the model `{id}` loads {}",
        folder.join("config.json").display(),
        known.join(", "),
    );
    Ok(())
}

/// What the run file sets, over what `config.json` says of the options that the model has.
pub fn model_options(
    component: &ComponentSettings,
    schema: &Value,
    config: &Map<String, Value>,
) -> Map<String, Value> {
    let known = schema.get("properties").and_then(Value::as_object);
    let read = config.iter().filter(|(key, value)| {
        known.is_some_and(|known| known.contains_key(*key)) && !value.is_null()
    });
    let mut options: Map<String, Value> = read
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    options.extend(
        component
            .options
            .iter()
            .map(|(key, value)| (key.clone(), value.clone())),
    );
    options
}

fn words<'a>(entry: &'a Value, list: &str) -> Vec<&'a str> {
    let items = entry.get(list).and_then(Value::as_array);
    items
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect()
}

/// How names in files differ from the model's, as its entry says.
pub fn naming(entry: &Value) -> Naming {
    let (from, to) = (words(entry, "renames_from"), words(entry, "renames_to"));
    Naming {
        base_prefix: words(entry, "base_prefix")
            .first()
            .copied()
            .unwrap_or("")
            .to_owned(),
        renames: from
            .into_iter()
            .map(str::to_owned)
            .zip(to.into_iter().map(str::to_owned))
            .collect(),
        ignores: words(entry, "ignores")
            .into_iter()
            .map(str::to_owned)
            .collect(),
    }
}

/// The inputs of a model, as its entry says, and whether each may be left out.
pub fn inputs(entry: &Value) -> Vec<(String, bool)> {
    let input = |name: &str| match name.strip_suffix('?') {
        Some(name) => (name.to_owned(), true),
        None => (name.to_owned(), false),
    };
    words(entry, "inputs").into_iter().map(input).collect()
}

/// Refuses pretrained weights that lack a parameter, or have a tensor that is in no parameter. `ignored` are the
/// globs of tensors that may be left out all the same, as the run file says.
///
/// # Errors
/// The weights are of another model, or not whole.
pub fn check_weights(store: &SharedStore, ignored: &[String]) -> Result<()> {
    let mut store = store.lock();
    let closed = store
        .close_weights()
        .context("the model's own list of tensors that it does without")?;
    let Some((folder, mut stray)) = closed else {
        return Ok(());
    };
    let missing = store.missing();
    ensure!(
        missing.is_empty(),
        "{}: the weights lack {}: they are of another model, or not whole",
        folder.display(),
        first_of(missing)
    );
    let ignored = globs(ignored).context("model.ignore_weights")?;
    stray.retain(|name| !ignored.is_match(name));
    ensure!(
        stray.is_empty(),
        "{}: the weights have {}, which this model does not: they are of another model, or of more than it; to \
         leave tensors out, name them in model.ignore_weights",
        folder.display(),
        first_of(&stray)
    );
    Ok(())
}

/// The first of some names, and how many more there are.
pub fn first_of(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [only] => only.clone(),
        [first, more @ ..] => format!("{first} and {} more", more.len()),
    }
}
