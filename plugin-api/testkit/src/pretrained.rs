//! Folders in the layout of Hugging Face: `config.json` and safetensors files, to hold a model against another
//! program that reads the same.

use std::collections::BTreeMap;
use std::path::Path;

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde_json::{Map, Value};
use tenon_plugin_api::model::Model;
use tenon_plugin_api::options::Options as _;
use tenon_plugin_api::tch::{Kind, Tensor};

use crate::model::Weights;

/// How names in files may differ from the model's.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Naming {
    base_prefix: &'static str,
    renames: &'static [(&'static str, &'static str)],
}

impl Naming {
    /// The names under which files may have a parameter, the likeliest first.
    pub(crate) fn spellings(&self, name: &str) -> Vec<String> {
        let mut names = vec![name.to_owned()];
        let bare = name.strip_prefix(self.base_prefix);
        match bare.and_then(|rest| rest.strip_prefix('.')) {
            Some(bare) => names.push(bare.to_owned()),
            None if self.base_prefix.is_empty() => {}
            None => names.push(format!("{}.{name}", self.base_prefix)),
        }
        let older: Vec<_> = names
            .iter()
            .flat_map(|name| {
                self.renames.iter().filter_map(|(old, new)| {
                    name.strip_suffix(new).map(|stem| format!("{stem}{old}"))
                })
            })
            .collect();
        names.extend(older);
        names
    }
}

/// The weights of a folder, whole or in shards, under the names that a host would find them by. Each call reads
/// them anew.
///
/// # Panics
/// There are none, or a file is broken.
#[track_caller]
#[must_use]
pub fn weights<M: Model>(folder: &Path) -> Weights {
    let mut all = BTreeMap::new();
    let entries = std::fs::read_dir(folder);
    for entry in read(entries, &folder.display().to_string()) {
        let path = read(entry, "an entry of the folder").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with("model") && name.ends_with(".safetensors") {
            all.extend(tensors(&path));
        }
    }
    assert!(!all.is_empty(), "{} holds no weights", folder.display());
    let naming = Naming {
        base_prefix: M::BASE_PREFIX,
        renames: M::RENAMES,
    };
    Weights::of_folder(all, naming)
}

/// `config.json` of a folder.
///
/// # Panics
/// It cannot be read, or is no JSON.
#[track_caller]
#[must_use]
pub fn config(folder: &Path) -> Value {
    let path = folder.join("config.json");
    let what = path.display().to_string();
    let text = read(std::fs::read_to_string(&path), &what);
    read(serde_json::from_str(&text), &what)
}

/// The entries of `config.json` that the model has options for, as a host gives them.
///
/// # Panics
/// `config` is no object.
#[track_caller]
#[must_use]
pub fn options<M: Model>(config: &Value) -> Value {
    let schema: Value = read(serde_json::from_str(M::Options::SCHEMA), "the schema");
    let is_known =
        |name: &str, value: &Value| schema["properties"].get(name).is_some() && !value.is_null();
    let Some(config) = config.as_object() else {
        panic!("expected an object, found {config}")
    };
    let entries = config.iter().filter(|(name, value)| is_known(name, value));
    let entries = entries.map(|(name, value)| (name.clone(), value.clone()));
    Value::Object(entries.collect::<Map<_, _>>())
}

/// The tensors of a safetensors file, by name.
///
/// # Panics
/// It cannot be read.
#[track_caller]
#[must_use]
pub fn tensors(path: &Path) -> BTreeMap<String, Tensor> {
    let what = path.display().to_string();
    let bytes = read(std::fs::read(path), &what);
    let file = read(SafeTensors::deserialize(&bytes), &what);
    let tensor = |(name, view): (String, TensorView<'_>)| {
        let shape: Vec<i64> = view.shape().iter().map(|size| *size as i64).collect();
        let kind = match view.dtype() {
            Dtype::F32 => Kind::Float,
            Dtype::F64 => Kind::Double,
            Dtype::BF16 => Kind::BFloat16,
            Dtype::F16 => Kind::Half,
            Dtype::I64 => Kind::Int64,
            Dtype::I32 => Kind::Int,
            Dtype::BOOL => Kind::Bool,
            Dtype::U8 => Kind::Uint8,
            other => panic!("{what}: {name} is {other:?}"),
        };
        (name, Tensor::from_data_size(view.data(), &shape, kind))
    };
    file.tensors().into_iter().map(tensor).collect()
}

#[track_caller]
fn read<T, E: std::fmt::Display>(result: Result<T, E>, what: &str) -> T {
    result.unwrap_or_else(|error| panic!("{what}: {error}"))
}
