//! The quick start from end to end, on a slice: the commands of `cargo xtask demo` with the run
//! file and the model that it uses.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::Value;

use tenon_tests::repository;

use super::desk::Desk;
use super::files::{files, json, lines, scores, tensors};

const RUN_FILE: &str = "configs/quickstart.toml";
/// Parameters of MiniLM without a classifier.
const MINILM: usize = 22_713_216;
const TEXTS: [&str; 3] = [
    "A warm, funny film that never puts a foot wrong.",
    "Two hours of my life that I will not get back.",
    "It means well and bores to death.",
];

/// A trained quick start.
struct Trained {
    desk: Desk,
    folder: String,
    /// What `--json` printed.
    printed: Value,
    stderr: String,
}

fn train() -> Trained {
    let model = repository().join("models/all-MiniLM-L6-v2/model.safetensors");
    assert!(
        model.is_file(),
        "models/all-MiniLM-L6-v2 is not there; `cargo xtask test` fetches it before it tests"
    );
    let desk = Desk::at_the_repository();
    let place = format!("run.output_dir={:?}", desk.path("runs"));
    let fast = [
        "--profile",
        "fast",
        "--set",
        &place,
        "--set",
        "run.device=cpu",
        "--json",
    ];
    let outcome = desk.succeed(&[&["train", RUN_FILE], &fast[..]].concat());
    Trained {
        folder: desk.run("quickstart").display().to_string(),
        printed: serde_json::from_str(&outcome.stdout).expect("JSON"),
        stderr: desk.shown(&outcome.stderr),
        desk,
    }
}

#[test]
fn trains_evaluates_predicts_and_merges() {
    let trained = train();
    told(&trained);
    kept(&trained);
    summarised(&trained);
    evaluated(&trained);
    predicted(&trained);
    merged(&trained);
}

/// What a user sees where there is no terminal: a line for each entry of the log.
fn told(trained: &Trained) {
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.add_filter(r"\d+ of \d+ parameters", "N of ALL parameters");
    settings.add_filter(r"\(\d+\.\d+ %\)", "(SHARE %)");
    settings.add_filter(r"\d+ threads", "N threads");
    settings.add_filter(r"loss \d+\.\d+", "loss LOSS");
    settings.add_filter(r"lr \d\.\d+e-\d", "lr RATE");
    settings.add_filter(r"\d+ tokens/s  .* left", "SPEED tokens/s  TIME left");
    settings.add_filter(r"(accuracy|f1_macro) \d\.\d+", "$1 SCORE");
    settings.bind(|| insta::assert_snapshot!("quick_start", trained.stderr));
}

/// The run folder.
fn kept(trained: &Trained) {
    let folder = trained.desk.run("quickstart");
    let found = files(&folder);
    let names: Vec<_> = found.keys().map(String::as_str).collect();
    let expected = [
        ".lock",
        "adapter/adapter_config.json",
        "adapter/adapter_model.safetensors",
        "checkpoints/step-00000008/optimizer.safetensors",
        "checkpoints/step-00000008/state.json",
        "checkpoints/step-00000008/trainable.safetensors",
        "events.jsonl",
        "metrics.jsonl",
        "plugins.lock",
        "run.origins.toml",
        "run.toml",
        "state.json",
        "summary.json",
    ];
    assert_eq!(names, expected);

    let text = |name: &str| String::from_utf8_lossy(&found[name]).into_owned();
    // The profile is applied, and where each value comes from is told.
    assert!(text("run.toml").contains("\nmax_steps = 8\n"));
    assert!(!text("run.toml").contains("profile"));
    let origins = text("run.origins.toml");
    let origin = origins
        .lines()
        .find(|line| line.starts_with("max_steps = 8 "));
    assert!(
        origin.is_some_and(|line| line.contains("# configs/quickstart.toml:")),
        "{origins}"
    );
    let pins = text("plugins.lock");
    for plugin in ["bert", "classification", "classification-metrics", "lora"] {
        assert!(pins.contains(&format!("name = \"{plugin}\"\n")), "{pins}");
    }
    let pinned: Vec<_> = pins
        .lines()
        .filter_map(|line| line.strip_prefix("path = "))
        .collect();
    assert_eq!(pinned.len(), 4);
    for path in pinned {
        assert!(PathBuf::from(path.trim_matches('"')).is_file(), "{path}");
    }

    let log = lines(&folder.join("metrics.jsonl"));
    let steps: Vec<_> = log.iter().map(|entry| entry["step"].as_u64()).collect();
    assert_eq!(steps, [2, 4, 6, 8, 8].map(Some));
    assert_eq!(log[4]["split"], "validation");
    let events = lines(&folder.join("events.jsonl"));
    assert_eq!(events.len(), log.len());
    for (event, entry) in events.iter().zip(&log) {
        assert_eq!(event["loss"], entry["loss"]);
        assert!(event["time"].is_f64(), "{event}");
    }
}

fn summarised(run: &Trained) {
    let folder = run.desk.run("quickstart");
    let summary = json(&folder.join("summary.json"));
    assert_eq!(run.printed, summary);
    assert_eq!(summary["run"], "quickstart");
    assert_eq!(summary["seed"], 17);
    assert_eq!(summary["device"], "cpu");
    // What is trained is in the adapter: LoRA's matrices, and the new classifier.
    let adapter = folder.join("adapter/adapter_model.safetensors");
    let trained: usize = tensors(&adapter).values().map(Vec::len).sum();
    assert_eq!(summary["parameters"]["trainable"], trained);
    assert_eq!(summary["parameters"]["total"], MINILM + trained);
    let training = &summary["training"];
    assert_eq!(training["steps"], 8);
    assert_eq!(training["examples"], 8 * 16);
    assert_eq!(training["ended"], "finished");
    for (figures, names) in [
        (
            training,
            &[
                "loss",
                "tokens",
                "seconds",
                "examples_per_second",
                "tokens_per_second",
            ][..],
        ),
        (
            &summary["seconds"],
            &[
                "data",
                "model",
                "tokenization",
                "training",
                "evaluation",
                "export",
            ],
        ),
        (&summary, &["peak_memory_bytes", "total_seconds", "threads"]),
        (
            &summary["scores"]["test"],
            &["loss", "examples_per_second", "tokens_per_second"],
        ),
    ] {
        for name in names {
            let figure = figures[name].as_f64();
            assert!(
                figure.is_some_and(|figure| figure > 0.0),
                "{name}: {figure:?}"
            );
        }
    }
    for (split, examples) in [("validation", 110), ("test", 300)] {
        let found = &summary["scores"][split];
        assert_eq!(found["examples"], examples);
        let names: Vec<_> = scores(found).into_keys().collect();
        assert_eq!(names, ["accuracy", "f1_macro", "loss"]);
    }
}

fn evaluated(trained: &Trained) {
    let Trained { desk, folder, .. } = trained;
    let summary = &trained.printed["scores"];
    let found = desk.succeed(&["evaluate", folder, "--json"]).stdout;
    let found: Value = serde_json::from_str(&found).expect("JSON");
    assert_eq!(scores(&found), scores(&summary["test"]));

    let predictions = desk.path("predictions.jsonl").display().to_string();
    let arguments = [
        "evaluate",
        folder,
        "--split",
        "validation",
        "--predictions",
        &predictions,
    ];
    let table = desk.succeed(&arguments).stdout;
    assert!(table.starts_with("validation: 110 examples in "), "{table}");
    let accuracy = scores(&summary["validation"])["accuracy"];
    assert!(
        table.contains(&format!("accuracy                   {accuracy:.6}")),
        "{table}"
    );
    assert_eq!(lines(&desk.path("predictions.jsonl")).len(), 110);
}

/// Text, label and probabilities of each line that `tenon predict` writes.
fn predictions(text: &str) -> Vec<(String, BTreeMap<String, f64>)> {
    let read = |line: &str| {
        let line: Value = serde_json::from_str(line).expect("JSON");
        let probabilities = line["probabilities"].as_object().expect("probabilities");
        let probability =
            |(name, value): (&String, &Value)| (name.clone(), value.as_f64().expect("a number"));
        let probabilities: BTreeMap<_, _> = probabilities.iter().map(probability).collect();
        (
            line["label"].as_str().expect("a label").to_owned(),
            probabilities,
        )
    };
    text.lines().map(read).collect()
}

/// The same texts from the command line, from files and from standard input.
fn predicted(trained: &Trained) {
    let Trained { desk, folder, .. } = trained;
    let first = predictions(
        &desk
            .succeed(&[&["predict", folder], &TEXTS[..]].concat())
            .stdout,
    );
    assert_eq!(first.len(), TEXTS.len());
    for (label, probabilities) in &first {
        let names: Vec<_> = probabilities.keys().collect();
        assert_eq!(names, ["negative", "positive"]);
        let sum: f64 = probabilities.values().sum();
        assert!((sum - 1.0).abs() < 1e-6, "{probabilities:?}");
        let most = probabilities.values().copied().fold(0.0, f64::max);
        assert_eq!(probabilities[label], most);
    }
    let rows = TEXTS.map(|text| serde_json::json!({ "sentence": text }).to_string());
    let (plain, rows) = (TEXTS.join("\n") + "\n", rows.join("\n") + "\n");
    let plain_file = desk.write("texts.txt", &plain).display().to_string();
    let rows_file = desk.write("texts.jsonl", &rows).display().to_string();
    let others = [
        desk.succeed(&["predict", folder, "--input", &plain_file])
            .stdout,
        desk.succeed(&[
            "predict",
            folder,
            "--input",
            &rows_file,
            "--batch-size",
            "1",
        ])
        .stdout,
        desk.feed(&plain, &["predict", folder]).stdout,
        desk.feed(&rows, &["predict", folder, "--input", "-"])
            .stdout,
    ];
    for (number, other) in others.iter().enumerate() {
        let other = predictions(other);
        assert_eq!(other.len(), first.len(), "{number}");
        for ((label, found), (expected_label, expected)) in other.iter().zip(&first) {
            assert_eq!(label, expected_label, "{number}");
            for (name, probability) in found {
                assert!(
                    (probability - expected[name]).abs() < 1e-6,
                    "{number}: {found:?}"
                );
            }
        }
    }

    let output = desk.path("labels.jsonl").display().to_string();
    let arguments = [
        "--input",
        &rows_file,
        "--output",
        &output,
        "--keep-columns",
        "--top-k",
        "1",
    ];
    let written = desk.succeed(&[&["predict", folder], &arguments[..]].concat());
    assert_eq!(written.stdout, "");
    for (line, text) in lines(&desk.path("labels.jsonl")).iter().zip(TEXTS) {
        assert_eq!(line["sentence"], text);
        assert_eq!(
            line["probabilities"].as_object().map(|labels| labels.len()),
            Some(1)
        );
    }
}

fn merged(trained: &Trained) {
    let Trained { desk, folder, .. } = trained;
    let output = desk.path("merged").display().to_string();
    let told = desk.succeed(&["merge", folder, &output]).stdout;
    assert!(told.contains("(0.0e0 after undoing it)"), "{told}");
    let found = files(&desk.path("merged"));
    let names: Vec<_> = found.keys().map(String::as_str).collect();
    let expected = [
        "config.json",
        "model.safetensors",
        "special_tokens_map.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "vocab.txt",
    ];
    assert_eq!(names, expected);
    let weights = tensors(&desk.path("merged/model.safetensors"));
    assert!(weights.keys().all(|name| !name.contains("lora")));
    let count: usize = weights.values().map(Vec::len).sum();
    assert_eq!(count, MINILM + 2 * 384 + 2);

    // The model by itself scores as the adapter did.
    let arguments = ["evaluate", RUN_FILE, "--model", &output, "--json"];
    let found: Value = serde_json::from_str(&desk.succeed(&arguments).stdout).expect("JSON");
    let (found, expected) = (scores(&found), scores(&trained.printed["scores"]["test"]));
    for (name, value) in &expected {
        assert!(
            (found[name] - value).abs() < 1e-5,
            "{name}: {} for {value}",
            found[name]
        );
    }
    let error = desk.fail(1, &["merge", folder, &output]);
    assert!(error.contains("FOLDER/merged: exists already"), "{error}");
}
