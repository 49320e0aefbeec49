//! Metrics of translations, equal to those of sacrebleu 2.6.
//!
//! Predictions and references are lines of text, with one or more references for each prediction,
//! not all of them as many. Where sacrebleu gives a number, so do these, to the last digit that
//! is printed. Where it refuses or ignores:
//!
//! | case | sacrebleu 2.6 | here |
//! | --- | --- | --- |
//! | no segment | raises | NaN |
//! | a segment without a reference | raises | error |
//! | `smooth_value` with a method that has none | ignored | error |
//! | tokenizers that need a dictionary or a model | downloads or raises | not there |
//!
//! Segments are counted on the host's threads. What is summed are counts, so that the metric of
//! merged shards is the metric of the whole.

mod corpus;
mod ngrams;
mod real;
mod signature;
mod text;
mod tokenize;
mod words;

mod bleu;
mod chrf;
mod ter;

pub use bleu::{Bleu, BleuOptions, Smooth};
pub use chrf::{Chrf, ChrfOptions};
pub use corpus::Level;
pub use ter::{Ter, TerOptions};
pub use tokenize::Tokenize;

tenon_plugin_api::register!(
    metric: Bleu, metric: Chrf, metric: Ter,
);
