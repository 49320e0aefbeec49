//! Plugins linked into a program compute bit for bit what plugins opened at run time do.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

fn fixture(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures");
    folder.join(name).canonicalize().expect("a fixture")
}

/// `tenon`, which lies beside the program with linked plugins once all is built.
fn opening() -> PathBuf {
    let linked = Path::new(env!("CARGO_BIN_EXE_tenon-linked"));
    let program = linked.with_file_name(format!("tenon{}", std::env::consts::EXE_SUFFIX));
    assert!(
        program.is_file(),
        "{} is not built; `cargo xtask test` builds what its tests open",
        program.display()
    );
    program
}

fn write_data(folder: &Path) {
    let texts = [
        "a fine film",
        "the plot was dull",
        "great music",
        "bad ending, but not long",
    ];
    let rows = (0..24).map(|row| {
        let label = if row % 4 < 2 { "no" } else { "yes" };
        json!({"text": texts[row % 4..=(row % 4).max(row / 8)].join(" "), "label": label})
    });
    let text: String = rows.map(|row| format!("{row}\n")).collect();
    fs::write(folder.join("train.jsonl"), text).expect("a file");
}

/// A run with dropout, shuffling, two threads, a last batch that is short, and an evaluation.
fn write_run_file(folder: &Path) {
    let (bert, tokenizer) = (fixture("bert/gelu"), fixture("peft/tokenizer.json"));
    let text = format!(
        r#"
[run]
seed = 3
device = "cpu"
threads = 2
[model]
use = "bert"
pretrained = {bert:?}
[tokenizer]
path = {tokenizer:?}
[task]
use = "classification"
[data]
train = "train.jsonl"
validation = {{ split = 0.25 }}
cache = false
[peft]
use = "lora"
r = 4
lora_dropout = 0.1
target_sites = ["query", "value"]
[[metrics]]
use = "accuracy"
[train]
epochs = 3
batch_size = 4
learning_rate = 0.02
log_every = 1
"#
    );
    fs::write(folder.join("run.toml"), text).expect("a run file");
}

/// Trains with `program`, and returns the run's folder.
fn train(program: &Path, folder: &Path, name: &str) -> PathBuf {
    let mut command = Command::new(program);
    let command = command.current_dir(folder).args(["train", "run.toml"]);
    let command = command.args(["--set", &format!("run.name={name}")]);
    let output = command.output().expect("it starts");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{name}: {}\n{errors}",
        output.status
    );
    folder.join("runs").join(name)
}

fn scores(run: &Path) -> Value {
    let text = fs::read_to_string(run.join("summary.json")).expect("a summary");
    let summary: Value = serde_json::from_str(&text).expect("JSON");
    let validation = &summary["scores"]["validation"];
    json!([
        validation["loss"],
        validation["scores"],
        summary["training"]["loss"]
    ])
}

#[test]
fn linked_plugins_compute_the_same_bits_as_opened_ones() {
    let folder = TempDir::new().expect("a folder");
    write_data(folder.path());
    write_run_file(folder.path());
    let opened = train(&opening(), folder.path(), "opened");
    let linked = Path::new(env!("CARGO_BIN_EXE_tenon-linked"));
    let linked = train(linked, folder.path(), "linked");
    for file in ["metrics.jsonl", "adapter/adapter_model.safetensors"] {
        let bytes = |run: &Path| fs::read(run.join(file)).expect("a file of the run");
        assert!(!bytes(&opened).is_empty(), "{file}");
        assert!(bytes(&opened) == bytes(&linked), "{file} differs");
    }
    assert_eq!(scores(&opened), scores(&linked));
    assert!(scores(&opened)[2].as_f64().is_some_and(f64::is_finite));
    // It is no test if both opened libraries.
    let pins = |run: &Path| fs::read_to_string(run.join("plugins.lock")).expect("the pins");
    assert!(pins(&opened).contains("sha256"), "{}", pins(&opened));
    assert!(!pins(&linked).contains("sha256"), "{}", pins(&linked));
}
