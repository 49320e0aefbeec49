//! Loss, logits, gradients and greedy text equal those of `transformers`' GPT-2, frozen in
//! `tests/fixtures/decoders`.

#[path = "../../../../tests/fixtures/decoders/parity.rs"]
mod frozen;

use frozen::check;
use tenon_gpt2::Gpt2;

#[test]
fn gelu_new_with_padding() {
    check::<Gpt2>("gpt2", "gpt2");
}

#[test]
fn scores_scaled_by_layer_an_untied_head_and_padding_on_the_left() {
    check::<Gpt2>("gpt2-scaled", "gpt2-scaled");
}

#[test]
fn scores_that_are_not_scaled_without_a_mask() {
    check::<Gpt2>("gpt2-unscaled", "gpt2-unscaled");
}

#[test]
fn classes_of_the_last_token_that_is_not_padding() {
    check::<Gpt2>("gpt2-sequences", "gpt2-sequences");
}

#[test]
fn a_file_without_head_and_prefix() {
    check::<Gpt2>("gpt2-bare", "gpt2");
}
