//! Checkpoints: all that a killed run needs to go on as if it had never been killed.
//!
//! A checkpoint is a folder that appears whole or not at all (temporary folder, `fsync`, rename):
//! `trainable.safetensors`, `optimizer.safetensors` and `state.json`. Parameters that never change
//! are not written; they come from the pretrained weights or from the seed again.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use tch::Tensor;
use tenon_core::folder::{remove_leftovers, write_folder_atomically};

use crate::optimizer::Optimizer;
use crate::weights::{self, Weights};

/// Version of this layout.
const FORMAT: u32 = 1;

/// Where a run stands, between two optimizer steps.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Position {
    /// Optimizer steps taken.
    pub step: u64,
    /// Epoch, from 0.
    pub epoch: u64,
    /// Batches of this epoch that were consumed.
    pub batch: u64,
}

/// The state of a run besides its tensors.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// Version of the layout.
    pub format: u32,
    /// Where it stands.
    pub position: Position,
    /// Bytes of `metrics.jsonl` that belong to the steps taken.
    pub log_bytes: u64,
    /// Summed loss and weight since the last log entry, and of the whole run.
    pub loss: LossSums,
    /// The best evaluation so far.
    pub best: Option<Best>,
    /// Evaluations since then.
    pub stale: u32,
    /// Whether an evaluation was due when the run was interrupted.
    pub pending_evaluation: bool,
    /// Tokens and examples that training consumed.
    pub seen: Seen,
    /// Digest of the settings that must not change between the parts of a run.
    pub settings: String,
    /// Digest of the data that must not change either.
    pub data: String,
}

/// Sums of the normalised losses of optimizer steps; JSON numbers round-trip `f64` exactly.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LossSums {
    /// Since the last log entry.
    pub window: f64,
    /// Steps since the last log entry.
    pub window_steps: u64,
    /// Over the run.
    pub total: f64,
}

/// The best evaluation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Best {
    /// Step after which it was made.
    pub step: u64,
    /// The score that chooses.
    pub value: f64,
}

/// What training consumed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    /// Examples.
    pub examples: u64,
    /// Tokens, without padding.
    pub tokens: u64,
}

/// The checkpoints of a run.
pub struct Checkpoints {
    folder: PathBuf,
    keep: usize,
}

impl Checkpoints {
    /// Those in `folder`, which is made; leftovers of an interrupted write are removed.
    ///
    /// # Errors
    /// The folder cannot be made or read.
    pub fn open(folder: PathBuf, keep: u32) -> Result<Self> {
        fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
        remove_leftovers(&folder).with_context(|| format!("reading {}", folder.display()))?;
        Ok(Self {
            folder,
            keep: keep.max(1) as usize,
        })
    }

    /// Writes a checkpoint, then removes the oldest ones beyond those to keep.
    ///
    /// # Errors
    /// The disk is full, or writing fails; earlier checkpoints stay.
    pub fn save(&self, state: &State, optimizer: &Optimizer) -> Result<PathBuf> {
        let path = self.folder.join(format!("step-{:08}", state.position.step));
        let state = State {
            format: FORMAT,
            ..state.clone()
        };
        write_folder_atomically(&path, |folder| -> Result<()> {
            let params = optimizer
                .slots()
                .iter()
                .map(|slot| (slot.name.clone(), &slot.param));
            weights::save(&folder.join("trainable.safetensors"), params)?;
            weights::save(&folder.join("optimizer.safetensors"), optimizer.state())?;
            fs::write(
                folder.join("state.json"),
                serde_json::to_vec_pretty(&state)?,
            )?;
            Ok(())
        })
        .with_context(|| format!("writing the checkpoint {}", path.display()))?;
        let all = all(&self.folder)?;
        for (_, old) in all.iter().take(all.len().saturating_sub(self.keep)) {
            fs::remove_dir_all(old).with_context(|| format!("removing {}", old.display()))?;
        }
        Ok(path)
    }

    /// Writes the trainable parameters of the best evaluation.
    ///
    /// # Errors
    /// Writing fails; the former best stays.
    pub fn save_best(&self, optimizer: &Optimizer) -> Result<()> {
        write_folder_atomically(&self.folder.join("best"), |folder| -> Result<()> {
            let params = optimizer
                .slots()
                .iter()
                .map(|slot| (slot.name.clone(), &slot.param));
            weights::save(&folder.join("trainable.safetensors"), params)
        })
        .context("writing the best checkpoint")
    }

    /// Loads the parameters of the best evaluation.
    ///
    /// # Errors
    /// There is none, or it is of other parameters.
    pub fn load_best(&self, optimizer: &mut Optimizer) -> Result<()> {
        load_params(&self.folder.join("best/trainable.safetensors"), optimizer)
    }

    /// The latest whole checkpoint.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn latest(&self) -> Result<Option<PathBuf>> {
        latest_in(&self.folder)
    }
}

/// The latest whole checkpoint in the folder of a run that may be in training: nothing is changed.
///
/// # Errors
/// The folder cannot be read.
pub fn latest_in(folder: &Path) -> Result<Option<PathBuf>> {
    match folder.is_dir() {
        true => Ok(all(folder)?.pop().map(|(_, path)| path)),
        false => Ok(None),
    }
}

/// All whole checkpoints with their steps, in order.
fn all(folder: &Path) -> Result<Vec<(u64, PathBuf)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))? {
        let path = entry?.path();
        let name = path
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default();
        let step = name
            .strip_prefix("step-")
            .and_then(|step| step.parse().ok());
        found.extend(step.map(|step| (step, path)));
    }
    found.sort_unstable();
    Ok(found)
}

/// Takes a checkpoint over: parameters, optimizer, state. `expected` has the digests of this run.
///
/// # Errors
/// A file is missing or broken, or it is of another run.
pub fn load(path: &Path, expected: &State, optimizer: &mut Optimizer) -> Result<State> {
    let context = || {
        format!(
            "resuming from {}; if it is damaged, delete that folder: --resume then goes on from the checkpoint \
             before it, or from the start",
            path.display()
        )
    };
    let text = fs::read_to_string(path.join("state.json"))
        .with_context(|| format!("reading {}", path.join("state.json").display()))
        .with_context(context)?;
    let state: State = serde_json::from_str(&text)
        .with_context(|| format!("reading {}", path.join("state.json").display()))
        .with_context(context)?;
    ensure!(
        state.format == FORMAT,
        "{}: written in format {} by another version of tenon; this one reads {FORMAT}",
        path.display(),
        state.format,
    );
    ensure!(
        state.settings == expected.settings,
        "{}: this checkpoint was made with other settings, so it cannot be continued with these",
        path.display(),
    );
    ensure!(
        state.data == expected.data,
        "{}: this checkpoint was made with other data: the examples are not those that the run began with",
        path.display(),
    );
    load_params(&path.join("trainable.safetensors"), optimizer).with_context(context)?;
    let mut weights =
        Weights::open_file(&path.join("optimizer.safetensors")).with_context(context)?;
    optimizer.load(&mut weights).with_context(context)?;
    Ok(state)
}

fn load_params(path: &Path, optimizer: &mut Optimizer) -> Result<()> {
    let mut weights = Weights::open_file(path)?;
    for slot in optimizer.slots_mut() {
        let name = slot.name.clone();
        weights.load(&name, &mut slot.param)?;
    }
    let unused: Vec<_> = weights.unused();
    ensure!(
        unused.is_empty(),
        "{}: {} is not trained in this run",
        path.display(),
        unused[0]
    );
    Ok(())
}

/// Loads what a checkpoint trained into parameters found by name.
///
/// # Errors
/// The file is broken, or a parameter of it does not exist.
pub fn load_trained(path: &Path, mut find: impl FnMut(&str) -> Option<Tensor>) -> Result<()> {
    let mut weights = Weights::open_file(path)?;
    let names: Vec<_> = weights.names().map(str::to_owned).collect();
    for name in names {
        let mut tensor = find(&name)
            .with_context(|| format!("{}: the model has no parameter {name}", path.display()))?;
        weights.load(&name, &mut tensor)?;
    }
    Ok(())
}
