//! `tenon train`.

use std::path::PathBuf;

use clap::Args;
use tenon_core::config::Purpose;
use tenon_core::request::{Command, EarlierRun, TrainRequest};

use super::options::{DeviceOptions, RunFileOptions};
use super::{Failure, Output, engine, run_file};

/// Train the model of a run file
///
/// The run file is checked whole before anything is loaded. The result, its scores, logs and
/// checkpoints go to the run's folder, `runs/NAME`. Ctrl-C saves a checkpoint and says how to go on.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tenon train configs/quickstart.toml
  tenon train configs/quickstart.toml --set train.epochs=1 --set run.name=short
  tenon train --resume runs/quickstart")]
pub struct TrainArgs {
    /// The run file, or the folder of a run to go on with
    #[arg(value_name = "RUN", required_unless_present = "resume")]
    run: Option<PathBuf>,
    /// Go on with an unfinished run, which is named here or as RUN
    #[arg(long, value_name = "RUN", num_args = 0..=1, conflicts_with = "overwrite")]
    resume: Option<Option<PathBuf>>,
    /// Delete an earlier run of this name and start anew
    #[arg(long)]
    overwrite: bool,
    /// Go on although plugin files changed since the run began
    #[arg(long)]
    allow_changed_plugins: bool,
    #[command(flatten)]
    device: DeviceOptions,
    #[command(flatten)]
    file: RunFileOptions,
}

/// Trains.
pub fn run(args: &TrainArgs, output: &Output) -> Result<i32, Failure> {
    let named = args.resume.clone().flatten();
    let path = match (&args.run, &named) {
        (Some(_), Some(_)) => {
            let text = "name the run once: after --resume or before it".to_owned();
            return Err(Failure::Usage(text));
        }
        (Some(path), None) | (None, Some(path)) => path,
        (None, None) => return Err(Failure::Usage("--resume needs a run".to_owned())),
    };
    let sets: Vec<String> = args.device.assignment().into_iter().collect();
    let run = run_file::open(path, &args.file, &sets, Purpose::Train, output)?;
    // A folder can only be gone on with.
    let resumes = args.resume.is_some() || (path.is_dir() && !args.overwrite);
    let request = TrainRequest {
        settings: run.loaded.resolved.settings.clone(),
        run_file: run.loaded.text(),
        earlier: match (resumes, args.overwrite) {
            (true, _) => EarlierRun::Resume,
            (_, true) => EarlierRun::Overwrite,
            _ => EarlierRun::AsConfigured,
        },
        allow_changed_plugins: args.allow_changed_plugins,
    };
    engine::run(
        Command::Train(Box::new(request)),
        &run.loaded.search,
        output,
    )
}
