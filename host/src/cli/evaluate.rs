//! `tenon evaluate`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use tenon_core::config::{Purpose, RunSettings};
use tenon_core::request::{Command, EvaluateOn, EvaluateRequest, Split, Weights};

use super::options::{DeviceOptions, RunFileOptions};
use super::{Failure, Output, engine, run_file};

/// Evaluate a trained model: loss and scores on data
///
/// Without `--split` or `--data` the test data of the run file is used, or its validation data
/// where it has none.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tenon evaluate runs/quickstart
  tenon evaluate runs/quickstart --data more.jsonl --predictions out.jsonl
  tenon evaluate configs/quickstart.toml --model downloaded/adapter --split validation")]
pub struct EvaluateArgs {
    /// The run's folder, or its run file
    #[arg(value_name = "RUN")]
    run: PathBuf,
    /// Which of the run's data to evaluate on
    #[arg(long, value_enum, conflicts_with = "data")]
    split: Option<SplitName>,
    /// Evaluate on these files instead, which have the columns of the run's data
    #[arg(long, value_name = "FILE", num_args = 1..)]
    data: Vec<PathBuf>,
    /// Use the weights of this model or adapter folder instead of the run's
    #[arg(long, value_name = "DIR", conflicts_with = "pretrained")]
    model: Option<PathBuf>,
    /// Use the weights that the run starts from
    #[arg(long)]
    pretrained: bool,
    /// Write the predictions to this file as JSON lines
    #[arg(long, value_name = "FILE")]
    predictions: Option<PathBuf>,
    /// Examples in a batch, instead of what the run file says
    #[arg(long, value_name = "N")]
    batch_size: Option<u32>,
    #[command(flatten)]
    device: DeviceOptions,
    #[command(flatten)]
    file: RunFileOptions,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum SplitName {
    /// What the model learns from
    Train,
    /// What it is evaluated on during training
    Validation,
    /// What the result is evaluated on at the end
    Test,
}

/// Evaluates.
pub fn run(args: &EvaluateArgs, output: &Output) -> Result<i32, Failure> {
    let batch = args
        .batch_size
        .map(|size| format!("evaluate.batch_size={size}"));
    let sets: Vec<String> = args.device.assignment().into_iter().chain(batch).collect();
    let run = run_file::open(&args.run, &args.file, &sets, Purpose::Use, output)?;
    let settings = run.loaded.resolved.settings.clone();
    let on = match (&args.data[..], args.split) {
        ([], Some(SplitName::Train)) => EvaluateOn::Split(Split::Train),
        ([], Some(SplitName::Validation)) => EvaluateOn::Split(Split::Validation),
        ([], Some(SplitName::Test)) => EvaluateOn::Split(Split::Test),
        ([], None) => EvaluateOn::Split(usual_split(&settings)?),
        (files, _) => EvaluateOn::Files(files.to_vec()),
    };
    let request = EvaluateRequest {
        settings,
        weights: match args.pretrained {
            true => Weights::Pretrained,
            false => run.weights(args.model.as_deref())?,
        },
        on,
        predictions: args.predictions.clone(),
    };
    engine::run(
        Command::Evaluate(Box::new(request)),
        &run.loaded.search,
        output,
    )
}

fn usual_split(settings: &RunSettings) -> Result<Split, Failure> {
    let data = &settings.data;
    match (&data.test, &data.validation) {
        (Some(_), _) => Ok(Split::Test),
        (None, Some(_)) => Ok(Split::Validation),
        (None, None) => Err(Failure::Usage(
            "the run file names neither data.test nor data.validation\n  \
             help: name files with --data, or use --split train"
                .to_owned(),
        )),
    }
}
