//! `tenon check`.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;
use tenon_core::config::Purpose;
use tenon_core::request::exit;

use super::options::RunFileOptions;
use super::{Failure, Output, run_file};

/// Check a run file and print it with every value and its origin
///
/// Every fault is reported at once, and the exit code is 3. A run file without training data is good for evaluation
/// and prediction. Without a fault, the run file is printed
/// with its layers applied, its defaults filled in, and where each value comes from. No plugin is
/// opened and no weight loaded.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tenon check configs/quickstart.toml
  tenon check configs/quickstart.toml --set peft.r=16 --json | jq .settings.peft")]
pub struct CheckArgs {
    /// The run file
    #[arg(value_name = "RUN.toml")]
    file: PathBuf,
    #[command(flatten)]
    options: RunFileOptions,
}

/// Checks.
pub fn run(args: &CheckArgs, output: &Output) -> Result<i32, Failure> {
    let loaded = run_file::load(&args.file, &args.options, &[], Purpose::Check, output)?;
    let resolved = &loaded.resolved;
    if output.json {
        output.print_json(&json!({
            "file": resolved.file(),
            "settings": resolved.settings,
            "resolved": resolved.to_json(),
            "notes": resolved.notes,
        }));
    } else if output.verbosity >= 0 {
        output.print(&resolved.to_annotated_toml());
    }
    Ok(exit::OK)
}
