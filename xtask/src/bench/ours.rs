//! tenon's side: a release build, and runs of the committed run file.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::{Options, folder};
use crate::cargo::{cargo, from_shell, plugins, repository, run, show};
use crate::platform::Os;

/// The run file of the bench, in the repository.
pub const RUN_FILE: &str = "xtask/bench/sst2-lora.toml";

/// What is built in release for a bench.
pub struct Built {
    release: PathBuf,
    plugins: Vec<String>,
}

impl Built {
    /// Builds the program, the plugins, and the programs of the bench.
    ///
    /// # Errors
    /// The build fails.
    pub fn new() -> Result<Self> {
        let (plugins, target) = plugins()?;
        let mut command = cargo();
        // Everything at once, or features would differ and build twice.
        command.args(["build", "--release", "--package", "tenon"]);
        for plugin in &plugins {
            command.args(["--package", plugin]);
        }
        command.args(["--package", "tenon-bench", "--lib", "--bins", "--examples"]);
        run(&mut command)?;
        Ok(Self {
            release: target.join("release"),
            plugins,
        })
    }

    /// A program that was built.
    pub fn program(&self, name: &str) -> PathBuf {
        self.release.join(Os::HERE.program(name))
    }

    /// The libraries of all plugins.
    pub fn plugin_libraries(&self) -> impl Iterator<Item = PathBuf> {
        let names = self.plugins.iter().map(|name| name.replace('-', "_"));
        names.map(|name| self.release.join(Os::HERE.library(&name)))
    }

    /// The plugin of components that do nothing.
    pub fn noop(&self) -> PathBuf {
        self.release.join("examples").join(Os::HERE.library("noop"))
    }
}

/// A command in the repository, without what cargo's configuration adds for tests.
pub fn shell(program: &Path) -> Command {
    let mut command = from_shell(program);
    for name in ["GOMP_SPINCOUNT", "OMP_WAIT_POLICY", "OMP_NUM_THREADS"] {
        command.env_remove(name);
    }
    command
}

/// A training of [`RUN_FILE`] by the program `name`, in a run folder of that name.
pub fn training(built: &Built, name: &str, options: &Options, seed: u32) -> Command {
    let mut command = shell(&built.program(name));
    command.args(["train", RUN_FILE, "--overwrite"]);
    let mut sets = vec![
        format!("run.name={name}"),
        format!("run.seed={seed}"),
        format!("train.epochs={}", options.epochs),
    ];
    sets.extend(
        options
            .max_steps
            .map(|steps| format!("train.max_steps={steps}")),
    );
    for set in sets {
        command.args(["--set", &set]);
    }
    command
}

/// Runs a command of [`training`] and reads the summary that it leaves.
///
/// # Errors
/// It fails; what it said is in the message.
pub fn summary(command: &mut Command, name: &str) -> Result<Value> {
    let folder = folder(&repository());
    quietly(command, &folder.join(format!("{name}.log")))?;
    let path = run_folder(name).join("summary.json");
    let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("reading {}", path.display()))
}

/// The folder of the run of this name.
pub fn run_folder(name: &str) -> PathBuf {
    folder(&repository()).join("runs").join(name)
}

/// What a command prints, which is JSON.
///
/// # Errors
/// It fails, and what it said is in the message; or it prints something else.
pub fn answer(command: &mut Command) -> Result<Value> {
    let shown = show(command);
    let output = command.stdin(Stdio::null()).output();
    let output = output.with_context(|| format!("starting `{shown}`"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "`{shown}` failed ({})\n{}",
        output.status,
        said.trim_end()
    );
    serde_json::from_slice(&output.stdout).with_context(|| format!("`{shown}` printed no figures"))
}

/// A number in what a program told.
///
/// # Errors
/// There is none at this place, a JSON pointer.
pub fn number(told: &Value, place: &str) -> Result<f64> {
    let found = told.pointer(place).and_then(Value::as_f64);
    found.with_context(|| format!("no number at {place} of {told}"))
}

/// Runs a command, what it says going to a file.
///
/// # Errors
/// It fails; the end of what it said is in the message.
pub fn quietly(command: &mut Command, log: &Path) -> Result<()> {
    let file = File::create(log).with_context(|| format!("creating {}", log.display()))?;
    let errors = file
        .try_clone()
        .with_context(|| format!("writing {}", log.display()))?;
    let shown = show(command);
    let status = command.stdout(file).stderr(errors).status();
    let status = status.with_context(|| format!("starting `{shown}`"))?;
    if !status.success() {
        let said = fs::read_to_string(log).unwrap_or_default();
        let lines: Vec<&str> = said.lines().collect();
        let last = lines[lines.len().saturating_sub(10)..].join("\n  ");
        bail!("`{shown}` failed ({status})\n  {last}");
    }
    Ok(())
}
