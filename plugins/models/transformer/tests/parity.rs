//! Loss, logits, gradients and greedy text equal those of `transformers`' MarianMTModel, frozen in
//! `tests/fixtures/seq2seq`.

#[path = "../../../../tests/fixtures/seq2seq/parity.rs"]
mod frozen;

use frozen::check;
use tenon_transformer::Transformer;

#[test]
fn swish_scaled_embeddings_and_padding() {
    check::<Transformer>("marian", "marian");
}

#[test]
fn relu_other_shapes_on_each_side_and_no_masks() {
    check::<Transformer>("marian-relu", "marian-relu");
}

#[test]
fn a_vocabulary_for_each_side() {
    check::<Transformer>("marian-separate", "marian-separate");
}

#[test]
fn untied_tables_and_few_labels() {
    check::<Transformer>("marian-untied", "marian-untied");
}

#[test]
fn tied_tensors_many_times_in_the_file() {
    check::<Transformer>("marian-whole", "marian");
}
