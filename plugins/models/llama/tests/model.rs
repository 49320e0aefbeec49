//! What a model folder may be, and what is refused.

#[path = "../../../../tests/fixtures/decoders/parity.rs"]
#[allow(dead_code)]
mod frozen;

use serde_json::{Value, json};
use tenon_llama::Llama;
use tenon_plugin_api::host::ModelHandle;
use tenon_testkit::pretrained;

/// The configuration that a model writes is one that it reads.
#[test]
fn configuration_of_a_folder() {
    for (name, architecture) in [
        ("llama", "LlamaForCausalLM"),
        ("mistral", "MistralForCausalLM"),
        ("qwen2", "Qwen2ForCausalLM"),
        ("qwen3", "Qwen3ForCausalLM"),
    ] {
        let (model, _) = frozen::open::<Llama>(name, "causal-lm", 0);
        let info = model.describe().expect("a description");
        assert_eq!(info.architecture, architecture);
        assert_eq!(info.max_length, 32);
        assert_eq!(info.config.get("model_type"), Some(&json!(name)));
    }
}

#[test]
fn refused_options_weights_and_heads() {
    let folder = frozen::folder("llama");
    let options = pretrained::options::<Llama>(&pretrained::config(&folder));
    let with = |name: &str, value: Value| {
        let mut options = options.clone();
        options[name] = value;
        (options, "causal-lm")
    };
    let rope = |value: Value| with("rope_parameters", value);
    let cases = [
        with("num_key_value_heads", json!(3)),
        with("num_attention_heads", json!(3)),
        with("head_dim", json!(7)),
        with("num_hidden_layers", json!(3)),
        with("layer_types", json!(["full_attention"])),
        with("model_type", json!("qwen3")),
        with("model_type", json!("gemma")),
        rope(json!({"rope_type": "linear"})),
        rope(json!({"rope_type": "llama3", "factor": 8.0})),
        rope(json!({"rope_type": "longrope", "factor": 2.0})),
        rope(json!({"rope_type": "longrope", "short_factor": [1.0], "long_factor": [1.0]})),
        rope(json!({"rope_type": "yarm", "factor": 2.0})),
        rope(json!({"rope_type": "linear", "factors": 2.0})),
        (options.clone(), "token-classification"),
    ];
    let refused = |(options, head): (Value, &str)| {
        let weights = pretrained::weights::<Llama>(&folder).head(head, 2);
        let built = ModelHandle::of::<Llama>(&options.to_string(), weights);
        let error = built.err().map(|error| error.to_string());
        error.unwrap_or_default() + "\n"
    };
    insta::assert_snapshot!(cases.into_iter().map(refused).collect::<String>());
}
