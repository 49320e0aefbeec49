//! Each model of the family passes the battery that every model should pass.

use tenon_llama::Llama;
use tenon_testkit::conformance;

#[test]
fn conforms() {
    for family in ["llama", "mistral", "qwen2", "qwen3"] {
        conformance::model::<Llama>(serde_json::json!({
            "model_type": family,
            "vocab_size": 24,
            "max_position_embeddings": 32,
            "hidden_size": 16,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "head_dim": 6,
            "intermediate_size": 20,
            "initializer_range": 0.3,
            "sliding_window": 3,
            "use_sliding_window": true,
            "max_window_layers": 1,
        }));
    }
}
