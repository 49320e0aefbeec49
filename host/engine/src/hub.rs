//! Models by name from the Hugging Face hub, through its own cache.

use std::path::PathBuf;

use anyhow::{Context, Result};
use hf_hub::api::sync::ApiBuilder;
use hf_hub::{Repo, RepoType};

/// Fetches a model's `config.json`, tokenizer and safetensors weights, or finds them in the hub's
/// cache; returns their folder.
///
/// # Errors
/// There is no network, or the hub has no such model.
pub fn fetch(name: &str, revision: Option<&str>) -> Result<PathBuf> {
    let context = || {
        format!(
            "fetching model {name} from the Hugging Face hub; without a network, set model.pretrained to a folder \
             that has config.json, model.safetensors and tokenizer.json"
        )
    };
    let api = ApiBuilder::from_env()
        .with_progress(true)
        .build()
        .with_context(context)?;
    let repo = match revision {
        Some(revision) => {
            Repo::with_revision(name.to_owned(), RepoType::Model, revision.to_owned())
        }
        None => Repo::new(name.to_owned(), RepoType::Model),
    };
    let repo = api.repo(repo);
    let config = repo.get("config.json").with_context(context)?;
    for optional in ["tokenizer.json", "tokenizer_config.json"] {
        // A model may come without: the tokenizer's loader says so where one is needed.
        let _ = repo.get(optional);
    }
    match repo.get("model.safetensors.index.json") {
        Ok(index) => {
            let text = std::fs::read_to_string(&index).with_context(context)?;
            let index: serde_json::Value = serde_json::from_str(&text).with_context(context)?;
            let files = index
                .get("weight_map")
                .and_then(serde_json::Value::as_object);
            let mut files: Vec<_> = files
                .into_iter()
                .flatten()
                .filter_map(|(_, file)| file.as_str())
                .collect();
            files.sort_unstable();
            files.dedup();
            for file in files {
                repo.get(file).with_context(context)?;
            }
        }
        Err(_) => drop(repo.get("model.safetensors").with_context(context)?),
    }
    config.parent().map(PathBuf::from).with_context(context)
}
