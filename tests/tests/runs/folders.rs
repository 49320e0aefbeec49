//! Model folders that are not what the run asks for: what is refused, and in which words.

use std::fs;

use serde_json::{Map, Value, json};
use tenon_tests::repository;

use super::desk::Desk;
use super::files::copy;

/// A header of a safetensors file.
type Header = Map<String, Value>;

/// A desk with the folder of a small BERT, and the name of a run file that starts from it.
fn desk() -> (Desk, String) {
    let desk = Desk::new();
    copy(
        &repository().join("tests/fixtures/bert/gelu"),
        &desk.path("model"),
    );
    let changes = [("model.pretrained", "\"model\""), ("train.epochs", "1")];
    let file = desk.run_file("folder", &changes);
    (desk, file)
}

/// Changes the header of the weights; what it names keeps its place.
fn change_weights(desk: &Desk, change: impl FnOnce(&mut Header)) {
    let path = desk.path("model/model.safetensors");
    let bytes = fs::read(&path).expect("weights");
    let (length, rest) = bytes.split_first_chunk().expect("a header");
    let (header, data) = rest.split_at(u64::from_le_bytes(*length) as usize);
    let mut header: Header = serde_json::from_slice(header).expect("JSON");
    change(&mut header);
    let mut header = serde_json::to_vec(&header).expect("JSON");
    header.resize(header.len().next_multiple_of(8), b' ');
    let length = (header.len() as u64).to_le_bytes();
    fs::write(&path, [&length, &*header, data].concat()).expect("a file");
}

/// Moves a tensor to another name: the one is missing, the other too much.
fn rename(header: &mut Header, from: &str, to: &str) {
    let entry = header.remove(from).expect("a tensor");
    header.insert(to.to_owned(), entry);
}

fn change_config(desk: &Desk, key: &str, value: Value) {
    let path = desk.path("model/config.json");
    let mut config: Header =
        serde_json::from_slice(&fs::read(&path).expect("a config")).expect("JSON");
    config.insert(key.to_owned(), value);
    fs::write(&path, serde_json::to_vec(&config).expect("JSON")).expect("a file");
}

#[test]
fn folders_of_something_else() {
    type Damage = fn(&Desk);
    let cases: [(&str, Damage); 9] = [
        ("a tensor is missing", |desk| {
            change_weights(desk, |header| {
                rename(
                    header,
                    "bert.embeddings.LayerNorm.bias",
                    "cls.seq_relationship.bias",
                )
            });
        }),
        ("a tensor is too much", |desk| {
            change_weights(desk, |header| {
                rename(
                    header,
                    "classifier.bias",
                    "bert.encoder.layer.2.output.dense.bias",
                );
            });
        }),
        ("another width", |desk| {
            change_config(desk, "intermediate_size", json!(64))
        }),
        ("another architecture", |desk| {
            change_config(desk, "model_type", json!("gpt2"))
        }),
        ("fewer rows than the tokenizer has tokens", |desk| {
            change_config(desk, "vocab_size", json!(20));
        }),
        ("a width that is none", |desk| {
            change_config(desk, "hidden_size", json!("wide"))
        }),
        ("a config that is cut off", |desk| {
            desk.write("model/config.json", "{\"model_type\": \"bert\",");
        }),
        ("weights that are cut off", |desk| {
            let path = desk.path("model/model.safetensors");
            let bytes = fs::read(&path).expect("weights");
            fs::write(path, &bytes[..bytes.len() / 2]).expect("a file");
        }),
        ("no weights", |desk| {
            fs::remove_file(desk.path("model/model.safetensors")).expect("removed");
        }),
    ];
    let mut told = String::new();
    for (what, damage) in cases {
        let (desk, file) = desk();
        damage(&desk);
        let error = desk.fail(1, &["train", &file]);
        let error = error.replace(&*repository().to_string_lossy(), "REPOSITORY");
        told += &format!("{what}:\n{error}\n");
    }
    insta::assert_snapshot!(told);
}

/// A head for another task and a tensor that the run file names are left out, and nothing else is.
#[test]
fn tensors_that_are_left_out() {
    let (desk, file) = desk();
    change_weights(&desk, |header| {
        rename(header, "classifier.weight", "cls.predictions.bias");
        rename(header, "classifier.bias", "vision.tower.0.bias");
    });
    let leave_out = |glob: &str| format!("model.ignore_weights=[\"{glob}\"]");
    let error = desk.fail(1, &["train", &file, "--set", &leave_out("audio.*")]);
    assert!(error.contains("vision.tower.0.bias, which"), "{error}");
    assert!(!error.contains("cls."), "{error}");
    desk.succeed(&["train", &file, "--set", &leave_out("vision.*")]);
}
