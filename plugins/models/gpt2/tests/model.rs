//! What a model folder may be, how new weights start, and what is refused.

#[path = "../../../../tests/fixtures/decoders/parity.rs"]
#[allow(dead_code)]
mod frozen;

use serde_json::{Value, json};
use tenon_gpt2::Gpt2;
use tenon_plugin_api::cache::Cache;
use tenon_plugin_api::host::ModelHandle;
use tenon_plugin_api::model::Forward;
use tenon_plugin_api::tch::{Device, Kind, Tensor};
use tenon_plugin_api::tensor::TensorMap;
use tenon_testkit::model::Weights;
use tenon_testkit::pretrained;

/// The deviations of `transformers`: layers before a residual sum start smaller by `√(2·n_layer)`.
#[test]
fn how_new_weights_start() {
    let weights = Weights::seeded(3).head("causal-lm", 0);
    let options = json!({
        "vocab_size": 300, "n_positions": 64, "n_embd": 64, "n_layer": 8, "n_head": 4,
        "tie_word_embeddings": false,
    });
    tenon_testkit::model::model::<Gpt2>(options, &weights);
    for (name, expected) in [
        ("transformer.wte.weight", 0.02),
        ("transformer.wpe.weight", 0.02),
        ("transformer.h.7.attn.c_attn.weight", 0.02),
        ("transformer.h.7.attn.c_proj.weight", 0.005),
        ("transformer.h.0.mlp.c_fc.weight", 0.02),
        ("transformer.h.0.mlp.c_proj.weight", 0.005),
        ("lm_head.weight", 0.02),
        ("transformer.h.0.mlp.c_proj.bias", 0.0),
        ("transformer.ln_f.weight", 0.0),
    ] {
        let found = weights.parameter(name).std(false).double_value(&[]);
        assert!(
            (found - expected).abs() <= 0.05 * expected,
            "{name}: {found}, expected {expected}"
        );
    }
}

/// The configuration that a model writes is one that it reads.
#[test]
fn configuration_of_a_folder() {
    for (head, architecture) in [
        ("causal-lm", "GPT2LMHeadModel"),
        ("sequence-classification", "GPT2ForSequenceClassification"),
    ] {
        let (model, _) = frozen::open::<Gpt2>("gpt2", head, 2);
        let info = model.describe().expect("a description");
        assert_eq!(info.architecture, architecture);
        assert_eq!(info.max_length, 32);
        assert_eq!(info.config.get("model_type"), Some(&json!("gpt2")));
    }
}

#[test]
fn refused_options_weights_and_heads() {
    let folder = frozen::folder("gpt2");
    let options = pretrained::options::<Gpt2>(&pretrained::config(&folder));
    let with = |name: &str, value: Value| {
        let mut options = options.clone();
        options[name] = value;
        (options, "causal-lm")
    };
    let cases = [
        with("n_head", json!(5)),
        with("add_cross_attention", json!(true)),
        with("n_layer", json!(3)),
        with("n_inner", json!(24)),
        with("vocab_size", json!(41)),
        with("tie_word_embeddings", json!(false)),
        with("activation_function", json!("gelu_newer")),
        with("resid_pdrop", json!(1.5)),
        (options.clone(), "token-classification"),
    ];
    let refused = |(options, head): (Value, &str)| {
        let weights = pretrained::weights::<Gpt2>(&folder).head(head, 2);
        let built = ModelHandle::of::<Gpt2>(&options.to_string(), weights);
        let error = built.err().map(|error| error.to_string());
        error.unwrap_or_default() + "\n"
    };
    insta::assert_snapshot!(cases.into_iter().map(refused).collect::<String>());
}

#[test]
fn refused_inputs() {
    let (model, _) = frozen::open::<Gpt2>("gpt2", "causal-lm", 0);
    let (bare, _) = frozen::open::<Gpt2>("gpt2", "sequence-classification", 2);
    let ids = |rows: i64, time: i64| Tensor::ones([rows, time], (Kind::Int64, Device::Cpu));
    let inputs = |ids: Tensor| TensorMap::new().with("input_ids", ids);
    let forward = Forward::new(false, 0);
    let read = |inputs: TensorMap| model.forward(&inputs, &forward);
    let begin = |model: &ModelHandle, starts: Vec<i64>, ids: Tensor| {
        let rows = starts.len() as i64;
        let mut cache = Cache::new(starts, rows, 64)?;
        model.prefill(&inputs(ids), &mut cache, &forward)
    };
    let results = [
        read(inputs(ids(1, 33))),
        read(inputs(ids(1, 4) * 40)),
        read(inputs(ids(1, 4)).with("attention_mask", ids(1, 5))),
        read(inputs(ids(2, 4)).with("attention_mask", ids(2, 4).tril(-1))),
        read(inputs(ids(1, 4)).with("labels", ids(1, 5))),
        read(inputs(ids(1, 4).squeeze())),
        begin(&model, vec![0, 4], ids(2, 4)),
        begin(&model, vec![0], ids(1, 33)),
        begin(&model, vec![0], ids(2, 4)),
        begin(&bare, vec![0], ids(1, 4)),
    ];
    let refused = |result: tenon_plugin_api::Result<TensorMap>| {
        let error = result.err().map(|error| error.to_string());
        let error = error.unwrap_or_default();
        error.lines().next().unwrap_or_default().to_owned() + "\n"
    };
    insta::assert_snapshot!(results.into_iter().map(refused).collect::<String>());
}

/// Where there are many labels, products are of a few more rows; nobody sees them, and no gradient comes of them.
#[test]
fn logits_and_gradients_of_many_labels() {
    let (model, weights) = frozen::open::<Gpt2>("gpt2", "causal-lm", 0);
    let ids = Tensor::arange(300, (Kind::Int64, Device::Cpu))
        .remainder(37)
        .reshape([10, 30]);
    let labels = ids.masked_fill(&ids.eq(5), -100);
    let places = labels.reshape([-1]).not_equal(-100).nonzero().reshape([-1]);
    let forward = Forward::new(false, 0);
    let inputs = TensorMap::new().with("input_ids", ids);
    let logits = |inputs: &TensorMap| {
        let outputs = model.forward(inputs, &forward).expect("a forward pass");
        outputs.require("logits").expect("logits").shallow_clone()
    };
    let all = logits(&inputs).flatten(0, 1).index_select(0, &places);
    let some = logits(&inputs.with("labels", labels));
    assert!(places.size()[0] > 200 && places.size()[0] % 64 != 0);
    let gradient = |logits: &Tensor| {
        let words = weights.parameter("transformer.wte.weight");
        logits.square().sum(Kind::Float).backward();
        let gradient = words.grad().copy();
        let _ = words.grad().zero_();
        gradient
    };
    assert!(all.allclose(&some, 1e-5, 1e-5, false));
    assert!(gradient(&all).allclose(&gradient(&some), 1e-4, 1e-3, false));
}
