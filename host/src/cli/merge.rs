//! `tenon merge`.

use std::path::PathBuf;

use clap::Args;
use tenon_core::config::Purpose;
use tenon_core::request::{Command, MergeRequest};

use super::options::{DeviceOptions, RunFileOptions};
use super::{Failure, Output, engine, run_file};

/// Merge a trained adapter into its model
///
/// Merges in float32, says how far the outputs moved, and writes a model folder that needs the
/// adapter no longer.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tenon merge runs/quickstart merged/quickstart
  tenon merge configs/quickstart.toml merged/quickstart --model downloaded/adapter")]
pub struct MergeArgs {
    /// The run's folder, or its run file
    #[arg(value_name = "RUN")]
    run: PathBuf,
    /// The model folder to write, which must not exist
    #[arg(value_name = "OUTPUT")]
    output: PathBuf,
    /// Use this adapter folder instead of the run's result
    #[arg(long, value_name = "DIR")]
    model: Option<PathBuf>,
    #[command(flatten)]
    device: DeviceOptions,
    #[command(flatten)]
    file: RunFileOptions,
}

/// Merges.
pub fn run(args: &MergeArgs, output: &Output) -> Result<i32, Failure> {
    let sets: Vec<String> = args.device.assignment().into_iter().collect();
    let run = run_file::open(&args.run, &args.file, &sets, Purpose::Use, output)?;
    let request = MergeRequest {
        settings: run.loaded.resolved.settings.clone(),
        weights: run.weights(args.model.as_deref())?,
        output: args.output.clone(),
    };
    engine::run(
        Command::Merge(Box::new(request)),
        &run.loaded.search,
        output,
    )
}
