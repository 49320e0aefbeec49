//! The model passes the battery that every model should pass: with tied tables, and with a table for each use.

use serde_json::json;
use tenon_testkit::conformance;
use tenon_transformer::Transformer;

#[test]
fn conforms() {
    let tiny = |share: bool, tie: bool| {
        json!({
            "vocab_size": 24,
            "d_model": 16,
            "encoder_layers": 2,
            "decoder_layers": 2,
            "encoder_attention_heads": 4,
            "decoder_attention_heads": 2,
            "encoder_ffn_dim": 20,
            "decoder_ffn_dim": 24,
            "max_position_embeddings": 16,
            "pad_token_id": 0,
            "decoder_start_token_id": 0,
            "share_encoder_decoder_embeddings": share,
            "tie_word_embeddings": tie,
        })
    };
    conformance::model_variants::<Transformer>(&[
        tiny(true, true),
        tiny(false, true),
        tiny(true, false),
    ]);
}
