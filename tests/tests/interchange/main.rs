//! Adapters and models go in and out: the real binary with plugins opened at run time, held
//! against what `peft` and `transformers` write and compute (`tests/fixtures/peft`).

mod roberta;
mod tenon;

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Map, Value};
use tenon::{Desk, config, fixture, tensors};

/// What `peft` computes with its adapters in `tests/fixtures/peft`.
fn frozen() -> Value {
    let text = fs::read_to_string(fixture("peft/predictions.json")).expect("a fixture");
    serde_json::from_str(&text).expect("JSON")
}

/// Names of the cases, and the `[peft]` table that means the same.
const CASES: [(&str, &str); 8] = [
    ("default", "r = 4"),
    (
        "rslora",
        r#"r = 3
        lora_alpha = 16
        use_rslora = true
        init_lora_weights = "gaussian""#,
    ),
    (
        "bias-all",
        r#"r = 2
        bias = "all""#,
    ),
    (
        "bias-lora-only",
        r#"r = 2
        bias = "lora_only"
        target_sites = ["query", "key", "output.dense"]"#,
    ),
    (
        "all-linear",
        r#"r = 2
        target_sites = "all-linear"
        modules_to_save = "pooler""#,
    ),
    (
        "layers",
        r#"r = 4
        lora_alpha = 12
        lora_dropout = 0.25
        layers_to_transform = 1
        target_sites = ["value", "dense"]"#,
    ),
    (
        "patterns",
        r#"r = 4
        rank_pattern = { query = 2 }
        alpha_pattern = { "layer.1.attention.self.value" = 1.5 }"#,
    ),
    (
        "regex",
        r#"r = 2
        target_regex = '.*\.layer\.1\..*(query|output\.dense)'"#,
    ),
];

fn lora(options: &str) -> String {
    format!("use = \"lora\"\n{options}")
}

#[track_caller]
fn close(what: &str, found: &[[f64; 2]], expected: &Value) {
    let expected: Vec<[f64; 2]> = serde_json::from_value(expected.clone()).expect("rows of two");
    assert_eq!(found.len(), expected.len(), "{what}");
    for (found, expected) in found.iter().flatten().zip(expected.iter().flatten()) {
        assert!(
            (found - expected).abs() < 1e-5,
            "{what}: probability {found}, expected {expected}"
        );
    }
}

#[test]
fn adapters_of_peft_predict_as_they_do_there() {
    let frozen = frozen();
    let desk = Desk::new(&frozen["inputs"]);
    // the options of the adapter's file count, not those of the run file
    let run = desk.run_file("any", &lora("r = 1"));
    let known = frozen["probabilities"].as_object().expect("cases");
    assert_eq!(known.len(), CASES.len() + 1);
    for (case, expected) in known {
        let (model, adapter) = (fixture("bert/gelu"), fixture(&format!("peft/{case}")));
        let folder = if case == "base" { model } else { adapter };
        close(case, &desk.predict(&[&run, &"--model", &folder]), expected);
    }
}

/// `peft` loads such files with a warning, if any.
#[test]
fn adapters_that_do_not_fit_are_refused() {
    let desk = Desk::new(&frozen()["inputs"]);
    let run = desk.run_file("any", &lora("r = 1"));
    let (weights, config) = ("adapter_model", "adapter_config");
    let cases = [
        (
            "misspelt",
            weights,
            "0.attention.self.query.lora_A",
            "0.attention.self.qurey.lora_A",
        ),
        ("other-layer", weights, ".layer.1.", ".layer.7."),
        ("other-rank", config, r#""r": 4"#, r#""r": 6"#),
        ("no-target", config, r#""value""#, r#""vlaue""#),
        (
            "other-variant",
            config,
            r#""use_dora": false"#,
            r#""use_dora": true "#,
        ),
        ("other-method", config, r#""LORA""#, r#""LOHA""#),
    ];
    let told = cases.map(|(name, file, from, to)| {
        let adapter = desk.changed_adapter(name, file, from, to);
        let inputs = desk.path("inputs.jsonl");
        desk.refused(&[&"predict", &run, &"--model", &adapter, &"--input", &inputs])
    });
    insta::assert_snapshot!(told.join("\n"));
}

#[test]
fn merged_adapters_of_peft_predict_as_they_do_there() {
    let frozen = frozen();
    let desk = Desk::new(&frozen["inputs"]);
    let run = desk.run_file("any", &lora("r = 1"));
    for (case, _) in CASES {
        let merged = desk.path(&format!("merged-{case}"));
        let adapter = fixture(&format!("peft/{case}"));
        desk.tenon(&[&"merge", &run, &merged, &"--model", &adapter]);
        assert_eq!(
            tensors(&merged.join("model.safetensors")),
            tensors(&fixture("bert/gelu/model.safetensors")),
            "{case}"
        );
        let predicted = desk.predict(&[&run, &"--model", &merged]);
        close(case, &predicted, &frozen["probabilities"][case]);
    }
}

/// The file as far as it must be equal: the base model lies elsewhere, and lists of modules have no
/// order.
fn comparable(mut config: Map<String, Value>) -> Map<String, Value> {
    config.remove("base_model_name_or_path");
    for value in config.values_mut() {
        if let Value::Array(items) = value {
            items.sort_by_key(Value::to_string);
        }
    }
    config
}

/// What is written otherwise with the same meaning: `peft` lists each target of `all-linear`, and
/// keeps the patterns as the user wrote them.
fn spelt_otherwise(case: &str) -> &'static [&'static str] {
    match case {
        "all-linear" => &["target_modules"],
        "patterns" => &["rank_pattern", "alpha_pattern"],
        _ => &[],
    }
}

#[test]
fn adapters_are_written_as_peft_writes_them() {
    let frozen = frozen();
    let desk = Desk::new(&frozen["inputs"]);
    for (case, options) in CASES {
        let adapter = desk.train(case, &lora(options)).join("adapter");
        let theirs = fixture(&format!("peft/{case}"));
        let mut written = comparable(config(&adapter));
        let mut expected = comparable(config(&theirs));
        for key in spelt_otherwise(case) {
            let _ = (written.remove(*key), expected.remove(*key));
        }
        assert_eq!(written, expected, "{case}");
        assert_eq!(
            tensors(&adapter.join("adapter_model.safetensors")),
            needed(&theirs.join("adapter_model.safetensors")),
            "{case}"
        );
    }
}

/// The tensors that `peft` looks for; with `bias = "all"` it writes some of them in copies.
fn needed(path: &Path) -> std::collections::BTreeMap<String, String> {
    let mut all = tensors(path);
    all.retain(|name, _| {
        !name.contains(".modules_to_save.") && !name.contains(".original_module.")
    });
    all
}

/// The run's folder, its adapter on the run file, and its merged model are one and the same.
#[test]
fn a_trained_adapter_predicts_alike_wherever_it_lies() {
    let frozen = frozen();
    let desk = Desk::new(&frozen["inputs"]);
    let folder = desk.train("run", &lora("r = 4\nlora_alpha = 16"));
    let of_run = desk.predict(&[&folder]);
    let base = &frozen["probabilities"]["base"];
    let base: Vec<[f64; 2]> = serde_json::from_value(base.clone()).expect("rows of two");
    let moved = of_run.iter().flatten().zip(base.iter().flatten());
    let moved = moved
        .map(|(run, base)| (run - base).abs())
        .fold(0.0, f64::max);
    assert!(moved > 0.01, "training moved probabilities by {moved} only");

    let run = desk.run_file("other", &lora("r = 1"));
    let adapter = folder.join("adapter");
    assert_eq!(desk.predict(&[&run, &"--model", &adapter]), of_run);
    let merged = desk.path("merged");
    desk.tenon(&[&"merge", &folder, &merged]);
    let of_merged = desk.predict(&[&run, &"--model", &merged]);
    close("merged", &of_merged, &serde_json::json!(of_run));
}

/// Training a part of the model writes the whole, in which only that part is changed.
#[test]
fn a_frozen_model_is_written_whole() {
    let frozen = frozen();
    let desk = Desk::new(&frozen["inputs"]);
    let folder = desk.train("frozen", "use = \"freeze\"\nlayers = 1\nfreeze = \"norms\"");
    let (model, base) = (folder.join("model"), fixture("bert/gelu"));
    assert!(!folder.join("adapter").exists());
    let file = "model.safetensors";
    assert_eq!(tensors(&model.join(file)), tensors(&base.join(file)));
    let changed = changed(&model.join(file), &base.join(file));
    let is_trained = |name: &&String| {
        name.starts_with("classifier.") || name.contains(".layer.1.") && !name.contains("LayerNorm")
    };
    let all = tensors(&base.join(file));
    // a bias of keys cancels in the softmax, so its gradient may be zero
    let expected = all
        .keys()
        .filter(is_trained)
        .filter(|name| !name.ends_with("key.bias"));
    let changed = changed.iter().filter(|name| !name.ends_with("key.bias"));
    assert!(changed.eq(expected));
    let run = desk.run_file("other", &lora("r = 1"));
    assert_eq!(
        desk.predict(&[&run, &"--model", &model]),
        desk.predict(&[&folder])
    );
}

/// Names of the tensors whose bytes differ, in order.
fn changed(one: &Path, other: &Path) -> Vec<String> {
    let (one, other) = (tenon::contents(one), tenon::contents(other));
    let differs = one
        .into_iter()
        .filter(|(name, bytes)| other.get(name) != Some(bytes));
    differs.map(|(name, _)| name).collect()
}

/// `peft` and `transformers` load what training and merging wrote, and compute the same. Needs a
/// Python that has them:
///
/// ```text
/// TENON_PEFT_PYTHON=python3 cargo test -p tenon-tests --test interchange -- --ignored
/// ```
#[test]
#[ignore = "needs a Python with peft, named by TENON_PEFT_PYTHON"]
fn what_is_written_computes_the_same_in_peft() {
    let python = std::env::var_os("TENON_PEFT_PYTHON").expect("TENON_PEFT_PYTHON");
    let frozen = frozen();
    let desk = Desk::new(&frozen["inputs"]);
    let mut arguments = Vec::new();
    let mut add = |folder: &Path, name: &str, predicted: &[[f64; 2]]| {
        let file = desk.path(&format!("{name}.json"));
        fs::write(&file, serde_json::json!(predicted).to_string()).expect("a file");
        arguments.extend([folder.to_owned(), file]);
    };
    for (case, options) in CASES {
        let folder = desk.train(case, &lora(options));
        let predicted = desk.predict(&[&folder]);
        add(&folder.join("adapter"), case, &predicted);
        let merged = desk.path(&format!("merged-{case}"));
        desk.tenon(&[&"merge", &folder, &merged]);
        add(&merged, &format!("merged-{case}"), &predicted);
    }
    let folder = desk.train("frozen", "use = \"freeze\"\nlayers = 1");
    add(&folder.join("model"), "frozen", &desk.predict(&[&folder]));
    let status = Command::new(python)
        .arg(fixture("peft/check_predictions.py"))
        .arg(desk.path("inputs.jsonl"))
        .args(&arguments)
        .status();
    assert!(status.expect("python starts").success());
}
