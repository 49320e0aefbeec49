//! The same for RoBERTa, whose head is a module of two layers (`tests/fixtures/encoders`).

use std::fs;

use serde_json::Value;

use super::tenon::{Desk, config, fixture, tensors};
use super::{close, comparable, lora};

const PRETRAINED: &str = "encoders/roberta-pair-sequences";

fn frozen() -> Value {
    let text = fs::read_to_string(fixture("encoders/predictions.json")).expect("a fixture");
    serde_json::from_str(&text).expect("JSON")
}

#[test]
fn models_and_adapters_of_roberta_predict_as_they_do_there() {
    let frozen = frozen();
    let desk = Desk::new(&frozen["inputs"]).on("roberta", PRETRAINED);
    let run = desk.run_file("any", &lora("r = 1"));
    for (case, folder) in [("base", PRETRAINED), ("lora", "encoders/roberta-lora")] {
        let predicted = desk.predict(&[&run, &"--model", &fixture(folder)]);
        close(case, &predicted, &frozen["probabilities"][case]);
    }
}

#[test]
fn models_and_adapters_of_roberta_are_written_as_there() {
    let frozen = frozen();
    let desk = Desk::new(&frozen["inputs"]).on("roberta", PRETRAINED);
    let theirs = fixture("encoders/roberta-lora");
    let folder = desk.train("run", &lora("r = 4\nlora_alpha = 8"));
    let adapter = folder.join("adapter");
    assert_eq!(comparable(config(&adapter)), comparable(config(&theirs)));
    let file = "adapter_model.safetensors";
    assert_eq!(tensors(&adapter.join(file)), tensors(&theirs.join(file)));

    let merged = desk.path("merged");
    desk.tenon(&[&"merge", &folder, &merged]);
    let file = "model.safetensors";
    let expected = tensors(&fixture(PRETRAINED).join(file));
    assert_eq!(tensors(&merged.join(file)), expected);
    let text = fs::read_to_string(merged.join("config.json")).expect("a config");
    let written: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(written["model_type"], "roberta");
    assert_eq!(
        written["architectures"],
        serde_json::json!(["RobertaForSequenceClassification"])
    );
    let run = desk.run_file("other", &lora("r = 1"));
    let of_merged = desk.predict(&[&run, &"--model", &merged]);
    close(
        "merged",
        &of_merged,
        &serde_json::json!(desk.predict(&[&folder])),
    );
}
