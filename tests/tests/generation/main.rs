//! Texts that the built program writes with a small GPT-2, against those of `transformers`: 200 prompts under each
//! setting, token for token (`tests/fixtures/generation/make.py`).

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::{Map, Value};
use tenon_tests::{binary, repository};

fn fixtures() -> PathBuf {
    repository().join("tests/fixtures/generation")
}

/// What `tenon predict --log-probs` tells of every prompt, `[generation]` as given.
fn predicted(options: &Map<String, Value>) -> Vec<Value> {
    let output = predict(options, "");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{options:?}: {errors}");
    lines(&output)
}

fn lines(output: &Output) -> Vec<Value> {
    let text = std::str::from_utf8(&output.stdout).expect("UTF-8");
    let line = |line| serde_json::from_str(line).expect("JSON");
    text.lines().map(line).collect()
}

/// Runs `tenon predict --log-probs` with more tables in the run file.
fn predict(options: &Map<String, Value>, more: &str) -> Output {
    let folder = tempfile::tempdir().expect("a folder");
    let run_file = folder.path().join("run.toml");
    let text = r#"
[run]
device = "cpu"
threads = 1

[model]
use = "gpt2"

[task]
use = "text-generation"

[data]
train = "prompts.jsonl"
cache = false

[plugins]
paths = ["FOLDER/plugins"]
allow = ["gpt2", "text-generation", "text-metrics", "fixture-faults"]
"#;
    let library = format!(
        "{}tenon_fixture_faults{}",
        std::env::consts::DLL_PREFIX,
        std::env::consts::DLL_SUFFIX
    );
    let plugins = folder.path().join("plugins");
    fs::create_dir(&plugins).expect("a folder");
    let built = binary().with_file_name("deps").join(&library);
    fs::copy(&built, plugins.join(&library)).expect("cargo xtask test builds it");
    let prompts = fixtures().join("prompts.jsonl");
    let text = text.replace("prompts.jsonl", &prompts.display().to_string());
    let text = text.replace("FOLDER", &folder.path().display().to_string());
    fs::write(&run_file, text + more).expect("a run file");
    let mut command = Command::new(binary());
    command
        .args(["predict", "--quiet", "--log-probs"])
        .arg(&run_file);
    command.arg("--model").arg(fixtures().join("model"));
    command.arg("--input").arg(&prompts);
    for (key, value) in options {
        command.args(["--set", &format!("generation.{key}={value}")]);
    }
    command.output().expect("it starts")
}

/// The text of a prediction, or its texts.
fn texts(line: &Value) -> Value {
    match line["texts"].as_array() {
        Some(entries) => entries.iter().map(|entry| entry["text"].clone()).collect(),
        None => line["text"].clone(),
    }
}

#[test]
fn texts_are_those_of_transformers_token_for_token() {
    let mut seen = BTreeMap::new();
    for entry in fs::read_dir(fixtures().join("texts")).expect("fixtures") {
        let path = entry.expect("an entry").path();
        let file = fs::read_to_string(&path).expect("a fixture");
        let file: Value = serde_json::from_str(&file).expect("JSON");
        let options = file["options"].as_object().expect("options");
        let expected = file["texts"].as_array().expect("texts");
        let found = predicted(options);
        assert_eq!(found.len(), expected.len());
        let written = found.iter().zip(expected).enumerate();
        let other: Vec<String> = written
            .filter(|(_, (found, expected))| texts(found) != **expected)
            .map(|(at, (found, expected))| format!("prompt {at}: {found}, expected {expected}"))
            .collect();
        let name = path
            .file_stem()
            .expect("a name")
            .to_string_lossy()
            .into_owned();
        seen.insert(name, other);
    }
    assert_eq!(seen.len(), 17, "settings");
    let other: Vec<_> = seen.iter().filter(|(_, other)| !other.is_empty()).collect();
    for (name, other) in &other {
        println!(
            "{name}: {} of 200\n{}",
            other.len(),
            other[..other.len().min(3)].join("\n")
        );
    }
    assert!(other.is_empty());
}

#[test]
fn a_processor_of_a_plugin_changes_what_is_written() {
    let options = Map::from_iter([("max_new_tokens".to_owned(), Value::from(20))]);
    let table = "\n[[processors]]\nuse = \"faulty-processor\"\n";
    let has_padding = |lines: &[Value]| {
        let tokens = lines.iter().filter_map(|line| line["tokens"].as_array());
        tokens.flatten().any(|token| *token == 0)
    };
    // The model writes the padding token now and then; the plugin forbids it.
    assert!(has_padding(&predicted(&options)));
    let output = predict(&options, table);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let lines = lines(&output);
    assert!(lines.len() == 200 && !has_padding(&lines));

    let output = predict(&options, &format!("{table}panic_in = \"process\"\n"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(
        errors.contains("processor faulty-processor") && errors.contains("panicked: process"),
        "{errors}"
    );
}
