//! The folder of a training run: what becomes of an earlier run there, and what a run keeps of
//! itself. Nothing in it changes before it is known that the new run, or the next part of the old
//! one, can start.

use std::fs;

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use tenon_core::config::differences;
use tenon_core::config::options::Resume;
use tenon_core::folder::{Lock, RunFolder, remove_folder, remove_leftovers, write_atomically};
use tenon_core::registry::Pins;
use tenon_core::request::{EarlierRun, TrainRequest};

use crate::checkpoint;
use crate::data::Discovered;
use crate::session::{FREE_TO_DIFFER, Session};

/// What a run folder keeps for evaluation, prediction and resumption.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct RunState {
    /// What the training data held.
    pub data: Discovered,
    /// Digest of the settings that must not change between the parts of a run.
    pub settings: String,
}

impl RunState {
    /// That of the run in `folder`.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn read(folder: &RunFolder) -> Result<Self> {
        let path = folder.state();
        let text =
            fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        serde_json::from_str(&text).with_context(|| format!("reading {}", path.display()))
    }
}

/// What is in the folder of a run that is about to start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Earlier {
    /// No run.
    Nothing,
    /// A run that is to be continued.
    Continued,
    /// A run that is to be deleted.
    Deleted,
}

/// Decides what becomes of an earlier run in the folder, and changes nothing.
///
/// # Errors
/// The request does not fit what is there.
pub fn decide(request: &TrainRequest, folder: &RunFolder) -> Result<Earlier> {
    let root = folder.root();
    let exists = RunFolder::is_run(root);
    let resume = request.settings.train.resume;
    let must = request.earlier == EarlierRun::Resume || resume == Resume::Require;
    if request.earlier == EarlierRun::Overwrite {
        if exists {
            return Ok(Earlier::Deleted);
        }
        ensure!(
            !root.exists() || only_a_start_of_a_run(folder)?,
            "{}: --overwrite deletes only folders of runs, which this is not",
            root.display()
        );
        return Ok(Earlier::Nothing);
    }
    if must && !exists {
        bail!("{}: there is no run to resume", root.display());
    }
    if exists && folder.summary().is_file() {
        bail!(
            "{}: this run is finished; --overwrite starts it anew, another run.name keeps both",
            root.display()
        );
    }
    if exists && !must && resume == Resume::Never {
        bail!(
            "{}: there is an unfinished run; --resume goes on with it, --overwrite starts anew",
            root.display()
        );
    }
    if exists {
        return Ok(Earlier::Continued);
    }
    ensure!(
        checkpoint::latest_in(&folder.checkpoints())?.is_none(),
        "{}: there are checkpoints of a run, but no run.toml; take them away, or choose another run.name",
        root.display()
    );
    Ok(Earlier::Nothing)
}

/// Whether the folder holds nothing, or only what a run that was killed at once left of its first
/// files.
fn only_a_start_of_a_run(folder: &RunFolder) -> Result<bool> {
    let root = folder.root();
    let reading = || format!("reading {}", root.display());
    for entry in fs::read_dir(root).with_context(reading)? {
        let path = entry.with_context(reading)?.path();
        let ours = [folder.origins(), folder.pins(), folder.state()].contains(&path);
        let hidden = path.file_name().is_some_and(|name| {
            let name = name.to_string_lossy();
            name == ".lock" || name.starts_with(".writing-")
        });
        if !ours && !hidden {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Takes the folder for this run, now that it can start: removes an earlier run that is to go, or
/// makes sure that it is the same one; then writes what a run keeps of itself.
///
/// # Errors
/// Another process trains there, the earlier run had other settings, or writing fails.
pub fn take(
    folder: &RunFolder,
    earlier: Earlier,
    request: &TrainRequest,
    pins: &Pins,
    session: &Session,
) -> Result<Lock> {
    let root = folder.root();
    if earlier == Earlier::Deleted {
        let _free = lock(folder)?;
        remove_folder(root).with_context(|| format!("removing {}", root.display()))?;
    }
    fs::create_dir_all(root).with_context(|| format!("making {}", root.display()))?;
    let lock = lock(folder)?;
    if earlier == Earlier::Continued {
        check_same(folder, request, session)?;
    }
    remove_leftovers(root).with_context(|| format!("reading {}", root.display()))?;
    write_run_files(folder, earlier, request, pins, session)?;
    Ok(lock)
}

fn lock(folder: &RunFolder) -> Result<Lock> {
    let place = folder.root().display();
    let lock = folder.lock().with_context(|| format!("locking {place}"))?;
    lock.with_context(|| format!("{place}: another process is training in this folder"))
}

/// Checks that the run in the folder has the settings of this one.
fn check_same(folder: &RunFolder, request: &TrainRequest, session: &Session) -> Result<()> {
    if RunState::read(folder)?.settings == session.digest {
        return Ok(());
    }
    let old = fs::read_to_string(folder.run_file()).unwrap_or_default();
    let changed = differences(&old, &request.run_file.resolved, &FREE_TO_DIFFER);
    let list: String = changed.iter().map(|line| format!("\n  {line}")).collect();
    bail!(
        "{}: this run began with other settings, and cannot be continued with these{list}\n  help: give the new run \
         another run.name, or delete the old one with --overwrite",
        folder.root().display()
    )
}

fn write_run_files(
    folder: &RunFolder,
    earlier: Earlier,
    request: &TrainRequest,
    pins: &Pins,
    session: &Session,
) -> Result<()> {
    let state = RunState {
        data: session.found.clone(),
        settings: session.digest.clone(),
    };
    let mut files = vec![(folder.pins(), pins.to_toml()?)];
    if let Some(tokenizer) = &session.found.tokenizer {
        tokenizer.keep(&folder.tokenizer())?;
    }
    if earlier != Earlier::Continued {
        files.extend([
            (folder.origins(), request.run_file.with_origins.clone()),
            (folder.state(), serde_json::to_string_pretty(&state)?),
            // Last: a folder with a run.toml is a run.
            (folder.run_file(), request.run_file.resolved.clone()),
        ]);
    }
    for (path, text) in files {
        write_atomically(&path, text.as_bytes())
            .with_context(|| format!("writing {}", path.display()))?;
    }
    Ok(())
}
