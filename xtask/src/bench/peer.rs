//! The peer: a Python with transformers and peft in the pinned versions, and runs of its script.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::data::{self, FILES};
use super::{Options, folder, ours};
use crate::cache::Cache;
use crate::cargo::{repository, run};
use crate::platform::Os;
use crate::prerequisites;

/// The peer's script, in the repository.
const SCRIPT: &str = "xtask/bench/peer_train.py";
/// What it needs, in the repository.
const REQUIREMENTS: &str = "xtask/bench/requirements.txt";
/// Space of an environment with all of that, in bytes.
const SPACE: u64 = 9_000_000_000;

/// A Python that has what the script needs.
pub struct Peer {
    python: PathBuf,
}

impl Peer {
    /// The Python that the user named, or that of an environment in the cache, made if need be.
    ///
    /// # Errors
    /// The named one lacks something or has it in another version; or none can be made.
    pub fn find(named: Option<&Path>) -> Result<Self> {
        let python = match named {
            // A path is meant from here, a bare name from PATH.
            Some(python) if python.components().count() > 1 => std::path::absolute(python)?,
            Some(python) => python.to_owned(),
            None => make(&Cache::open()?)?,
        };
        let present = versions(&python)?;
        let wrong = differences(&requirements()?, &present);
        if !wrong.is_empty() {
            bail!(
                "{}: {}\n  install them there: {} -m pip install -r {REQUIREMENTS}\n  \
                 or leave --python out: an environment is then made in the cache",
                python.display(),
                wrong.join(", "),
                python.display()
            );
        }
        Ok(Self { python })
    }

    /// Trains and evaluates; answers what the script prints.
    ///
    /// # Errors
    /// The script fails.
    pub fn train(&self, options: &Options, seed: u32) -> Result<Value> {
        let data = data::named(options.data.as_deref())?;
        let mut command = self.script(SCRIPT);
        command.args(["--model", "models/all-MiniLM-L6-v2"]);
        command.arg("--train").arg(data.join(FILES[0].0));
        command.arg("--dev").arg(data.join(FILES[1].0));
        command.args(["--seed", &seed.to_string()]);
        command.args(["--epochs", &options.epochs.to_string()]);
        if let Some(steps) = options.max_steps {
            command.args(["--max-steps", &steps.to_string()]);
        }
        ours::answer(&mut command)
    }

    /// A run of a script of the repository.
    pub fn script(&self, script: &str) -> Command {
        let mut command = ours::shell(&self.python);
        command.arg(script);
        command.env("TMPDIR", folder(&repository()));
        command
    }
}

/// The environment in the cache.
fn make(cache: &Cache) -> Result<PathBuf> {
    let text = read_requirements()?;
    let hash = Sha256::digest(text.as_bytes());
    let hash: String = hash
        .iter()
        .take(4)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let folder = cache.tools().join(format!("peer-{hash}"));
    let (python, done) = (Os::HERE.python_in(&folder), folder.join("complete"));
    if done.is_file() {
        return Ok(python);
    }
    let base = prerequisites::python_with_pip()?;
    let _lock = cache.lock("peer")?;
    if done.is_file() {
        return Ok(python);
    }
    prerequisites::disk_space(cache.root(), SPACE)?;
    println!(
        "making a Python environment for the peer in {}",
        folder.display()
    );
    run(base.command().args(["-m", "venv", "--clear"]).arg(&folder)).with_context(|| {
        "a virtual environment is needed for the peer; Debian and Ubuntu have the module in the \
         package python3-venv"
    })?;
    let mut install = Command::new(&python);
    install.args(["-m", "pip", "install", "--disable-pip-version-check", "-r"]);
    run(install.arg(repository().join(REQUIREMENTS)))?;
    fs::write(&done, "").with_context(|| format!("writing {}", done.display()))?;
    Ok(python)
}

fn read_requirements() -> Result<String> {
    let path = repository().join(REQUIREMENTS);
    fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))
}

/// The pinned versions, by package.
fn requirements() -> Result<BTreeMap<String, String>> {
    let text = read_requirements()?;
    let pins = text.lines().filter_map(|line| line.split_once("=="));
    Ok(pins
        .map(|(name, version)| (normal(name), version.into()))
        .collect())
}

/// A name in the one of its spellings that is the normal one (PEP 503): `rouge_score` is
/// `rouge-score`.
fn normal(name: &str) -> String {
    name.to_lowercase().replace(['_', '.'], "-")
}

/// The versions of the pinned packages in an environment.
fn versions(python: &Path) -> Result<BTreeMap<String, String>> {
    const LIST: &str = "import importlib.metadata as m, json\n\
                        print(json.dumps({d.metadata['Name']: d.version for d in m.distributions()}))";
    let output = ours::shell(python).args(["-c", LIST]).output();
    let output = output.with_context(|| format!("starting the Python {}", python.display()))?;
    let found: BTreeMap<String, String> = serde_json::from_slice(&output.stdout)
        .with_context(|| format!("{} is no Python 3 that works", python.display()))?;
    let found = found.into_iter();
    Ok(found
        .map(|(name, version)| (normal(&name), version))
        .collect())
}

/// What is missing or of another version, in words.
fn differences(
    pinned: &BTreeMap<String, String>,
    present: &BTreeMap<String, String>,
) -> Vec<String> {
    let differs = |(name, wanted): (&String, &String)| match present.get(name) {
        None => Some(format!("no {name}, {wanted} is needed")),
        // A build's own mark (`+cpu`) is no other version.
        Some(found) if found.split('+').next() == Some(wanted) => None,
        Some(found) => Some(format!("{name} {found}, {wanted} is needed")),
    };
    pinned.iter().filter_map(differs).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        let owned = pairs
            .iter()
            .map(|(a, b)| ((*a).to_owned(), (*b).to_owned()));
        owned.collect()
    }

    #[test]
    fn another_version_is_told() {
        let pinned = map(&[("peft", "0.21.2"), ("torch", "2.11.0"), ("numpy", "2.4.6")]);
        let present = map(&[("torch", "2.11.0+cpu"), ("numpy", "2.4.5")]);
        assert_eq!(
            differences(&pinned, &present),
            ["numpy 2.4.5, 2.4.6 is needed", "no peft, 0.21.2 is needed"]
        );
    }

    #[test]
    fn names_are_the_same_however_they_are_spelled() {
        for name in ["rouge-score", "rouge_score", "Rouge.Score"] {
            assert_eq!(normal(name), "rouge-score");
        }
    }

    #[test]
    fn the_script_and_the_list_agree() {
        let pinned = requirements().expect("the committed list");
        assert!(pinned.len() >= 4, "{pinned:?}");
        let script = fs::read_to_string(repository().join(SCRIPT)).expect("the script");
        let made_with = script.lines().find(|line| line.starts_with("Made with "));
        for name in ["torch", "transformers", "peft", "datasets"] {
            let said = format!("{name} {}", pinned[name]);
            assert!(made_with.is_some_and(|line| line.contains(&said)), "{said}");
        }
    }
}
