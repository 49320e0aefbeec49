//! Set-up and checks of tenon, as `cargo xtask …`. `cargo xtask --help` lists what there is.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

mod cache;
mod cargo;
mod cargo_config;
mod libtorch;
mod platform;
mod prerequisites;
mod setup;
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
        }
    }
    Ok(())
}
