//! Loss, logits, gradients and greedy text equal those of `transformers`' T5ForConditionalGeneration and
//! MT5ForConditionalGeneration, frozen in `tests/fixtures/seq2seq`.

#[path = "../../../../tests/fixtures/seq2seq/parity.rs"]
mod frozen;

use frozen::check;
use tenon_t5::T5;

#[test]
fn relu_tied_and_scaled() {
    check::<T5>("t5", "t5");
}

#[test]
fn gated_silu_tied_and_not_scaled() {
    check::<T5>("t5-unscaled", "t5-unscaled");
}

#[test]
fn gated_gelu_with_an_output_layer_of_its_own() {
    check::<T5>("t5-untied", "t5-untied");
}

#[test]
fn distances_of_all_buckets() {
    check::<T5>("t5-long", "t5-long");
}

#[test]
fn mt5() {
    check::<T5>("mt5", "mt5");
}

/// transformers 5 writes `tie_word_embeddings: true` beside two tensors with different values.
#[test]
fn two_tensors_and_a_configuration_that_says_one() {
    check::<T5>("t5-resaved", "t5-untied");
}

#[test]
fn tied_tensors_many_times_in_the_file() {
    check::<T5>("t5-whole", "t5");
}
