//! Adapter folders that `peft` wrote, read into options and written again.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use tenon_plugin_api::info::HeadInfo;
use tenon_plugin_api::options::Options as _;
use tenon_plugin_api::peft::prelude::*;

use crate::{Lora, Options};

fn fixture(case: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../../tests/fixtures/peft")
        .join(case)
}

/// The small BERT of the fixtures: two layers, hidden size 32.
fn bert() -> ModelView {
    let mut view = ModelView {
        model: "bert".to_owned(),
        pretrained: Some("tests/fixtures/bert/gelu".to_owned()),
        head: Some(HeadInfo {
            kind: "sequence-classification".to_owned(),
            ..HeadInfo::default()
        }),
        ..ModelView::default()
    };
    let mut add = |name: &str, role: &str, layer: Option<usize>, sizes: [i64; 2]| {
        let parameter = |end: &str, shape: Vec<i64>| ParamInfo {
            name: format!("{name}.{end}"),
            shape,
            ..ParamInfo::default()
        };
        view.parameters
            .push(parameter("weight", vec![sizes[1], sizes[0]]));
        view.parameters.push(parameter("bias", vec![sizes[1]]));
        if !role.is_empty() {
            view.sites.push(SiteInfo {
                name: name.to_owned(),
                role: role.to_owned(),
                kind: SiteKind::Linear,
                layer,
                in_features: sizes[0],
                out_features: sizes[1],
                transposed: false,
            });
        }
    };
    add("bert.embeddings.LayerNorm", "", None, [32, 32]);
    for layer in 0..2 {
        let parts = [
            ("attention.self.query", "query", [32, 32]),
            ("attention.self.key", "key", [32, 32]),
            ("attention.self.value", "value", [32, 32]),
            ("attention.output.dense", "attention_output", [32, 32]),
            ("attention.output.LayerNorm", "", [32, 32]),
            ("intermediate.dense", "intermediate", [32, 48]),
            ("output.dense", "output", [48, 32]),
            ("output.LayerNorm", "", [32, 32]),
        ];
        for (part, role, sizes) in parts {
            let name = format!("bert.encoder.layer.{layer}.{part}");
            add(&name, role, Some(layer), sizes);
        }
    }
    add("bert.pooler.dense", "pooler", None, [32, 32]);
    add("classifier", "classifier", None, [32, 2]);
    view
}

fn create(options: &Map<String, Value>) -> Result<Lora> {
    Lora::new(Options::from_json(
        &Value::from(options.clone()).to_string(),
    )?)
}

fn read_config(case: &str) -> Map<String, Value> {
    let text = std::fs::read_to_string(fixture(case).join("adapter_config.json"));
    serde_json::from_str(&text.expect("a fixture")).expect("JSON")
}

/// Reads the adapter of a case, and holds the trained tensors and the file written again against it.
fn check(case: &str) {
    let config = read_config(case);
    let options = Lora::import(&config).expect("offered");
    let mut lora = create(&options).expect("good options");
    let plan = lora.plan(&bert()).expect("a plan");

    let mut made: BTreeSet<String> = plan
        .trainable
        .iter()
        .map(|name| lora.file_name(name))
        .collect();
    for site in &plan.sites {
        for matrix in ["lora_A.weight", "lora_B.weight"] {
            made.insert(lora.file_name(&format!("{site}.{matrix}")));
        }
    }
    let file = Tensor::read_safetensors(fixture(case).join("adapter_model.safetensors"));
    let names = file.expect("a fixture").into_iter().map(|(name, _)| name);
    let stored: BTreeSet<String> = names.filter(|name| !lora.is_redundant(name)).collect();
    assert_eq!(made, stored, "{case}");

    let written = lora
        .adapter_config(&bert())
        .expect("offered")
        .expect("a file");
    let keys = |config: &Map<String, Value>| config.keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(&written), keys(&config), "{case}");
    let again = create(&Lora::import(&written).expect("offered"))
        .and_then(|mut lora| lora.plan(&bert()))
        .expect("a plan");
    assert_eq!(again, plan, "{case}");
}

#[test]
fn adapters_of_peft_are_read_and_written() {
    let cases = [
        "default",
        "rslora",
        "bias-all",
        "bias-lora-only",
        "all-linear",
        "layers",
        "patterns",
        "regex",
    ];
    cases.into_iter().for_each(check);
}

#[test]
fn a_misspelt_target_is_named() {
    let options = json!({"target_sites": ["query", "vlaue"]});
    let mut lora = create(options.as_object().expect("a table")).expect("good options");
    let message = lora.plan(&bert()).expect_err("misspelt").to_string();
    for part in [
        "`vlaue`",
        "did you mean `value`?",
        "roles: query, key, value",
    ] {
        assert!(message.contains(part), "{message}");
    }
}

/// The targets that `peft` 0.21 has for the models that the roles are of
/// (`TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING`): `query` and `value`, GPT-2's `c_attn`, T5's `q` and `v`.
#[test]
fn without_targets_queries_and_values_are() {
    let of = |roles: &[(&str, &str)]| {
        let site = |(name, role): &(&str, &str)| SiteInfo {
            name: format!("h.0.{name}"),
            role: (*role).to_owned(),
            kind: SiteKind::Linear,
            layer: Some(0),
            in_features: 8,
            out_features: 8,
            transposed: false,
        };
        let view = ModelView {
            model: "some".to_owned(),
            sites: roles.iter().map(site).collect(),
            ..ModelView::default()
        };
        let plan = create(&Map::new()).and_then(|mut lora| lora.plan(&view));
        plan.map(|plan| plan.sites.join(" "))
            .map_err(|error| format!("{error:?}"))
    };
    let t5 = [
        ("q", "query"),
        ("k", "key"),
        ("v", "value"),
        ("o", "attention_output"),
    ];
    assert_eq!(of(&t5), Ok("h.0.q h.0.v".to_owned()));
    let gpt2 = [
        ("c_attn", "query_key_value"),
        ("c_proj", "attention_output"),
    ];
    assert_eq!(of(&gpt2), Ok("h.0.c_attn".to_owned()));
    // As in a decoder whose own attention is in one layer, and that over the encoder is not.
    let both = [
        ("c_attn", "query_key_value"),
        ("q_attn", "query"),
        ("c_fc", "intermediate"),
    ];
    assert_eq!(of(&both), Ok("h.0.c_attn h.0.q_attn".to_owned()));
    let error = of(&[("wi", "intermediate")]).expect_err("no such role");
    for part in ["query, value, query_key_value", "roles: intermediate"] {
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn what_is_not_offered_is_refused() {
    let mut config = read_config("default");
    config.insert("use_dora".to_owned(), json!(true));
    let message = Lora::import(&config).expect_err("refused").to_string();
    assert!(message.contains("`use_dora` = true"), "{message}");
}

/// As `PeftModelForQuestionAnswering`, `PeftModelForCausalLM` and the others add to `modules_to_save`.
#[test]
fn which_head_is_trained_whole_depends_on_the_task() {
    let cases = [
        ("sequence-classification", json!(["classifier", "score"])),
        ("token-classification", json!(["classifier", "score"])),
        ("question-answering", json!(["qa_outputs"])),
        ("causal-lm", Value::Null),
        ("masked-lm", Value::Null),
    ];
    for (kind, expected) in cases {
        let mut view = bert();
        view.head = Some(HeadInfo {
            kind: kind.to_owned(),
            ..HeadInfo::default()
        });
        let lora = create(&Map::new()).expect("good options");
        let written = lora.adapter_config(&view).expect("offered");
        let written = written.expect("a file");
        assert_eq!(written["modules_to_save"], expected, "{kind}");
        let again = Lora::import(&written).expect("offered");
        let more = again.get("modules_to_save").and_then(Value::as_array);
        assert!(more.is_none_or(Vec::is_empty), "{kind}: {more:?}");
    }
}
