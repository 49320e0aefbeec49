//! What it costs that plugins are opened at run time: the same training with linked ones, and
//! nanoseconds of a call.

use std::collections::BTreeMap;
use std::fs;
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::figures::{median, range, table};
use super::machine::{busy_cores, children_seconds};
use super::ours::{self, Built};
use super::{Findings, Options};
use crate::cargo::show;

/// Steps of a run unless `--max-steps` says otherwise.
const STEPS: u32 = 100;
/// The program that opens plugins, and the one that has them linked.
const PROGRAMS: [&str; 2] = ["tenon", "tenon-linked"];

/// One training.
#[derive(Clone, Debug, Serialize)]
struct Run {
    program: &'static str,
    examples_per_second: f64,
    /// Processor seconds of the whole process.
    cpu_seconds: Option<f64>,
    busy_cores_before: Option<f64>,
}

/// Trains with either program, in turn, and times calls.
///
/// # Errors
/// A run fails, or the two compute different bits.
pub fn measure(options: &Options, built: &Built) -> Result<Findings> {
    let options = Options {
        max_steps: options.max_steps.or(Some(STEPS)),
        ..options.clone()
    };
    let mut runs = Vec::new();
    for round in 0..=options.rounds {
        let mut programs = PROGRAMS;
        if round % 2 == 1 {
            programs.reverse();
        }
        for program in programs {
            let run = train(&options, built, program)?;
            let speed = run.examples_per_second;
            println!("round {round}: {program:<12} {speed:>6.1} examples/s");
            runs.push(run);
        }
        same_bits()?;
    }
    // The first round brings the files into memory.
    runs.drain(..PROGRAMS.len());
    let calls = calls(built)?;
    let text = format!(
        "{}\n{}",
        compare(&runs, options.max_steps.unwrap_or(STEPS)),
        calls.describe()
    );
    let json = json!({"runs": runs, "calls": calls});
    Ok(Findings { text, json })
}

fn train(options: &Options, built: &Built, program: &'static str) -> Result<Run> {
    let busy_cores_before = busy_cores();
    let mut command = ours::training(built, program, options, 0);
    // `tenon` sets these before it opens libtorch, which a program that is linked to it cannot.
    command.env("GOMP_SPINCOUNT", "100000");
    command.env("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "64");
    let before = children_seconds();
    let summary = ours::summary(&mut command, program)?;
    let speed = summary.pointer("/training/examples_per_second");
    Ok(Run {
        program,
        examples_per_second: speed
            .and_then(Value::as_f64)
            .context("summary.json tells no training speed")?,
        cpu_seconds: children_seconds().zip(before).map(|(now, then)| now - then),
        busy_cores_before,
    })
}

/// Checks that the latest runs of both programs ended with the same adapter.
fn same_bits() -> Result<()> {
    let [opened, linked] = PROGRAMS.map(|program| {
        let path = ours::run_folder(program).join("adapter/adapter_model.safetensors");
        fs::read(&path).with_context(|| format!("reading {}", path.display()))
    });
    ensure!(
        opened? == linked?,
        "opened and linked plugins computed different adapters"
    );
    Ok(())
}

fn compare(runs: &[Run], steps: u32) -> String {
    let of = |program: &str, figure: fn(&Run) -> Option<f64>| -> Vec<f64> {
        let those = runs.iter().filter(|run| run.program == program);
        those.filter_map(figure).collect()
    };
    let row = |what: &str, decimals: usize, figure: fn(&Run) -> Option<f64>| {
        let [opened, linked] = PROGRAMS.map(|program| of(program, figure));
        let cell = |values: &[f64]| {
            format!(
                "{:.decimals$} ({})",
                median(values),
                range(values, decimals)
            )
        };
        let percent = 100.0 * (median(&opened) / median(&linked) - 1.0);
        vec![
            what.to_owned(),
            cell(&opened),
            cell(&linked),
            format!("{percent:+.2} %"),
        ]
    };
    let rows = [
        row("training, examples/s", 1, |run| {
            Some(run.examples_per_second)
        }),
        row("processor seconds of the process", 2, |run| run.cpu_seconds),
    ];
    let head = ["median (lowest–highest)", "opened", "linked", "difference"];
    let rounds = runs.len() / PROGRAMS.len();
    table(&head, &rows)
        + &format!(
            "\n{rounds} runs of {steps} steps each, in turn; the adapters are bit-identical.\n"
        )
}

/// What `tenon-boundary` prints.
#[derive(Debug, Deserialize, Serialize)]
struct Calls {
    calls_ns: BTreeMap<String, Call>,
    scale_ns: BTreeMap<String, f64>,
    open_ms: BTreeMap<String, f64>,
}

#[derive(Debug, Deserialize, Serialize)]
struct Call {
    direct: f64,
    linked: f64,
    opened: f64,
}

fn calls(built: &Built) -> Result<Calls> {
    let mut command = ours::shell(&built.program("tenon-boundary"));
    command.arg(built.noop()).args(built.plugin_libraries());
    let shown = show(&command);
    let output = command.stderr(Stdio::inherit()).output();
    let output = output.with_context(|| format!("starting `{shown}`"))?;
    ensure!(
        output.status.success(),
        "`{shown}` failed ({})",
        output.status
    );
    serde_json::from_slice(&output.stdout).with_context(|| format!("`{shown}` printed no figures"))
}

impl Calls {
    fn describe(&self) -> String {
        let rows = self.calls_ns.iter().map(|(what, call)| {
            let figures = [
                call.direct,
                call.linked,
                call.opened,
                call.opened - call.direct,
            ];
            let figures = figures.iter().map(|figure| format!("{figure:.0}"));
            std::iter::once(what.clone()).chain(figures).collect()
        });
        let rows: Vec<Vec<String>> = rows.collect();
        let head = [
            "nanoseconds a call",
            "method",
            "linked",
            "opened",
            "opened − method",
        ];
        let scale = self
            .scale_ns
            .iter()
            .map(|(what, figure)| format!("to {what}: {figure:.0} ns"));
        let open = self
            .open_ms
            .iter()
            .map(|(what, figure)| format!("{what} {figure:.1}"));
        format!(
            "{}\nFor scale, {}.\n\nMilliseconds to open a plugin, libtorch being there: {}.\n",
            table(&head, &rows),
            scale.collect::<Vec<_>>().join("; "),
            open.collect::<Vec<_>>().join(", ")
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_difference_is_that_of_the_medians() {
        let run = |program, examples_per_second| Run {
            program,
            examples_per_second,
            cpu_seconds: Some(10.0),
            busy_cores_before: None,
        };
        let runs = [run("tenon", 199.0), run("tenon-linked", 200.0)];
        let text = compare(&runs, 50);
        let line = "| training, examples/s | 199.0 (199.0–199.0) | 200.0 (200.0–200.0) | -0.50 % |";
        assert!(text.contains(line), "{text}");
        assert!(text.contains("1 runs of 50 steps"), "{text}");
    }

    #[test]
    fn calls_are_a_table() {
        let calls = r#"{
            "calls_ns": {"model forward, 1 tensor": {"direct": 40.2, "linked": 99.0, "opened": 100.6}},
            "scale_ns": {"share a tensor and free it": 20.0},
            "open_ms": {"tenon_bert": 0.52}
        }"#;
        let calls: Calls = serde_json::from_str(calls).expect("figures");
        let text = calls.describe();
        assert!(
            text.contains("| model forward, 1 tensor | 40 | 99 | 101 | 60 |"),
            "{text}"
        );
        assert!(
            text.contains("libtorch being there: tenon_bert 0.5."),
            "{text}"
        );
    }
}
