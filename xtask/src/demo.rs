//! `cargo xtask demo`: from nothing to a fine-tuned model and its predictions.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::cache::Cache;
use crate::cargo::{cargo, from_shell, plugins, repository, run, show};
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
    println!("model in {}", model.display());
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
    let set_name = format!("run.name={name}");
    let run_folder = Path::new("runs").join(name).display().to_string();
    let start = Instant::now();
    let mut train = from_shell(&tenon);
    train.args(["train", RUN_FILE, "--overwrite", "--set", &set_name]);
    if fast {
        train.args(["--profile", "fast"]);
    }
    perform(&mut train)?;
    let trained = start.elapsed();

    let mut evaluate = from_shell(&tenon);
    perform(evaluate.args(["evaluate", &run_folder]))?;
    let mut predict = from_shell(&tenon);
    predict.args(["predict", &run_folder]).args(SENTENCES);
    perform(&mut predict)?;

    heading("what it learnt");
    print!("{}", learnt(&repository.join(&run_folder))?);
    println!(
        "  seconds     set-up {:.1}, build {:.1}, train {:.1}",
        prepared.as_secs_f64(),
        built.as_secs_f64(),
        trained.as_secs_f64()
    );
    println!("  run folder  {run_folder}");
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

/// Shows a command as the user would type it, and runs it.
fn perform(command: &mut Command) -> Result<()> {
    heading(&format!("$ {}", show(command)));
    run(command)
}

fn heading(text: &str) {
    println!("\n── {text}");
}

/// What the demo shows of a run's `summary.json`.
#[derive(Deserialize)]
struct Summary {
    parameters: Parameters,
    training: Training,
    scores: BTreeMap<String, Evaluation>,
}

#[derive(Deserialize)]
struct Parameters {
    trainable: u64,
    total: u64,
}

#[derive(Deserialize)]
struct Training {
    steps: u64,
    seconds: f64,
    examples_per_second: f64,
}

#[derive(Deserialize)]
struct Evaluation {
    examples: u64,
    scores: Vec<Score>,
}

#[derive(Deserialize)]
struct Score {
    name: String,
    value: Option<f64>,
}

/// The final scores and what was trained, from the run's summary.
fn learnt(folder: &Path) -> Result<String> {
    let path = folder.join("summary.json");
    let read = || -> Result<Summary> { Ok(serde_json::from_str(&fs::read_to_string(&path)?)?) };
    let summary = read().with_context(|| format!("reading {}", path.display()))?;
    Ok(describe(&summary))
}

/// A line for the training, and one for each part of the data that was held out.
fn describe(summary: &Summary) -> String {
    let Parameters { trainable, total } = summary.parameters;
    let Training {
        steps,
        seconds,
        examples_per_second,
    } = summary.training;
    let percent = 100.0 * trainable as f64 / total.max(1) as f64;
    let mut text = format!(
        "  trained     {trainable} of {total} parameters ({percent:.2} %), {steps} steps in \
         {seconds:.1} s, {examples_per_second:.0} examples/s\n"
    );
    for (split, evaluation) in &summary.scores {
        let scores = evaluation.scores.iter().map(|score| match score.value {
            Some(value) => format!("{} {value:.4}", score.name),
            None => format!("{} undefined", score.name),
        });
        let scores = scores.collect::<Vec<_>>().join(", ");
        text += &format!(
            "  {split:<10}  {scores} on {} examples\n",
            evaluation.examples
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_is_told_in_a_line_for_each_split() {
        let summary = r#"{
            "run": "quickstart",
            "parameters": {"trainable": 74496, "total": 22787714},
            "training": {"steps": 186, "loss": 0.3, "seconds": 31.25, "examples_per_second": 95.04},
            "scores": {
                "validation": {"loss": 0.4, "examples": 110, "scores": [{"name": "accuracy", "value": 0.8}]},
                "test": {"examples": 300, "scores": [
                    {"metric": "accuracy", "name": "accuracy", "value": 0.863333, "unit": "fraction"},
                    {"metric": "f1", "name": "f1_macro", "value": null}
                ]}
            }
        }"#;
        let summary: Summary = serde_json::from_str(summary).expect("a summary");
        let expected = "  trained     74496 of 22787714 parameters (0.33 %), 186 steps in 31.2 s, \
                        95 examples/s\n  \
                        test        accuracy 0.8633, f1_macro undefined on 300 examples\n  \
                        validation  accuracy 0.8000 on 110 examples\n";
        assert_eq!(describe(&summary), expected);
    }
}
