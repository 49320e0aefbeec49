//! `tenon check` and `tenon config`.

use insta::assert_snapshot;

use super::place::Place;

const RUN: &str = r#"# tenon train run.toml
[model]
use = "bert"
pretrained = "models/minilm"

[task]
use = "classification"
text = "message"
label = "label"

[data]
train = "data/train.jsonl"
validation = { split = 0.1 }

[peft]
use = "lora"
target_sites = ["query", "value"]

[[metrics]]
use = "f1"
average = "macro"

[train]
epochs = 2
learning_rate = 2e-4

[profile.short.train]
epochs = 1
"#;

/// A folder with a model's configuration, data and `run.toml`.
pub fn place(run_file: &str) -> Place {
    Place::with_all_plugins()
        .file("run.toml", run_file)
        .file("models/minilm/config.json", "{\"model_type\": \"bert\"}\n")
        .file(
            "data/train.jsonl",
            "{\"message\": \"you have won\", \"label\": \"spam\"}\n{\"message\": \"see you\", \"label\": \"ham\"}\n",
        )
}

#[test]
fn a_run_file_resolved() {
    let call = place(RUN).tenon("check run.toml --profile short --set peft.r=16");
    assert_snapshot!(call.shown());
}

#[test]
fn a_run_file_resolved_as_json() {
    let found = place(RUN)
        .tenon("check run.toml --json --set 'peft.r=16'")
        .json();
    assert_eq!(found["file"], "run.toml");
    assert_eq!(found["settings"]["peft"]["options"]["r"], 16);
    assert_eq!(found["settings"]["train"]["length"]["epochs"], 2);
}

#[test]
fn every_fault_at_once() {
    let text = RUN
        .replace("use = \"bert\"", "use = \"bret\"")
        .replace("text = \"message\"", "text = \"mesage\"")
        .replace("target_sites", "target_modules")
        .replace("average = \"macro\"", "average = \"marco\"")
        .replace("epochs = 2", "epoch = 2")
        .replace("data/train.jsonl", "data/trian.jsonl");
    let place = place(&text);
    let calls = [
        place.tenon("check run.toml --set train.learning_rate=fast"),
        place.tenon("check run.toml --json --set train.learning_rate=fast"),
    ];
    assert_snapshot!(calls.map(|call| call.shown()).join("\n"));
}

#[test]
fn files_that_are_no_run_files() {
    let place = Place::with(&[])
        .file("data/train.jsonl", "{}\n")
        .file("broken.toml", "[model\nuse = \"bert\"\n");
    let calls = [
        place.tenon("check run.toml"),
        place.tenon("check data"),
        place.tenon("check data/train.jsonl"),
        place.tenon("check broken.toml"),
        place.tenon("check"),
    ];
    assert_snapshot!(calls.map(|call| call.shown()).join("\n"));
}

#[test]
fn the_schema_has_the_options_of_the_plugins() {
    let schema = place(RUN).tenon("config schema").json();
    let text = schema.to_string();
    for word in [
        "\"lora_alpha\"",
        "\"zero_division\"",
        "\"batch_tokens\"",
        "\"encoding\"",
    ] {
        assert!(text.contains(word), "no {word}");
    }
}
