//! The resolved run file.

use insta::{assert_json_snapshot, assert_snapshot};
use tenon_core::config::Pretrained;

use super::fixture::{GOOD, Workplace};

fn rich() -> Workplace {
    let text = GOOD.replace(
        "text = \"message\"",
        "text = \"message\"\nlabels = [\"ham\", \"s\\\"p\\\\a\\tm\"]",
    ) + "select_best = \"f1\"\n\n[plugins]\nallow = [\"lora\", { name = \"bert\" }]\nprefer.mcc = \"other-metrics::mcc\"\n\n[data.columns]\n\"my text\" = \"message\"\n";
    Workplace::new(&text)
        .env("TENON_TRAIN__EPOCHS", "3")
        .set("metrics[1].average=micro")
        .set("peft.r=4")
}

#[test]
fn every_value_with_its_origin() {
    assert_snapshot!(rich().resolved().to_annotated_toml());
}

#[test]
fn settings() {
    assert_json_snapshot!(rich().resolved().settings);
}

#[test]
fn the_saved_file_gives_the_same_settings() {
    let resolved = rich().resolved();
    let saved = resolved.to_toml();
    assert!(!saved.contains('#'), "{saved}");
    let again = Workplace::new(GOOD)
        .file("runs/x/run.toml", &saved)
        .run_file("runs/x/run.toml")
        .resolved();
    assert_eq!(again.settings, resolved.settings);
    assert_eq!(again.to_toml(), saved);
    let annotated = Workplace::new(&resolved.to_annotated_toml()).resolved();
    assert_eq!(annotated.to_toml(), saved);
}

#[test]
fn defaults_are_those_of_the_settings() {
    // Every default goes through the schema; none may differ from what the options say.
    let text = "model.use = \"bert\"\ntask.use = \"classification\"\ntask.text = \"message\"\ndata.train = \"data/train.jsonl\"\n";
    assert_snapshot!(Workplace::new(text).resolved().to_annotated_toml());
}

#[test]
fn where_pretrained_weights_come_from() {
    let pretrained = |text: &str| {
        let place = Workplace::new(&GOOD.replace("models/minilm", text));
        place
            .check()
            .ok()
            .and_then(|resolved| resolved.settings.model.pretrained)
    };
    let hub = |name: &str| {
        Some(Pretrained::Hub {
            name: name.into(),
            revision: None,
        })
    };
    assert_eq!(
        pretrained("models/minilm"),
        Some(Pretrained::Folder("models/minilm".into()))
    );
    assert_eq!(
        pretrained("./models/minilm"),
        Some(Pretrained::Folder("./models/minilm".into()))
    );
    assert_eq!(pretrained("bert-base-uncased"), hub("bert-base-uncased"));
    assert_eq!(
        pretrained("sentence-transformers/all-MiniLM-L6-v2"),
        hub("sentence-transformers/all-MiniLM-L6-v2")
    );
    assert_eq!(pretrained("hf://models/minilm"), hub("models/minilm"));
    // `models` is a folder here, so this is a path, and it is missing.
    assert_eq!(pretrained("models/other"), None);
    assert_eq!(pretrained("a/b/c"), None);
    assert_eq!(pretrained("../x"), None);
}
