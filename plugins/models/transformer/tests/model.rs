//! What a model folder may be, how new weights start, and what is refused.

#[path = "../../../../tests/fixtures/seq2seq/parity.rs"]
#[allow(dead_code)]
mod frozen;

use std::path::Path;

use serde_json::{Value, json};
use tenon_plugin_api::host::ModelHandle;
use tenon_plugin_api::model::Forward;
use tenon_plugin_api::tch::{Kind, Tensor};
use tenon_plugin_api::tensor::TensorMap;
use tenon_testkit::model::{Weights, largest_difference};
use tenon_testkit::pretrained;
use tenon_transformer::Transformer;

/// Options of a tiny model with `changes`.
fn tiny(changes: Value) -> Value {
    let mut options = json!({
        "vocab_size": 24,
        "d_model": 16,
        "encoder_layers": 1,
        "decoder_layers": 1,
        "encoder_attention_heads": 4,
        "decoder_attention_heads": 2,
        "encoder_ffn_dim": 20,
        "decoder_ffn_dim": 20,
        "max_position_embeddings": 8,
        "pad_token_id": 0,
        "decoder_start_token_id": 0,
    });
    let changes = changes.as_object().expect("an object");
    for (name, value) in changes {
        options[name] = value.clone();
    }
    options
}

/// Ids `[rows, time]` of both sides.
fn inputs(source: [i64; 2], target: [i64; 2]) -> TensorMap {
    let ids =
        |shape: [i64; 2]| Tensor::ones(shape, (Kind::Int64, tenon_plugin_api::tch::Device::Cpu));
    TensorMap::new()
        .with("input_ids", ids(source))
        .with("decoder_input_ids", ids(target))
}

fn logits(model: &ModelHandle, inputs: &TensorMap, forward: &Forward) -> Tensor {
    let outputs = model.forward(inputs, forward).expect("forward");
    outputs.require("logits").expect("logits").shallow_clone()
}

/// `MarianModel` saves no output layer: tables are found without their prefix, the bias starts at zero.
#[test]
fn a_folder_of_the_model_without_its_head() {
    let (whole, weights) = frozen::open::<Transformer>("marian");
    let (bare, _) = frozen::open::<Transformer>("marian-bare");
    let expected = pretrained::tensors(&frozen::folder("marian").join("expected.safetensors"));
    let inputs: TensorMap = ["input_ids", "attention_mask", "decoder_input_ids"]
        .iter()
        .map(|name| (*name, expected[&format!("input.{name}")].shallow_clone()))
        .collect();
    let forward = Forward::new(false, 0);
    let bias = weights.parameter("final_logits_bias");
    assert!(
        bias.abs().max().double_value(&[]) > 0.1,
        "there is a bias to miss"
    );
    let found = logits(&bare, &inputs, &forward) + bias;
    assert!(largest_difference(&found, &logits(&whole, &inputs, &forward)) < 1e-6);
}

/// The configuration that a model writes is one that it reads, and says all that was set.
#[test]
fn configuration_of_a_folder() {
    for name in ["marian", "marian-relu", "marian-separate", "marian-untied"] {
        let config = pretrained::config(&frozen::folder(name));
        let (model, _) = frozen::open::<Transformer>(name);
        let info = model.describe().expect("a description");
        assert_eq!(info.architecture, "MarianMTModel");
        for (key, value) in &info.config {
            assert_eq!(config.get(key), Some(value), "{key} of {name}");
        }
    }
}

/// Uniform within √(6/(in+out)) and embeddings of deviation 1/√d, or all normal with `init_std`.
#[test]
fn how_new_weights_start() {
    let wide = json!({"d_model": 64, "encoder_ffn_dim": 192});
    let deviations = |options: Value| {
        let weights = Weights::seeded(3);
        tenon_testkit::model::<Transformer>(options, &weights);
        let deviation = |name: &str| weights.parameter(name).std(false).double_value(&[]);
        [
            deviation("model.shared.weight") * 8.0,
            deviation("model.encoder.layers.0.fc1.weight") / (2.0_f64 / 256.0).sqrt(),
        ]
    };
    let [words, matrix] = deviations(tiny(wide.clone()));
    assert!(
        (words - 1.0).abs() < 0.05,
        "embeddings: {words} of the deviation"
    );
    assert!(
        (matrix - 1.0).abs() < 0.05,
        "matrices: {matrix} of the deviation"
    );
    let mut normal = wide;
    normal["init_std"] = json!(0.5);
    let [words, matrix] = deviations(tiny(normal));
    assert!((words / 8.0 - 0.5).abs() < 0.03, "embeddings: {words}");
    assert!(
        (matrix * (2.0_f64 / 256.0).sqrt() - 0.5).abs() < 0.03,
        "matrices: {matrix}"
    );
}

/// Layers are left out of training calls as often as the option says, and of no other.
#[test]
fn layers_are_dropped_in_training() {
    let options = tiny(json!({"decoder_layerdrop": 0.5, "dropout": 0.0}));
    let model = tenon_testkit::model::<Transformer>(options, &Weights::seeded(3));
    let inputs = inputs([1, 3], [1, 2]);
    let whole = logits(&model, &inputs, &Forward::new(false, 0));
    let differs = |seed: u64| {
        largest_difference(&logits(&model, &inputs, &Forward::new(true, seed)), &whole) > 1e-6
    };
    let dropped = (0..64).filter(|seed| differs(*seed)).count();
    assert!(
        (16..=48).contains(&dropped),
        "{dropped} of 64 calls left the layer out"
    );
}

#[test]
fn refused_options() {
    let cases = [
        json!({"encoder_attention_heads": 3}),
        json!({"normalize_before": true}),
        json!({"pad_token_id": 24}),
        json!({"share_encoder_decoder_embeddings": false, "decoder_vocab_size": 12, "decoder_start_token_id": 20}),
    ];
    let refused = |options: &Value| {
        let built =
            ModelHandle::of::<Transformer>(&tiny(options.clone()).to_string(), Weights::seeded(1));
        format!(
            "{options}\n  {}\n",
            built
                .err()
                .map_or_else(String::new, |error| error.to_string())
        )
    };
    insta::assert_snapshot!(cases.iter().map(refused).collect::<String>());
}

#[test]
fn refused_weights_and_heads() {
    let folder = frozen::folder("marian");
    let options = pretrained::options::<Transformer>(&pretrained::config(&folder));
    let build = |options: &Value, weights: Weights| {
        let built = ModelHandle::of::<Transformer>(&options.to_string(), weights);
        built
            .err()
            .map_or_else(String::new, |error| error.to_string())
    };
    let mut deeper = options.clone();
    deeper["decoder_layers"] = json!(3);
    let mut wider = options.clone();
    wider["encoder_ffn_dim"] = json!(64);
    let weights = |folder: &Path| pretrained::weights::<Transformer>(folder);
    insta::assert_snapshot!(
        [
            build(&deeper, weights(&folder)),
            build(&wider, weights(&folder)),
            build(
                &options,
                weights(&folder).head("sequence-classification", 2)
            ),
        ]
        .join("\n")
    );
}

#[test]
fn refused_inputs() {
    let model = tenon_testkit::model::<Transformer>(tiny(json!({})), &Weights::seeded(1));
    let zeros =
        |shape: [i64; 2]| Tensor::zeros(shape, (Kind::Int64, tenon_plugin_api::tch::Device::Cpu));
    let labels_at_padding = inputs([1, 2], [1, 3])
        .with(
            "decoder_attention_mask",
            Tensor::from_slice2(&[[1_i64, 1, 0]]),
        )
        .with("labels", Tensor::from_slice2(&[[1_i64, 1, 1]]));
    let cases = [
        ("a source beyond the positions", inputs([1, 9], [1, 2])),
        ("a target beyond the positions", inputs([1, 2], [1, 9])),
        (
            "an id beyond the vocabulary",
            inputs([1, 2], [1, 2]).with("input_ids", zeros([1, 2]) + 24),
        ),
        (
            "a source without tokens",
            inputs([2, 2], [2, 2]).with("attention_mask", zeros([2, 2])),
        ),
        ("another number of targets", inputs([2, 2], [3, 2])),
        (
            "labels of another shape",
            inputs([1, 2], [1, 2]).with("labels", zeros([1, 3])),
        ),
        ("labels at padding", labels_at_padding),
        ("no columns", inputs([1, 2], [1, 0])),
    ];
    let refused = |(what, inputs): &(&str, TensorMap)| {
        let error = model.forward(inputs, &Forward::new(false, 0)).err();
        let error = error.map_or_else(String::new, |error| error.to_string());
        format!("{what}\n  {}\n", error.lines().next().unwrap_or_default())
    };
    insta::assert_snapshot!(cases.iter().map(refused).collect::<String>());
}
