//! Runs candidates, and leaves a line on each in `candidates.jsonl` of the run's folder. The host gives each
//! evaluation a folder of its own for such files.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;
use tenon_plugin_api::services::{self, Progress};
use tenon_plugin_api::task::prelude::*;

use crate::options::{Isolation, Options};
use crate::sandbox::{self, Limits, Outcome, Program, Run, Sandbox, SandboxError, Settings};

/// A candidate for a problem.
#[derive(Debug)]
pub struct Candidate {
    /// The place of its problem among the records at hand.
    pub row: usize,
    /// What the model wrote.
    pub code: String,
    /// What is run.
    pub program: Program,
}

/// The sandbox that the options ask for.
///
/// # Errors
/// There is no such interpreter, or candidates cannot be isolated and were to be.
pub fn sandbox(options: &Options) -> Result<Sandbox> {
    let settings = Settings {
        command: options.command.clone(),
        limits: Limits {
            time: Duration::from_secs_f64(options.timeout),
            memory: options.memory_mb << 20,
            files: options.files_mb << 20,
            processes: options.processes,
            ..Limits::default()
        },
        isolation: match options.isolation {
            Isolation::Full => sandbox::Isolation::Full,
            Isolation::None => sandbox::Isolation::None,
        },
        readable: options.readable.clone(),
    };
    Sandbox::new(settings).map_err(|error| told(&error))
}

/// Runs candidates; the runs are in their order.
///
/// # Errors
/// The sandbox broke, or the user stopped it.
pub fn run(sandbox: &Sandbox, parallel: usize, candidates: &[Candidate]) -> Result<Vec<Run>> {
    let programs: Vec<Program> = candidates.iter().map(|one| one.program.clone()).collect();
    let progress = Progress::start("running candidates", "programs", programs.len() as u64);
    let after = |_: &Run| {
        progress.advance(1);
        !services::cancelled()
    };
    let runs = sandbox.run_all(&programs, parallel, &after);
    let runs = runs.map_err(|error| told(&error))?;
    if runs.len() < candidates.len() {
        services::check_cancelled()?;
    }
    if let Some(folder) = services::artifact_dir() {
        let file = folder.join("candidates.jsonl");
        write(&file, candidates, &runs).map_err(|error| {
            Error::new(ErrorCode::Other, format!("{}: {error}", file.display()))
        })?;
    }
    Ok(runs)
}

fn write(file: &PathBuf, candidates: &[Candidate], runs: &[Run]) -> std::io::Result<()> {
    let mut lines = String::new();
    for (candidate, run) in candidates.iter().zip(runs) {
        let said = match &run.outcome {
            Outcome::Failed { last_lines, .. } => last_lines.as_str(),
            _ => "",
        };
        let line = json!({
            "code": candidate.code,
            "outcome": run.outcome.name(),
            "said": said,
            "seconds": (run.time.as_secs_f64() * 1e3).round() / 1e3,
        });
        lines += &format!("{line}\n");
    }
    // Records come some at a time; what is written at once stays together.
    let mut open = OpenOptions::new().create(true).append(true).open(file)?;
    open.write_all(lines.as_bytes())
}

fn told(error: &SandboxError) -> Error {
    let source = std::error::Error::source(error);
    let reason = source.map_or_else(String::new, |source| format!(": {source}"));
    let message = format!("running candidates: {error}{reason}");
    match error {
        SandboxError::NotIsolated { .. } => Error::unsupported(message).with_help(
            "run it where namespaces are allowed (Linux 5.14 or later; in a container with the right to make them), \
             or accept the risk with isolation = \"none\"",
        ),
        _ => Error::options(message),
    }
}
