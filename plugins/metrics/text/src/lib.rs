//! Metrics of generated text: overlap with references, likeness, diversity, and the likelihood that
//! a language model gives to text.
//!
//! Equal to their reference implementations to 1e-12: `rouge` to rouge-score 0.1.2 with NLTK's
//! stemmer, `edit-similarity` to rapidfuzz, `text-match` to the `exact_match` of Hugging Face's
//! `evaluate`, `distinct`, `repetition` and `perplexity` to the definitions in their papers. Where
//! these give no number:
//!
//! | case | the reference | here |
//! | --- | --- | --- |
//! | no example | raises | NaN |
//! | an example without a reference | raises | error |
//! | a text without words, for ROUGE | 0 | 0 |
//! | two empty texts, for edit similarity | 1 | 1 |
//! | a text shorter than `n` words, for seq-rep-n | raises | left out |
//! | no word at all, for distinct-n and rep | raises | NaN |
//! | no token, or an example without bytes | | NaN; no `bits_per_byte` |

mod bootstrap;
mod kept;
mod mean;
mod ngrams;
mod porter;
mod table;
mod words;

mod distinct;
mod edit_similarity;
mod perplexity;
mod repetition;
mod rouge;
mod text_match;

pub use distinct::{Distinct, DistinctOptions, Per};
pub use edit_similarity::{EditSimilarity, EditSimilarityOptions, Similarity};
pub use perplexity::Perplexity;
pub use repetition::{Repetition, RepetitionOptions};
pub use rouge::{Rouge, RougeOptions};
pub use text_match::{TextMatch, TextMatchOptions};

tenon_plugin_api::register!(
    metric: Rouge,
    metric: TextMatch,
    metric: EditSimilarity,
    metric: Distinct,
    metric: Repetition,
    metric: Perplexity,
);
