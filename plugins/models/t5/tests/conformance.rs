//! The model passes the battery that every model should pass: as the first T5, and gated and untied as v1.1.

use serde_json::json;
use tenon_t5::T5;
use tenon_testkit::conformance;

#[test]
fn conforms() {
    let tiny = |feed_forward_proj: &str, tie: bool| {
        json!({
            "vocab_size": 24,
            "d_model": 16,
            "d_kv": 6,
            "d_ff": 20,
            "num_layers": 2,
            "num_decoder_layers": 3,
            "num_heads": 4,
            "relative_attention_num_buckets": 8,
            "relative_attention_max_distance": 10,
            "feed_forward_proj": feed_forward_proj,
            "tie_word_embeddings": tie,
        })
    };
    conformance::model_variants::<T5>(&[tiny("relu", true), tiny("gated-gelu", false)]);
}
