//! Text written by models with random weights, against `transformers.generate` on the same folders: tokens a second
//! from the first prompt to the last text, without loading, on two threads.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use super::figures::{median, range, table};
use super::ours::{self, Built};
use super::{Findings, Options, folder};
use crate::cargo::{repository, run, show};

/// The peer's script, in the repository.
const SCRIPT: &str = "xtask/bench/peer_generate.py";
/// Runs of each side.
const RUNS: usize = 3;
/// Prompts of the script.
const PROMPTS: usize = 16;

/// One way of writing.
struct Case {
    /// Folder of the model, as the script names it, and the component that loads it.
    model: (&'static str, &'static str),
    batch: usize,
    beams: usize,
    new: usize,
    /// How many times the peer's speed is wanted.
    goal: f64,
}

const fn case(
    model: (&'static str, &'static str),
    batch: usize,
    beams: usize,
    new: usize,
    goal: f64,
) -> Case {
    Case {
        model,
        batch,
        beams,
        new,
        goal,
    }
}

const TINY: (&str, &str) = ("tiny", "gpt2");
const GPT2: (&str, &str) = ("gpt2", "gpt2");
const MARIAN: (&str, &str) = ("marian", "transformer");

const CASES: [Case; 10] = [
    case(TINY, 1, 1, 128, 2.0),
    case(TINY, 16, 1, 128, 2.0),
    case(TINY, 1, 4, 128, 2.0),
    case(TINY, 16, 4, 128, 2.0),
    case(GPT2, 1, 1, 48, 1.3),
    case(GPT2, 16, 1, 48, 1.3),
    case(GPT2, 1, 4, 48, 1.3),
    case(GPT2, 16, 4, 48, 1.3),
    case(MARIAN, 1, 4, 48, 2.0),
    case(MARIAN, 16, 4, 48, 2.0),
];

/// Times every case on both sides, in turn.
///
/// # Errors
/// No Python is named, a side fails, or the two did not write as many tokens.
pub fn measure(options: &Options, built: &Built) -> Result<Findings> {
    let Some(python) = options.python.as_deref() else {
        bail!("name a Python that has torch and transformers with --python");
    };
    let folder = folder(&repository()).join("generation");
    fs::create_dir_all(&folder).with_context(|| format!("creating {}", folder.display()))?;
    run(ours::shell(python).arg(SCRIPT).arg("make").arg(&folder))?;
    let mut rows = Vec::new();
    let mut raw = Vec::new();
    for case in &CASES {
        let (mut own, mut peers) = (Vec::new(), Vec::new());
        for _ in 0..RUNS {
            own.push(ours_of(built, &folder, case)?);
            peers.push(peer_of(python, &folder, case)?);
        }
        let figures = |runs: &[Figures], figure: fn(&Figures) -> f64| -> Vec<f64> {
            runs.iter().map(figure).collect()
        };
        let speed = |runs: &[Figures]| figures(runs, |run| run.tokens_per_s);
        let memory = |runs: &[Figures]| median(&figures(runs, |run| run.peak_rss_mib));
        let (a, b) = (speed(&own), speed(&peers));
        let times = median(&a) / median(&b);
        let what = format!(
            "{}, batch {}, {}",
            case.model.0,
            case.batch,
            if case.beams == 1 {
                "greedy".to_owned()
            } else {
                format!("beam {}", case.beams)
            }
        );
        println!(
            "{what}: {:.0} against {:.0} tokens/s, {times:.2} times",
            median(&a),
            median(&b)
        );
        rows.push(vec![
            what.clone(),
            format!("{:.0} ({})", median(&a), range(&a, 0)),
            format!("{:.0} ({})", median(&b), range(&b, 0)),
            format!("{times:.2} ×"),
            format!("≥ {:.1} ×", case.goal),
            format!("{:.0} / {:.0}", memory(&own), memory(&peers)),
        ]);
        raw.push(json!({"case": what, "tenon": a, "peer": b}));
    }
    let head = [
        "tokens/s, median (lowest–highest)",
        "tenon",
        "transformers",
        "ratio",
        "goal",
        "peak memory, MiB",
    ];
    Ok(Findings {
        text: table(&head, &rows),
        json: Value::Array(raw),
    })
}

/// What a run measured.
struct Figures {
    tokens_per_s: f64,
    peak_rss_mib: f64,
}

fn ours_of(built: &Built, folder: &Path, case: &Case) -> Result<Figures> {
    let (model, component) = case.model;
    let run_file = folder.join(format!("{model}.toml"));
    let text = format!(
        "[run]\ndevice = \"cpu\"\nthreads = 2\n\n[model]\nuse = \"{component}\"\npretrained = \"{}\"\n\n\
         [task]\nuse = \"text-generation\"\n\n[data]\ntest = \"{}\"\ncache = false\n\n\
         [[metrics]]\nuse = \"text-match\"\n\n[generation]\neos_token = []\n",
        folder.join(model).display(),
        folder.join("prompts.jsonl").display(),
    );
    fs::write(&run_file, text).with_context(|| format!("writing {}", run_file.display()))?;
    let mut command = ours::shell(&built.program("tenon"));
    command
        .args(["evaluate", "--quiet", "--json"])
        .arg(&run_file);
    command.arg("--model").arg(folder.join(model));
    for set in [
        format!("generation.batch_size={}", case.batch),
        format!("generation.num_beams={}", case.beams),
        format!("generation.max_new_tokens={}", case.new),
    ] {
        command.args(["--set", &set]);
    }
    let found = answer(command)?;
    let number = |key: &str| {
        let value = found[key].as_f64();
        value.with_context(|| format!("tenon evaluate told no {key}"))
    };
    let written = number("written_tokens")?;
    let expected = (case.new * PROMPTS) as f64;
    ensure!(
        (written - expected).abs() < 0.5,
        "{written} tokens were written instead of {expected}"
    );
    Ok(Figures {
        tokens_per_s: number("written_tokens_per_second")?,
        peak_rss_mib: number("peak_memory_bytes")? / f64::from(1 << 20),
    })
}

fn peer_of(python: &Path, folder: &Path, case: &Case) -> Result<Figures> {
    let mut command = ours::shell(python);
    command
        .arg(SCRIPT)
        .arg("run")
        .arg(folder.join(case.model.0));
    command.arg(folder.join("prompts.jsonl"));
    for (name, value) in [
        ("--batch", case.batch),
        ("--beams", case.beams),
        ("--new", case.new),
    ] {
        command.args([name, &value.to_string()]);
    }
    let found = answer(command)?;
    let number = |key: &str| {
        let value = found[key].as_f64();
        value.with_context(|| format!("{SCRIPT} told no {key}"))
    };
    Ok(Figures {
        tokens_per_s: number("tokens_per_s")?,
        peak_rss_mib: number("peak_rss_mib")?,
    })
}

/// What a command prints, which is JSON.
fn answer(mut command: std::process::Command) -> Result<Value> {
    let shown = show(&command);
    let output = command.output();
    let output = output.with_context(|| format!("starting `{shown}`"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("`{shown}` failed ({})\n{}", output.status, said.trim_end());
    }
    serde_json::from_slice(&output.stdout).with_context(|| format!("`{shown}` printed no figures"))
}
