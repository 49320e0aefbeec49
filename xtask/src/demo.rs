//! `cargo xtask demo`: from nothing to a fine-tuned model and its predictions.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::cache::Cache;
use crate::cargo::{cargo, plugins, repository, run, show};
use crate::model;
use crate::platform::Os;
use crate::setup::{self, From};

/// The run file of the demo, in the repository.
const RUN_FILE: &str = "configs/quickstart.toml";
/// Sentences that neither training nor evaluation has seen.
const SENTENCES: [&str; 4] = [
    "A warm, funny film that never puts a foot wrong.",
    "Two hours of my life that I will not get back.",
    "The plot is thin, but the two leads make it a joy to watch.",
    "It means well and bores to death.",
];

/// Sets up, fetches the model, builds in release, and trains, evaluates and predicts with
/// [`RUN_FILE`]. With `fast`, on a slice of the data: to see that it works, not to learn.
///
/// # Errors
/// Any of these fails.
pub fn demo(fast: bool) -> Result<()> {
    let start = Instant::now();
    let repository = repository();
    let libtorch = setup::setup(&repository, From::Auto)?;
    println!("{libtorch}");
    let model = model::obtain(&repository, &Cache::open()?)?;
    println!("model in {}", shorten(&model, &repository));
    let prepared = start.elapsed();

    heading("building the host and the plugins (release)");
    let start = Instant::now();
    let tenon = build()?;
    let built = start.elapsed();

    let name = if fast {
        "quickstart-fast"
    } else {
        "quickstart"
    };
    let folder = repository.join("runs").join(name);
    let start = Instant::now();
    let mut train = tenon_command(&tenon, &repository, "train");
    train.args([
        RUN_FILE,
        "--overwrite",
        "--set",
        &format!("run.name={name}"),
    ]);
    if fast {
        train.args(["--profile", "fast"]);
    }
    perform(&mut train)?;
    let trained = start.elapsed();

    let mut evaluate = tenon_command(&tenon, &repository, "evaluate");
    perform(evaluate.arg(shorten(&folder, &repository)))?;
    let mut predict = tenon_command(&tenon, &repository, "predict");
    predict.arg(shorten(&folder, &repository));
    for sentence in SENTENCES {
        predict.args(["--text", sentence]);
    }
    perform(&mut predict)?;

    heading("what it learnt");
    print!("{}", learnt(&folder)?);
    println!(
        "  seconds     set-up {:.1}, build {:.1}, train {:.1}",
        prepared.as_secs_f64(),
        built.as_secs_f64(),
        trained.as_secs_f64()
    );
    println!("  run folder  {}", folder.display());
    println!("\nEverything is in that folder; the run file is {RUN_FILE}: change it and run");
    println!("  cargo run --release -p tenon -- train {RUN_FILE} --overwrite");
    Ok(())
}

/// Builds the binary and the plugins; returns the binary.
fn build() -> Result<PathBuf> {
    let (plugins, target) = plugins()?;
    let mut command = cargo();
    command.args(["build", "--release", "--package", "tenon"]);
    for plugin in plugins {
        command.args(["--package", &plugin]);
    }
    run(&mut command)?;
    Ok(target.join("release").join(Os::HERE.program("tenon")))
}

/// `tenon SUBCOMMAND`, started in the repository as from a shell.
fn tenon_command(tenon: &Path, repository: &Path, subcommand: &str) -> Command {
    let mut command = Command::new(tenon);
    command.current_dir(repository).arg(subcommand);
    command
}

/// Shows a command as the user would type it, and runs it.
fn perform(command: &mut Command) -> Result<()> {
    heading(&format!("$ {}", show(command)));
    run(command)
}

fn heading(text: &str) {
    println!("\n── {text}");
}

/// `path` relative to the repository, where it lies inside.
fn shorten(path: &Path, repository: &Path) -> String {
    path.strip_prefix(repository)
        .unwrap_or(path)
        .display()
        .to_string()
}

/// The final scores and what was trained, from the run's summary.
fn learnt(folder: &Path) -> Result<String> {
    let path = folder.join("summary.json");
    let text = fs::read_to_string(&path)
        .with_context(|| format!("reading the run's summary {}", path.display()))?;
    let summary: Value = serde_json::from_str(&text)
        .with_context(|| format!("reading the run's summary {}", path.display()))?;
    Ok(describe(&summary))
}

/// A line for each number under `scores`, then the parameters.
fn describe(summary: &Value) -> String {
    let mut lines = Vec::new();
    numbers("", &summary["scores"], &mut lines);
    numbers("", &summary["parameters"], &mut lines);
    lines.concat()
}

/// Appends `name  number` for every number in `value`, deep ones with dotted names.
fn numbers(name: &str, value: &Value, lines: &mut Vec<String>) {
    match value {
        Value::Object(entries) => {
            for (key, value) in entries {
                let dot = if name.is_empty() { "" } else { "." };
                numbers(&format!("{name}{dot}{key}"), value, lines);
            }
        }
        Value::Number(number) if number.is_f64() => {
            lines.push(format!(
                "  {name}  {:.4}\n",
                number.as_f64().unwrap_or_default()
            ));
        }
        Value::Number(number) => lines.push(format!("  {name}  {number}\n")),
        _ => {}
    }
}
