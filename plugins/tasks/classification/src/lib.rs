//! Text classification: a class, a set of classes or a number for a text or a pair of texts.
//!
//! With the logits `z` `[batch, num_labels]` of a sequence-classification head and the labels `y`:
//!
//! | `problem` | loss of an example | prediction |
//! | --- | --- | --- |
//! | `single_label` | `-log softmax(z)[y]` | `argmax z`, scored by `softmax(z)` |
//! | `multi_label` | mean over classes of `-y·log σ(z) - (1-y)·log(1-σ(z))` | classes with `σ(z) > threshold`, scored by `σ(z)` |
//! | `regression` | `(z - y)²` | `z` |
//!
//! Summed over a batch and divided by the weight, these are the losses of `transformers`' models
//! for sequence classification with the same `problem_type`. The weight is the number of examples;
//! where classes have weights, the sum of those of the references, as in
//! `torch.nn.CrossEntropyLoss`.
//!
//! With `[prompt]` in the run file a language model is asked instead, and nothing is trained: see [`prompted`].

mod options;
mod prompted;
mod task;

#[cfg(test)]
mod tests;

pub use options::{Options, Problem, Truncate};
pub use task::Classification;

tenon_plugin_api::register!(task: Classification);
