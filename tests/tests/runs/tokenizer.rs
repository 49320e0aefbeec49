//! A tokenizer that a run trains on its own text.

use std::fs;

use super::desk::Desk;
use super::files::{files, json, scores};

/// A small BERT from nothing but the run file.
const SCRATCH: [(&str, &str); 10] = [
    ("model.pretrained", ""),
    ("model.hidden_size", "16"),
    ("model.intermediate_size", "32"),
    ("model.num_hidden_layers", "1"),
    ("model.num_attention_heads", "2"),
    ("model.vocab_size", "300"),
    ("tokenizer.path", ""),
    (
        "tokenizer.train",
        "{ kind = \"wordpiece\", vocab_size = 300, lowercase = true }",
    ),
    ("tokenizer.max_length", "32"),
    ("peft", ""),
];

/// It is in the run's folder and in the result, and both evaluate to what the run scored.
#[test]
fn is_kept_and_goes_with_the_result() {
    let desk = Desk::new();
    let file = desk.run_file(
        "scratch",
        &[&SCRATCH[..], &[("train.epochs", "1")]].concat(),
    );
    let told = desk.succeed(&["train", &file]).stderr;
    assert!(
        told.contains("a wordpiece tokenizer of 300 tokens was trained on 56 texts"),
        "{told}"
    );
    let run = desk.run("scratch");
    let kept = files(&run.join("tokenizer"));
    assert_eq!(
        kept.keys().collect::<Vec<_>>(),
        ["tokenizer.json", "tokenizer_config.json"]
    );
    let exported = files(&run.join("model"));
    assert_eq!(kept["tokenizer.json"], exported["tokenizer.json"]);

    let scored = scores(&json(&run.join("summary.json"))["scores"]["test"]);
    let evaluate = ["evaluate", "runs/scratch", "--split", "test", "--json"];
    let evaluated = || {
        let found = desk
            .command(&evaluate)
            .current_dir(desk.path(""))
            .output()
            .expect("runs");
        let found: serde_json::Value = serde_json::from_slice(&found.stdout).expect("JSON");
        scores(&found)
    };
    assert_eq!(evaluated(), scored);
    // The result has it too.
    fs::remove_dir_all(run.join("tokenizer")).expect("removed");
    assert_eq!(evaluated(), scored);
}

/// `tenon tokenizer train` reads what the run would, and so makes the same.
#[test]
fn is_that_of_the_command() {
    let desk = Desk::new();
    let file = desk.run_file(
        "scratch",
        &[&SCRATCH[..], &[("train.epochs", "1")]].concat(),
    );
    desk.succeed(&["train", &file]);
    desk.succeed(&["tokenizer", "train", &file, "--output", "made"]);
    assert_eq!(
        files(&desk.path("made")),
        files(&desk.run("scratch").join("tokenizer"))
    );
}

#[test]
fn what_cannot_be_trained() {
    let desk = Desk::new();
    let small = [
        &SCRATCH[..7],
        &[
            ("tokenizer.train", "{ kind = \"bpe\", vocab_size = 100 }"),
            ("peft", ""),
        ],
    ]
    .concat();
    let file = desk.run_file("small", &small);
    let told = desk.fail(1, &["train", &file]);
    assert!(
        told.contains("bpe needs 256 bytes and 2 special tokens; ask for at least 258"),
        "{told}"
    );
    assert!(!desk.run("small").exists());

    let column = [
        &SCRATCH[..7],
        &[
            ("tokenizer.train", "{ columns = \"sentense\" }"),
            ("peft", ""),
        ],
    ]
    .concat();
    let file = desk.run_file("column", &column);
    let told = desk.fail(3, &["train", &file]);
    assert!(told.contains("did you mean \"sentence\"?"), "{told}");

    let both = [
        &SCRATCH[..6],
        &[
            ("tokenizer.path", "FIXTURES/runs/tokenizer.json"),
            SCRATCH[7],
            ("peft", ""),
        ],
    ]
    .concat();
    let file = desk.run_file("both", &both);
    let told = desk.fail(3, &["train", &file]);
    assert!(told.contains("excludes `path`"), "{told}");
}
