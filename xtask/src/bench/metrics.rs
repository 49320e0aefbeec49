//! Metrics on 100 000 lines: `tenon score`, from start to end of the process, against the function
//! of the Python package that each equals, from lines in memory to the score.

use std::path::Path;
use std::process::Stdio;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use super::figures::{median, range, table};
use super::{Findings, Options, folder, ours};
use crate::cargo::{cargo, repository, run, show};
use crate::platform::Os;

/// The peers' script, in the repository.
const SCRIPT: &str = "xtask/bench/peer_metrics.py";
/// Packages of plugins with the metrics of [`METRICS`].
const PACKAGES: [&str; 3] = [
    "tenon-translation-metrics",
    "tenon-text-metrics",
    "tenon-question-answering-metrics",
];
/// A metric as `tenon score` takes it, its peer in the script, and the decimals to which their
/// scores must be the same.
const METRICS: [(&str, &str, usize); 11] = [
    ("bleu", "bleu", 8),
    ("bleu,tokenize=intl", "bleu-intl", 8),
    ("chrf", "chrf", 8),
    ("chrf,word_order=2", "chrf++", 8),
    ("ter", "ter", 8),
    ("rouge", "rouge", 8),
    ("rouge,use_stemmer=true", "rouge-stemmer", 8),
    (
        "text-match,ignore_case=true,ignore_punctuation=true",
        "exact-match",
        8,
    ),
    ("distinct", "distinct", 8),
    ("repetition", "repetition", 8),
    ("squad", "squad", 8),
];
/// Runs of each side.
const RUNS: usize = 3;
/// How many times faster each should be.
const GOAL: f64 = 20.0;

/// Times each metric and its peer in turn.
///
/// # Errors
/// Files or a Python are not named, a side fails, or the scores differ.
pub fn measure(options: &Options) -> Result<Findings> {
    let Some(python) = options.python.as_deref() else {
        bail!("name a Python that has sacrebleu and rouge-score with --python");
    };
    ensure!(
        !options.lines.is_empty(),
        "name files of lines with --lines"
    );
    let release = build()?;
    let folder = folder(&repository()).join("metrics");
    std::fs::create_dir_all(&folder).with_context(|| format!("creating {}", folder.display()))?;
    let mut make = ours::shell(python);
    make.arg(SCRIPT).arg("make").arg(&folder);
    run(make.args(&options.lines))?;
    let mut rows = Vec::new();
    let mut all = serde_json::Map::new();
    for (metric, peer, decimals) in METRICS {
        let (mut seconds, mut theirs) = (Vec::new(), Vec::new());
        let mut version = String::new();
        for _ in 0..RUNS {
            let found = time_peer(python, &folder, peer)?;
            let (score, taken) =
                time_ours(&release.join(Os::HERE.program("tenon")), &folder, metric)?;
            let expected = found["score"].as_f64().unwrap_or(f64::NAN);
            let shown = |score: f64| format!("{score:.decimals$}");
            ensure!(
                shown(score) == shown(expected),
                "{metric} is {score}, its peer {expected}"
            );
            seconds.push(taken);
            theirs.push(found["seconds"].as_f64().unwrap_or(f64::NAN));
            found["version"]
                .as_str()
                .unwrap_or_default()
                .clone_into(&mut version);
        }
        let times = median(&theirs) / median(&seconds);
        println!("{metric}: {times:.0} times as fast as {version}");
        rows.push(vec![
            format!("`{metric}`"),
            format!("{:.2}", median(&seconds)),
            range(&seconds, 2),
            version,
            format!("{:.1}", median(&theirs)),
            range(&theirs, 1),
            format!("{times:.0}"),
            format!("≥ {GOAL:.0}"),
        ]);
        all.insert(
            metric.to_owned(),
            json!({"seconds": seconds, "peer": theirs}),
        );
    }
    let head = [
        "metric",
        "seconds",
        "lowest–highest",
        "peer",
        "its seconds",
        "lowest–highest",
        "times",
        "goal",
    ];
    Ok(Findings {
        text: table(&head, &rows),
        json: Value::Object(all),
    })
}

/// Builds the program and the metrics; the folder that they are in.
fn build() -> Result<std::path::PathBuf> {
    let (_, target) = crate::cargo::plugins()?;
    let mut command = cargo();
    command.args(["build", "--release", "--package", "tenon"]);
    for package in PACKAGES {
        command.args(["--package", package]);
    }
    run(&mut command)?;
    Ok(target.join("release"))
}

fn time_peer(python: &Path, folder: &Path, peer: &str) -> Result<Value> {
    let mut command = ours::shell(python);
    command.arg(SCRIPT).arg("time").arg(folder).arg(peer);
    let shown = show(&command);
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output();
    let output = output.with_context(|| format!("starting `{shown}`"))?;
    ensure!(
        output.status.success(),
        "`{shown}` failed ({})",
        output.status
    );
    serde_json::from_slice(&output.stdout).with_context(|| format!("`{shown}` printed no figures"))
}

/// The score, and the seconds of the whole process.
fn time_ours(program: &Path, folder: &Path, metric: &str) -> Result<(f64, f64)> {
    let mut command = ours::shell(program);
    command.args(["score", "--json", "--metric", metric, "--references"]);
    command
        .arg(folder.join("ref.txt"))
        .arg(folder.join("pred.txt"));
    let shown = show(&command);
    let began = Instant::now();
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output();
    let taken = began.elapsed().as_secs_f64();
    let output = output.with_context(|| format!("starting `{shown}`"))?;
    ensure!(
        output.status.success(),
        "`{shown}` failed ({})",
        output.status
    );
    let found: Value = serde_json::from_slice(&output.stdout)
        .with_context(|| format!("`{shown}` printed no scores"))?;
    let score = found["systems"][0]["scores"][0]["value"].as_f64();
    Ok((
        score.with_context(|| format!("`{shown}` printed no score"))?,
        taken,
    ))
}
