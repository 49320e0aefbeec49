//! Set-up and checks of tenon, as `cargo xtask …`. `cargo xtask --help` lists what there is.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

mod arrows;
mod bench;
mod cache;
mod cargo;
mod cargo_config;
mod check;
mod demo;
mod deny;
mod docs;
mod libtorch;
mod model;
mod platform;
mod prerequisites;
mod setup;
mod steps;
mod test;
mod wheel;

/// Set-up and checks of tenon: everything a contributor needs
///
/// Nothing has to be exported or installed by hand beyond Rust, a C++ compiler and Python with
/// pip; what is missing is named together with the command that installs it.
#[derive(Parser)]
#[command(
    bin_name = "cargo xtask",
    disable_help_subcommand = true,
    after_help = "Downloads go to a per-user cache: $TENON_CACHE, else the system's cache \
                  folder (such as ~/.cache/tenon). It can be deleted at any time."
)]
struct Cli {
    #[command(subcommand)]
    command: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Find or fetch libtorch, so that plain `cargo build`, `cargo test` and rust-analyzer work
    ///
    /// Takes the libtorch 2.11.0 that LIBTORCH names, or that of a Python environment with
    /// torch 2.11.0, or else fetches it (550 MB, once per user; continues where it was cut off).
    /// Then writes .cargo/libtorch.toml, which the repository's cargo configuration includes.
    #[command(after_help = "Examples:\n  \
        cargo xtask setup\n  \
        cargo xtask setup --from download    # although Python has a torch")]
    Setup {
        /// Where to take libtorch from
        #[arg(long, value_enum, default_value_t = setup::From::Auto)]
        from: setup::From,
    },
    /// Train a sentiment classifier, evaluate it and predict with it: the quick start
    ///
    /// Sets up if need be, fetches a pretrained model (84 MB, once per user), builds the host and
    /// the plugins in release, and fine-tunes the model with LoRA on movie reviews. The first
    /// build takes a quarter of an hour on 2 cores, the training about a minute.
    Demo {
        /// Train on a slice only, to see that everything works
        #[arg(long)]
        fast: bool,
    },
    /// Run every test, or those that cargo's own arguments choose
    ///
    /// Sets up if need be and builds the host and the plugins first, which the tests open as
    /// libraries. ARGS go to `cargo test`.
    #[command(after_help = "Examples:\n  \
        cargo xtask test\n  \
        cargo xtask test -p tenon-lora\n  \
        cargo xtask test -p tenon-tests resume -- --nocapture")]
    Test {
        /// Arguments for `cargo test`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Write what the documents take from the code: references, tables, examples and their output
    ///
    /// Builds the host and the plugins as the tests do, and the plugin guide's crate as a stranger
    /// would, whose tests it runs. `cargo xtask check` holds the documents against the code.
    #[command(after_help = "Examples:\n  \
        cargo xtask docs\n  \
        cargo xtask docs --check\n  \
        cargo xtask docs --built target/release")]
    Docs {
        /// Change nothing; fail where a document differs from the code
        #[arg(long)]
        check: bool,
        /// Take the host and the plugins from this folder instead of building them
        #[arg(long, value_name = "DIR")]
        built: Option<PathBuf>,
    },
    /// Run what CI runs: format, arrows, clippy, documents, licences and advisories, tests
    ///
    /// Stops at the first failure, quickest checks first, and ends with a summary.
    #[command(after_help = "Examples:\n  \
        cargo xtask check\n  \
        cargo xtask check --skip tests\n  \
        cargo xtask check --only format --only arrows")]
    Check {
        /// Run this step only (may be repeated)
        #[arg(long, value_enum, value_name = "STEP")]
        only: Vec<check::Step>,
        /// Leave this step out (may be repeated)
        #[arg(long, value_enum, value_name = "STEP", conflicts_with = "only")]
        skip: Vec<check::Step>,
    },
    /// Measure the figures of docs/benchmarks.md, against transformers and peft among others
    ///
    /// Builds in release, runs both sides in turn, and prints tables; what was measured, run by
    /// run, goes to target/bench. Let nothing else run meanwhile.
    #[command(after_help = "Examples:\n  \
        cargo xtask bench --data ~/sst2 --python ~/venv/bin/python\n  \
        cargo xtask bench --data ~/sst2 --only training --seeds 1 --max-steps 20\n  \
        cargo xtask bench --only commands")]
    Bench(bench::Options),
    /// Check that the packages depend on each other only as the architecture says
    ///
    /// Plugins link only plugin-api and nn, the host links no plugin, the command line and metrics
    /// need no libtorch, and only plugin-api names the crate behind the plugin boundary.
    Arrows,
}

fn main() -> ExitCode {
    match perform(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn perform(task: Task) -> Result<()> {
    match task {
        Task::Setup { from } => {
            let libtorch = setup::setup(&cargo::repository(), from)?;
            println!("ready: {libtorch}");
            Ok(())
        }
        Task::Demo { fast } => demo::demo(fast),
        Task::Test { args } => test::test(&args),
        Task::Docs { check, built } => {
            println!("{}", docs::docs(check, built.as_deref())?);
            Ok(())
        }
        Task::Check { only, skip } => check::check(&only, &skip),
        Task::Bench(options) => bench::bench(&options),
        Task::Arrows => {
            println!("{}", check::arrows()?);
            Ok(())
        }
    }
}
