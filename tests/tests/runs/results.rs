//! What a run writes is what it scored: its folder, and its model folder by itself, evaluate to
//! the same.

use std::fs;

use serde_json::Value;

use tenon_tests::repository;

use super::desk::Desk;
use super::files::{files, json, scores};

/// Trains, and holds `tenon evaluate` against the run's summary, which it returns.
fn check(desk: &Desk, name: &str, peft: &str, result: &str, expected: &[&str]) -> Value {
    let file = desk.run_file(name, &[("peft", peft)]);
    desk.succeed(&["train", &file]);
    let run = desk.run(name).display().to_string();
    let summary = json(&desk.run(name).join("summary.json"));
    let folder = desk.run(name).join(result);
    let written = files(&folder);
    assert_eq!(written.keys().collect::<Vec<_>>(), expected, "{name}");
    for split in ["validation", "test"] {
        let scored = scores(&summary["scores"][split]);
        let folder = folder.display().to_string();
        let fixed = ["--split", split, "--json"];
        for which in [
            &["evaluate", &*run][..],
            &["evaluate", &*file, "--model", &*folder],
        ] {
            let found = desk.succeed(&[which, &fixed].concat()).stdout;
            let found: Value = serde_json::from_str(&found).expect("JSON");
            assert_eq!(scores(&found), scored, "{name}, {split}, {which:?}");
        }
    }
    // What it learnt is not what it began with.
    let before = desk
        .succeed(&["evaluate", &file, "--pretrained", "--json"])
        .stdout;
    let before: Value = serde_json::from_str(&before).expect("JSON");
    assert_ne!(
        scores(&before)["loss"],
        scores(&summary["scores"]["test"])["loss"]
    );
    summary
}

/// The parameters of `tests/fixtures/bert/gelu`.
const ALL: u64 = 18_562;
const MODEL: [&str; 3] = ["config.json", "model.safetensors", "tokenizer.json"];

#[test]
fn of_all_parameters() {
    let desk = Desk::new();
    let summary = check(&desk, "full", "", "model", &MODEL);
    assert_eq!(summary["parameters"]["trainable"], ALL);
    assert_eq!(summary["parameters"]["total"], ALL);
}

/// Its tokenizer goes with it, whatever that was called.
#[test]
fn of_a_model_with_another_tokenizer() {
    let desk = Desk::new();
    let tokenizer = repository().join("tests/fixtures/runs/tokenizer.json");
    fs::copy(tokenizer, desk.path("words.json")).expect("a copy");
    let changes = [
        ("peft", ""),
        ("tokenizer.path", "\"words.json\""),
        ("train.epochs", "1"),
    ];
    let file = desk.run_file("words", &changes);
    desk.succeed(&["train", &file]);
    let written = files(&desk.run("words").join("model"));
    assert_eq!(written.keys().collect::<Vec<_>>(), MODEL);
    assert_eq!(
        written["tokenizer.json"],
        files(desk.path("").as_path())["words.json"]
    );
}

#[test]
fn of_some_layers() {
    let desk = Desk::new();
    let freeze = "{ use = \"freeze\", layers = 1 }";
    let summary = check(&desk, "freeze", freeze, "model", &MODEL);
    let trained = summary["parameters"]["trainable"].as_u64();
    assert!(trained.is_some_and(|trained| trained < ALL), "{trained:?}");
    assert_eq!(summary["parameters"]["total"], ALL);
}

#[test]
fn of_an_adapter() {
    let desk = Desk::new();
    let lora = "{ use = \"lora\", r = 4, target_sites = [\"query\", \"value\"] }";
    let adapter = ["adapter_config.json", "adapter_model.safetensors"];
    check(&desk, "lora", lora, "adapter", &adapter);
}

/// Where LoRA attaches when the run file does not say, in each family of models: what `peft` chooses for them
/// (`TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING` of 0.21; of Marian's likes, `q_proj` and `v_proj`).
#[test]
fn of_an_adapter_without_targets() {
    let desk = Desk::new();
    let pairs = "{\"text\": \"ab\", \"label\": \"b\"}\n{\"text\": \"ba\", \"label\": \"a\"}\n";
    desk.write("pairs.jsonl", pairs);
    let classes = [("task.use", "\"classification\"")];
    let writing = [
        ("task.use", "\"text-generation\""),
        ("task.prompt", "\"{{ text }}\""),
        ("task.target", "\"label\""),
    ];
    let cases = [
        (
            "bert",
            "bert/gelu",
            &classes[..],
            ["query", "value"].as_slice(),
        ),
        (
            "roberta",
            "encoders/roberta-sequences",
            &classes,
            &["query", "value"],
        ),
        ("gpt2", "decoders/gpt2", &writing, &["c_attn"]),
        ("llama", "decoders/llama", &writing, &["q_proj", "v_proj"]),
        ("t5", "seq2seq/t5", &writing, &["q", "v"]),
        (
            "transformer",
            "seq2seq/marian",
            &writing,
            &["q_proj", "v_proj"],
        ),
    ];
    for (model, fixture, task, expected) in cases {
        let (name, folder) = (format!("{model:?}"), format!("FIXTURES/{fixture}"));
        let settings = [
            ("model.use", name.as_str()),
            ("model.pretrained", &folder),
            ("tokenizer.path", ""),
            ("tokenizer.train", "{ kind = \"char\" }"),
            ("tokenizer.max_length", "8"),
            ("task.text", ""),
            ("task.label", ""),
            ("data.train", "\"pairs.jsonl\""),
            ("data.validation", ""),
            ("data.test", ""),
            ("metrics", ""),
            ("peft", "{ use = \"lora\", r = 2 }"),
            ("train.epochs", ""),
            ("train.max_steps", "1"),
            ("train.select_best", ""),
        ];
        let kept = settings.iter().chain(task);
        let file = desk.run_file(model, &kept.copied().collect::<Vec<_>>());
        desk.succeed(&["train", &file]);
        let config = json(&desk.run(model).join("adapter/adapter_config.json"));
        let named = config["target_modules"].as_array().expect("names").iter();
        let mut named: Vec<&str> = named.filter_map(Value::as_str).collect();
        named.sort_unstable();
        assert_eq!(named, expected, "{model}");
        assert_eq!(config["fan_in_fan_out"], model == "gpt2", "{model}");
    }
}
