//! What a model folder may be, how new weights start, and what is refused.

#[path = "../../../../tests/fixtures/seq2seq/parity.rs"]
#[allow(dead_code)]
mod frozen;

use serde_json::{Value, json};
use tenon_plugin_api::host::ModelHandle;
use tenon_t5::T5;
use tenon_testkit::model::Weights;
use tenon_testkit::pretrained;

/// The configuration that a model writes is one that it reads, and says all that was set.
#[test]
fn configuration_of_a_folder() {
    for (name, architecture) in [
        ("t5", "T5ForConditionalGeneration"),
        ("t5-unscaled", "T5ForConditionalGeneration"),
        ("t5-untied", "T5ForConditionalGeneration"),
        ("mt5", "MT5ForConditionalGeneration"),
    ] {
        let config = pretrained::config(&frozen::folder(name));
        let (model, _) = frozen::open::<T5>(name);
        let info = model.describe().expect("a description");
        assert_eq!(info.architecture, architecture);
        for (key, value) in &info.config {
            assert_eq!(config.get(key), Some(value), "{key} of {name}");
        }
    }
}

/// The deviations of `transformers`; an output layer of its own starts with those of a matrix.
#[test]
fn how_new_weights_start() {
    let weights = Weights::seeded(3);
    let options = json!({
        "vocab_size": 300,
        "d_model": 64,
        "d_kv": 16,
        "d_ff": 256,
        "num_layers": 1,
        "num_heads": 8,
        "feed_forward_proj": "gated-gelu",
        "tie_word_embeddings": false,
    });
    tenon_testkit::model::<T5>(options, &weights);
    let block = "decoder.block.0.layer";
    for (name, expected) in [
        ("shared.weight".to_owned(), 1.0),
        ("lm_head.weight".to_owned(), 1.0 / 8.0),
        (format!("{block}.0.SelfAttention.q.weight"), 1.0 / 32.0),
        (format!("{block}.0.SelfAttention.k.weight"), 1.0 / 8.0),
        (
            format!("{block}.1.EncDecAttention.o.weight"),
            128.0_f64.powf(-0.5),
        ),
        (format!("{block}.2.DenseReluDense.wi_1.weight"), 1.0 / 8.0),
        (format!("{block}.2.DenseReluDense.wo.weight"), 1.0 / 16.0),
        (
            format!("{block}.0.SelfAttention.relative_attention_bias.weight"),
            1.0 / 8.0,
        ),
    ] {
        let found = weights.parameter(&name).std(false).double_value(&[]);
        assert!(
            (found / expected - 1.0).abs() < 0.12,
            "{name}: {found}, expected {expected}"
        );
    }
}

#[test]
fn refused_options_weights_and_heads() {
    let folder = frozen::folder("t5");
    let options = pretrained::options::<T5>(&pretrained::config(&folder));
    let with = |name: &str, value: Value| {
        let mut options = options.clone();
        options[name] = value;
        options
    };
    let weights = || pretrained::weights::<T5>(&folder);
    let classes = || weights().head("sequence-classification", 2);
    let cases = [
        (with("relative_attention_max_distance", json!(4)), weights()),
        (with("decoder_start_token_id", json!(40)), weights()),
        (with("feed_forward_proj", json!("gated-gelu")), weights()),
        (with("feed_forward_proj", json!("gated")), weights()),
        (with("num_layers", json!(3)), weights()),
        (with("d_kv", json!(4)), weights()),
        (options.clone(), classes()),
    ];
    let refused = |(options, weights): (Value, Weights)| {
        let built = ModelHandle::of::<T5>(&options.to_string(), weights);
        built
            .err()
            .map_or_else(String::new, |error| error.to_string())
            + "\n"
    };
    insta::assert_snapshot!(cases.into_iter().map(refused).collect::<String>());
}
