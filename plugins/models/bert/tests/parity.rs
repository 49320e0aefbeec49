//! Logits, losses and every gradient equal those of `transformers`, frozen in `tests/fixtures/bert`.

mod host;

use std::path::{Path, PathBuf};

use host::{Store, close, load};
use tenon_plugin_api::host::ModelHandle;
use tenon_plugin_api::info::HeadInfo;
use tenon_plugin_api::model::Forward;
use tenon_plugin_api::tch::{self, Device, Kind, Reduction, Tensor};
use tenon_plugin_api::tensor::TensorMap;

/// Share of the largest gradient below which those are that cancel.
const FLOOR: f64 = 1e-2;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../tests/fixtures/bert")
}

#[test]
fn gelu_with_token_types_and_padding() {
    check("gelu", "gelu");
}

#[test]
fn gelu_new_without_a_mask() {
    check("gelu-new", "gelu-new");
}

#[test]
fn gelu_tanh() {
    check("gelu-tanh", "gelu-tanh");
}

#[test]
fn relu_and_regression() {
    check("relu-regression", "relu-regression");
}

#[test]
fn silu_and_multiple_labels() {
    check("silu-multi-label", "silu-multi-label");
}

#[test]
fn no_pooler_and_padding_on_the_left() {
    check("no-pooler", "no-pooler");
}

#[test]
fn five_hundred_and_twelve_positions() {
    check("positions-512", "positions-512");
}

#[test]
fn legacy_names_gamma_and_beta() {
    check("legacy-names", "gelu");
}

#[test]
fn shards_of_an_index() {
    check("sharded", "gelu");
}

/// Runs the model in the folder `weights` and compares with what is frozen in the folder `expected`.
fn check(weights: &str, expected: &str) {
    let folder = fixtures().join(weights);
    let frozen = load(&fixtures().join(expected).join("expected.safetensors"));
    let config = host::config(&folder);
    let head = frozen
        .get("input.labels")
        .map(|labels| head(&config, labels, &frozen["output.logits"]));
    let mut options = host::options(&config);
    if head.is_none() {
        options["add_pooling_layer"] = false.into();
    }
    let store = Store::open(&folder, head.clone());
    let model = store.model(&options);
    let found = run(&model, &frozen, head.as_ref());
    found.compare(&frozen, &store);

    // the encoder alone, of the same weights
    if let (Some(_), Some(hidden)) = (&head, frozen.get("output.last_hidden_state")) {
        let model = Store::open(&folder, None).model(&options);
        let outputs = forward(&model, &frozen);
        let mask = mask_of(&frozen, hidden);
        close(
            "last_hidden_state",
            &outputs["last_hidden_state"],
            &(hidden * mask),
            0.0,
        );
        close(
            "pooler_output",
            &outputs["pooler_output"],
            &frozen["output.pooler_output"],
            0.0,
        );
    }
}

/// Masked language models have no pooler: a classifier on them starts one, as in `transformers`. Without a
/// head a missing pooler means that the weights are not whole.
#[test]
fn a_classifier_starts_a_pooler_that_the_weights_lack() {
    let folder = fixtures().join("gelu");
    let options = host::options(&host::config(&folder));
    let mut weights = load(&folder.join("model.safetensors"));
    let before = weights.len();
    weights.retain(|name, _| !name.contains("pooler"));
    assert_eq!(weights.len(), before - 2, "the fixture has a pooler");

    let head = HeadInfo {
        kind: "sequence-classification".into(),
        num_labels: 2,
        problem_type: None,
    };
    let store = Store::of(weights, Some(head));
    store.model(&options);
    assert!(
        store
            .names()
            .iter()
            .any(|name| name == "bert.pooler.dense.weight")
    );

    let mut weights = load(&folder.join("model.safetensors"));
    weights.retain(|name, _| !name.contains("pooler"));
    let error = Store::of(weights, None).try_model(&options).err();
    let error = error.expect("an error").to_string();
    assert!(error.contains("pooler.dense"), "{error}");
}

/// MiniLM is held against digests of what `transformers` computes with it.
#[test]
fn minilm() {
    let folder = host::minilm();
    let frozen = load(&fixtures().join("minilm.safetensors"));
    let config = host::config(&folder);
    let head = head(&config, &frozen["input.labels"], &frozen["output.logits"]);
    let store = Store::open(&folder, Some(head.clone()));
    let model = store.model(&host::options(&config));
    tch::no_grad(|| {
        store
            .param("classifier.weight")
            .copy_(&frozen["classifier.weight"]);
        store
            .param("classifier.bias")
            .copy_(&frozen["classifier.bias"]);
    });
    let found = run(&model, &frozen, Some(&head));
    close(
        "logits",
        &found.outputs["logits"],
        &frozen["output.logits"],
        0.0,
    );
    close("loss", &found.loss, &frozen["output.loss"], 0.0);
    let digests: Vec<_> = frozen
        .iter()
        .filter_map(|(name, digest)| Some((name.strip_prefix("digest.grad.")?, digest)))
        .collect();
    assert_eq!(
        digests.len(),
        store.names().len(),
        "every parameter has a digest"
    );
    let largest = digests
        .iter()
        .map(|(_, digest)| digest.double_value(&[0]))
        .fold(0.0, f64::max);
    for (name, digest) in digests {
        let gradient = store.param(name).grad();
        close(name, &host::digest(&gradient), digest, largest * FLOOR);
    }
    let encoder = Store::open(&folder, None).model(&host::options(&config));
    let outputs = forward(&encoder, &frozen);
    for name in ["last_hidden_state", "pooler_output"] {
        close(
            name,
            &host::digest(&outputs[name]),
            &frozen[&format!("digest.output.{name}")],
            0.0,
        );
    }
}

/// What a run gave.
struct Found {
    outputs: std::collections::BTreeMap<String, Tensor>,
    loss: Tensor,
}

fn run(model: &ModelHandle, frozen: &host::Tensors, head: Option<&HeadInfo>) -> Found {
    let outputs = forward(model, frozen);
    let loss = match head {
        Some(head) => {
            let (logits, labels) = (&outputs["logits"], &frozen["input.labels"]);
            match head.problem_type.as_deref() {
                Some("regression") => logits.squeeze().mse_loss(labels, Reduction::Mean),
                Some("multi_label_classification") => logits
                    .binary_cross_entropy_with_logits::<Tensor>(
                        labels,
                        None,
                        None,
                        Reduction::Mean,
                    ),
                _ => logits.cross_entropy_loss::<Tensor>(labels, None, Reduction::Mean, -100, 0.0),
            }
        }
        None => (&outputs["last_hidden_state"] * &frozen["weight.hidden"]).sum(Kind::Float),
    };
    loss.backward();
    Found { outputs, loss }
}

impl Found {
    fn compare(&self, frozen: &host::Tensors, store: &Store) {
        close("loss", &self.loss, &frozen["output.loss"], 0.0);
        if let Some(logits) = self.outputs.get("logits") {
            close("logits", logits, &frozen["output.logits"], 0.0);
        }
        if let Some(hidden) = self.outputs.get("last_hidden_state") {
            let expected = &frozen["output.last_hidden_state"];
            close(
                "last_hidden_state",
                hidden,
                &(expected * mask_of(frozen, expected)),
                0.0,
            );
        }
        host::same_gradients(frozen, store, FLOOR);
    }
}

fn forward(
    model: &ModelHandle,
    frozen: &host::Tensors,
) -> std::collections::BTreeMap<String, Tensor> {
    let mut inputs = TensorMap::new();
    for name in ["input_ids", "attention_mask", "token_type_ids"] {
        if let Some(tensor) = frozen.get(&format!("input.{name}")) {
            inputs.insert(name, tensor.shallow_clone());
        }
    }
    let outputs = model
        .forward(&inputs, &Forward::new(false, 0))
        .expect("a forward pass");
    outputs
        .iter()
        .map(|(name, tensor)| (name.to_owned(), tensor.shallow_clone()))
        .collect()
}

fn head(config: &serde_json::Value, labels: &Tensor, logits: &Tensor) -> HeadInfo {
    let default = if labels.kind() == Kind::Int64 {
        "single_label_classification"
    } else {
        "regression"
    };
    HeadInfo {
        kind: "sequence-classification".into(),
        num_labels: logits.size()[1] as usize,
        problem_type: Some(config["problem_type"].as_str().unwrap_or(default).into()),
    }
}

/// 1 where there is a token, shaped to fit hidden states.
fn mask_of(frozen: &host::Tensors, hidden: &Tensor) -> Tensor {
    match frozen.get("input.attention_mask") {
        Some(mask) => mask.unsqueeze(2).to_kind(Kind::Float),
        None => Tensor::ones(
            [hidden.size()[0], hidden.size()[1], 1],
            (Kind::Float, Device::Cpu),
        ),
    }
}
