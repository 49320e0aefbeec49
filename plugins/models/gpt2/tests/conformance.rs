//! GPT-2 passes the battery that every model should pass.

use tenon_gpt2::Gpt2;
use tenon_testkit::conformance;

#[test]
fn conforms() {
    conformance::model::<Gpt2>(serde_json::json!({
        "vocab_size": 24,
        "n_positions": 16,
        "n_embd": 16,
        "n_layer": 2,
        "n_head": 4,
        "n_inner": 20,
        "initializer_range": 0.3,
    }));
}
