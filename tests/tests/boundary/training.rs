//! A fault of a plugin while the engine trains with it: the run fails and says why, the process
//! ends as documented.

use std::path::Path;

use super::program::{Outcome, Program, snapshot};

const RUN: &str = r#"
[run]
name = "x"
device = "cpu"
threads = 1

[model]
use = "bert"
pretrained = "FIXTURES/bert/gelu"

[tokenizer]
path = "FIXTURES/runs/tokenizer.json"

[task]
TASK

[data]
train = "train.jsonl"
validation = { split = 0.5 }

[[metrics]]
METRIC

[train]
max_steps = 2
batch_size = 2
learning_rate = 1e-3
"#;

const TASK: &str = "use = \"classification\"\ntext = \"text\"\nlabel = \"label\"";
const METRIC: &str = "use = \"hits\"";

fn train(task: &str, metric: &str) -> (Program, Outcome) {
    let program = Program::new().with_engine();
    for package in ["tenon-bert", "tenon-classification"] {
        program.install_package(package, "plugins");
    }
    for fixture in ["faults", "plain"] {
        program.install(fixture, "plugins");
    }
    let rows = (0..16).map(|row| {
        let label = ["bad", "good"][row % 2];
        format!("{{\"text\": \"a {label} film\", \"label\": \"{label}\"}}\n")
    });
    program.write("train.jsonl", rows.collect::<String>());
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    let run = RUN
        .replace("FIXTURES", &fixtures.to_string_lossy().replace('\\', "/"))
        .replace("TASK", task)
        .replace("METRIC", metric);
    program.write("run.toml", run);
    let arguments = ["train", "run.toml", "--quiet", "--plugin-dir", "plugins"];
    let outcome = program.run(&arguments);
    (program, outcome)
}

#[test]
fn plugins_that_are_opened_train_together() {
    let (program, outcome) = train(TASK, METRIC);
    assert_eq!(outcome.code, Some(0), "{}", program.shown(&outcome));
    let summary = program.folder().join("runs/x/summary.json");
    let summary = std::fs::read_to_string(summary).expect("a summary");
    assert!(summary.contains("hits"), "{summary}");
}

#[test]
fn a_fault_while_training_is_said_and_ends_the_run() {
    let metric = |fault: &str| format!("use = \"faulty-metric\"\n{fault}");
    let task = |fault: &str| format!("use = \"faulty-task\"\n{fault}");
    let mut shown = Vec::new();
    for (what, task, metric) in [
        (
            "a metric panics on another thread or this one",
            TASK.to_owned(),
            metric("panic_in = \"update\""),
        ),
        (
            "a metric panics at the end",
            TASK.to_owned(),
            metric("panic_in = \"compute\""),
        ),
        (
            "a metric fails",
            TASK.to_owned(),
            metric("fail_in = \"update\""),
        ),
        (
            "a task panics while records are encoded",
            task("panic_in = \"encode\""),
            METRIC.to_owned(),
        ),
        (
            "a task panics before anything is loaded",
            task("panic_in = \"describe\""),
            METRIC.to_owned(),
        ),
    ] {
        let (program, outcome) = train(&task, &metric);
        assert_eq!(outcome.code, Some(1), "{what}: {}", program.shown(&outcome));
        shown.push(format!("{what}:\n{}", program.shown(&outcome)));
    }
    snapshot("faults_while_training", &shown.join("\n\n"));
}
