//! Metrics on 100 000 examples: `tenon score`, from start to end of the process, against the
//! function of the Python package that each equals, from lines in memory to the score.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Map, Value, json};

use super::figures::{median, range, table};
use super::{Findings, Options, folder, ours};
use crate::cargo::{cargo, repository, run, show};
use crate::platform::Os;

/// The peers' script, in the repository.
const SCRIPT: &str = "xtask/bench/peer_metrics.py";
/// Packages of plugins with the metrics of [`ROWS`].
const PACKAGES: [&str; 4] = [
    "tenon-translation-metrics",
    "tenon-text-metrics",
    "tenon-question-answering-metrics",
    "tenon-code-metrics",
];

/// A metric, and what it is held against.
#[derive(Clone, Copy)]
struct Row {
    /// As `tenon score` takes it.
    metric: &'static str,
    /// The peer's name in the script.
    peer: &'static str,
    data: Data,
    /// Whether it should be [`GOAL`] times as fast: the peer is written in Python.
    has_goal: bool,
}

/// What is scored.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Data {
    /// Lines of text, predicted and right ones.
    Pairs,
    /// Lines of text that are looked at alone.
    Lines,
    /// A sum of log-likelihoods for each example, with its tokens and bytes.
    Sums,
    /// Functions of a programming language.
    Code(&'static str),
}

const ROWS: [Row; 17] = [
    Row {
        data: Data::Lines,
        ..text("distinct", "distinct")
    },
    Row {
        data: Data::Lines,
        ..text("repetition", "repetition")
    },
    Row {
        metric: "perplexity",
        peer: "perplexity",
        data: Data::Sums,
        has_goal: true,
    },
    text(
        "text-match,ignore_case=true,ignore_punctuation=true",
        "exact-match",
    ),
    native("edit-similarity", "edit-similarity"),
    native("edit-similarity,similarity=ratio", "edit-ratio"),
    text("squad", "squad"),
    text("bleu", "bleu"),
    text("bleu,tokenize=intl", "bleu-intl"),
    text("chrf", "chrf"),
    text("rouge", "rouge"),
    text("rouge,use_stemmer=true", "rouge-stemmer"),
    text("ter", "ter"),
    text("chrf,word_order=2", "chrf++"),
    code("codebleu,lang=python", "codebleu-python", "python"),
    code("codebleu,lang=java", "codebleu-java", "java"),
    code("codebleu,lang=c_sharp", "codebleu-c_sharp", "c_sharp"),
];
/// Runs of each side.
const RUNS: usize = 3;
/// Seconds after which a peer is not run again: what takes so long varies little.
const ENOUGH: f64 = 20.0;
/// How many times faster than Python each should be.
const GOAL: f64 = 20.0;
/// Decimals to which scores must be the same.
const DECIMALS: usize = 8;

const fn text(metric: &'static str, peer: &'static str) -> Row {
    Row {
        metric,
        peer,
        data: Data::Pairs,
        has_goal: true,
    }
}

const fn native(metric: &'static str, peer: &'static str) -> Row {
    let row = text(metric, peer);
    Row {
        has_goal: false,
        ..row
    }
}

const fn code(metric: &'static str, peer: &'static str, language: &'static str) -> Row {
    Row {
        metric,
        peer,
        data: Data::Code(language),
        has_goal: true,
    }
}

impl Data {
    /// The file of predictions, and that of references where there is one.
    fn files(self) -> (String, Option<String>) {
        match self {
            Self::Pairs => ("pred.txt".to_owned(), Some("ref.txt".to_owned())),
            Self::Lines => ("pred.txt".to_owned(), None),
            Self::Sums => ("sums.jsonl".to_owned(), None),
            Self::Code(language) => {
                let file = |side: &str| format!("{language}.{side}.jsonl");
                (file("pred"), Some(file("ref")))
            }
        }
    }
}

/// Times each metric and its peer in turn.
///
/// # Errors
/// Files or a Python are not named, a side fails, or the scores differ.
pub fn measure(options: &Options) -> Result<Findings> {
    let Some(python) = options.python.as_deref() else {
        bail!("name a Python that has the metrics of xtask/bench/requirements.txt with --python");
    };
    ensure!(
        !options.lines.is_empty(),
        "name files of lines with --lines"
    );
    let release = build()?;
    let sides = Sides {
        program: release.join(Os::HERE.program("tenon")),
        python,
        folder: folder(&repository()).join("metrics"),
    };
    make(&sides, options)?;
    let mut rows = Vec::new();
    let mut all = Map::new();
    for row in ROWS {
        if matches!(row.data, Data::Code(_)) && options.code.is_empty() {
            println!("{}: left out without --code", row.metric);
            continue;
        }
        let timed = sides.time(row)?;
        println!(
            "{}: {:.3} against {:.2} s, {:.1} times as fast as {}",
            row.metric,
            median(&timed.ours),
            median(&timed.theirs),
            timed.times(),
            timed.version
        );
        rows.push(timed.cells(row));
        all.insert(
            row.metric.to_owned(),
            json!({"seconds": timed.ours, "peer": timed.theirs}),
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
fn build() -> Result<PathBuf> {
    let (_, target) = crate::cargo::plugins()?;
    let mut command = cargo();
    command.args(["build", "--release", "--package", "tenon"]);
    for package in PACKAGES {
        command.args(["--package", package]);
    }
    run(&mut command)?;
    Ok(target.join("release"))
}

/// Writes the examples, the same ones each time.
fn make(sides: &Sides<'_>, options: &Options) -> Result<()> {
    let folder = &sides.folder;
    std::fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
    let mut make = ours::shell(sides.python);
    make.arg(SCRIPT).arg("make").arg(folder);
    run(make.args(&options.lines).args(&options.code))
}

/// What is timed.
struct Sides<'a> {
    program: PathBuf,
    python: &'a Path,
    folder: PathBuf,
}

/// Seconds of both sides.
struct Timed {
    ours: Vec<f64>,
    theirs: Vec<f64>,
    version: String,
}

impl Timed {
    /// How many times as fast we are.
    fn times(&self) -> f64 {
        median(&self.theirs) / median(&self.ours)
    }

    /// A line of the table.
    fn cells(&self, row: Row) -> Vec<String> {
        let goal = match row.has_goal {
            true => format!("≥ {GOAL:.0}"),
            false => "–".to_owned(),
        };
        vec![
            format!("`{}`", row.metric),
            format!("{:.3}", median(&self.ours)),
            range(&self.ours, 3),
            self.version.clone(),
            format!("{:.2}", median(&self.theirs)),
            range(&self.theirs, 2),
            format!("{:.1}", self.times()),
            goal,
        ]
    }
}

impl Sides<'_> {
    /// Times both sides in turn, and holds their scores against each other.
    fn time(&self, row: Row) -> Result<Timed> {
        let mut timed = Timed {
            ours: Vec::new(),
            theirs: Vec::new(),
            version: String::new(),
        };
        for _ in 0..RUNS {
            let (scores, seconds) = self.score(row)?;
            timed.ours.push(seconds);
            if timed.theirs.iter().sum::<f64>() < ENOUGH {
                let found = self.peer(row.peer)?;
                compare(row.metric, &scores, &found["scores"])?;
                let seconds = found["seconds"].as_f64();
                timed.theirs.push(seconds.unwrap_or(f64::NAN));
                let version = found["version"].as_str();
                version.unwrap_or_default().clone_into(&mut timed.version);
            }
        }
        Ok(timed)
    }

    fn peer(&self, peer: &str) -> Result<Value> {
        let mut command = ours::shell(self.python);
        command.arg(SCRIPT).arg("time").arg(&self.folder).arg(peer);
        let (output, shown) = output(&mut command)?;
        serde_json::from_slice(&output).with_context(|| format!("`{shown}` printed no figures"))
    }

    /// The scores, and the seconds of the whole process.
    fn score(&self, row: Row) -> Result<(Value, f64)> {
        let (predictions, references) = row.data.files();
        let mut command = ours::shell(&self.program);
        command.args(["score", "--json", "--metric", row.metric]);
        command.arg(self.folder.join(predictions));
        if let Some(references) = references {
            command
                .arg("--references")
                .arg(self.folder.join(references));
        }
        let began = Instant::now();
        let (output, shown) = output(&mut command)?;
        let taken = began.elapsed().as_secs_f64();
        let mut found: Value = serde_json::from_slice(&output)
            .with_context(|| format!("`{shown}` printed no scores"))?;
        Ok((found["systems"][0]["scores"].take(), taken))
    }
}

/// Holds what the peer found, by name, against our scores.
fn compare(metric: &str, ours: &Value, theirs: &Value) -> Result<()> {
    let theirs = theirs.as_object().filter(|scores| !scores.is_empty());
    for (name, expected) in theirs.with_context(|| format!("no score of {metric}'s peer"))? {
        let mut all = ours.as_array().into_iter().flatten();
        let found = all.find(|score| score["name"] == *name);
        let found = found.and_then(|score| score["value"].as_f64());
        let found = found.with_context(|| format!("{metric} has no score {name}"))?;
        let expected = expected.as_f64().unwrap_or(f64::NAN);
        let shown = |score: f64| format!("{score:.DECIMALS$}");
        ensure!(
            shown(found) == shown(expected),
            "{metric}: {name} is {found}, its peer's {expected}"
        );
    }
    Ok(())
}

/// What a program prints, and the command line as a user would write it.
fn output(command: &mut Command) -> Result<(Vec<u8>, String)> {
    let shown = show(command);
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
    Ok((output.stdout, shown))
}
