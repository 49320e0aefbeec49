//! Loss, logits, gradients and greedy text equal those of `transformers`' Llama, Mistral, Qwen2 and Qwen3, frozen in
//! `tests/fixtures/decoders`.

#[path = "../../../../tests/fixtures/decoders/parity.rs"]
mod frozen;

use frozen::check;
use tenon_llama::Llama;

#[test]
fn llama_with_biases_and_padding() {
    check::<Llama>("llama", "llama");
}

#[test]
fn positions_scaled_linearly_and_padding_on_the_left() {
    check::<Llama>("llama-linear", "llama-linear");
}

#[test]
fn positions_scaled_by_the_length_of_the_sequence() {
    check::<Llama>("llama-dynamic", "llama-dynamic");
}

#[test]
fn positions_scaled_as_yarn_does() {
    check::<Llama>("llama-yarn", "llama-yarn");
}

#[test]
fn positions_scaled_as_llama_3_does() {
    check::<Llama>("llama3", "llama3");
}

#[test]
fn positions_scaled_as_longrope_does() {
    check::<Llama>("llama-longrope", "llama-longrope");
}

#[test]
fn a_configuration_as_older_versions_wrote_it() {
    check::<Llama>("llama-older", "llama3");
}

#[test]
fn llama_classifies() {
    check::<Llama>("llama-sequences", "llama-sequences");
}

#[test]
fn mistral_with_a_window() {
    check::<Llama>("mistral", "mistral");
}

#[test]
fn mistral_without_a_window_and_with_one_head_of_keys() {
    check::<Llama>("mistral-all", "mistral-all");
}

#[test]
fn qwen2_with_a_window_in_its_last_layer() {
    check::<Llama>("qwen2", "qwen2");
}

#[test]
fn qwen3_with_normalised_heads() {
    check::<Llama>("qwen3", "qwen3");
}

#[test]
fn qwen3_classifies() {
    check::<Llama>("qwen3-sequences", "qwen3-sequences");
}
