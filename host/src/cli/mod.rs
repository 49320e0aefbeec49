//! `tenon`: the commands, one file each.
//!
//! Reading order: [`Cli`] (what can be written) → `run` (who does it) → `run_file` and `engine`
//! (what commands share) → the commands.

mod check;
mod completions;
mod config;
mod engine;
mod evaluate;
mod failure;
mod merge;
mod options;
mod output;
mod plugin;
mod predict;
mod run_file;
mod score;
mod tokenizer;
mod train;

use clap::{Parser, Subcommand};
use tenon_core::registry;

use failure::Failure;
use options::GlobalOptions;
use output::Output;

/// Train, fine-tune and evaluate language models from plugins that fit together without glue.
#[derive(Debug, Parser)]
#[command(
    name = "tenon",
    version,
    long_version = LONG_VERSION,
    propagate_version = true,
    arg_required_else_help = true,
    after_help = AFTER_HELP
)]
pub struct Cli {
    #[command(flatten)]
    global: GlobalOptions,
    #[command(subcommand)]
    command: Command,
}

const LONG_VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), "\nlibtorch 2.11.0");

const AFTER_HELP: &str = "\
Examples:
  tenon check configs/quickstart.toml
  tenon train configs/quickstart.toml
  tenon predict runs/quickstart \"a warm, funny film\"
  tenon score --metric f1 --references ref.jsonl pred.jsonl

Variables:
  TENON_TRAIN__EPOCHS=1  sets train.epochs of the run file, and so for every other key
  TENON_PROFILE          a profile of the run file, as --profile
  TENON_PLUGIN_PATH      folders with plugins, separated as in PATH
  TENON_PLUGIN_TIMEOUT   seconds within which a plugin must open (10)
  TENON_LOG              what is logged, as in `info` or `tenon=debug`, instead of -v
  NO_COLOR               no colours

Exit codes:
    0  all went well
    1  the command failed: data, weights, a component, the disk
    2  the command line is wrong
    3  the run file is wrong, or names what is not there; nothing was started
    4  a plugin that is needed is broken, changed or not allowed
  130  stopped by Ctrl-C; a training run can be resumed";

#[derive(Debug, Subcommand)]
enum Command {
    Train(train::TrainArgs),
    Evaluate(evaluate::EvaluateArgs),
    Predict(predict::PredictArgs),
    Merge(merge::MergeArgs),
    Score(score::ScoreArgs),
    Check(check::CheckArgs),
    #[command(subcommand)]
    Tokenizer(tokenizer::TokenizerCommand),
    #[command(subcommand)]
    Plugin(plugin::PluginCommand),
    #[command(subcommand)]
    Config(config::ConfigCommand),
    Completions(completions::CompletionsArgs),
}

/// Reads the command line, does what it says, and ends the process.
pub fn main() -> ! {
    let cli = Cli::try_parse().unwrap_or_else(|error| error.exit());
    let output = Output::new(&cli.global);
    // A training run goes on when whoever read its output is gone.
    if !matches!(cli.command, Command::Train(_)) {
        registry::end_on_broken_pipe();
    }
    let code = match run(cli.command, &output) {
        Ok(code) => code,
        Err(failure) => {
            output.failure(&failure);
            failure.exit_code()
        }
    };
    registry::leave(code)
}

fn run(command: Command, output: &Output) -> Result<i32, Failure> {
    match command {
        Command::Train(args) => train::run(&args, output),
        Command::Evaluate(args) => evaluate::run(&args, output),
        Command::Predict(args) => predict::run(&args, output),
        Command::Merge(args) => merge::run(&args, output),
        Command::Score(args) => score::run(&args, output),
        Command::Check(args) => check::run(&args, output),
        Command::Tokenizer(command) => tokenizer::run(&command, output),
        Command::Plugin(command) => plugin::run(&command, output),
        Command::Config(command) => config::run(&command, output),
        Command::Completions(args) => Ok(completions::run(&args)),
    }
}
