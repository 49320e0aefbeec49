//! What a run file may set.

use tenon_plugin_api::task::prelude::*;

/// Options of `translation`.
#[derive(Options, Debug)]
pub struct Options {
    /// Column with the text to translate; `source` when absent.
    #[example("en")]
    pub source: Option<Column>,
    /// Column with its translation, or with several: the first is learned, all are references.
    /// `target` when absent.
    #[example("de")]
    pub target: Option<Column>,
    /// Column with both, a map from languages to texts (`{"en": "…", "de": "…"}`), in place of
    /// `source` and `target`.
    #[example("translation")]
    pub pair: Option<Column>,
    /// Key of the source in the map of `pair`.
    #[example("en")]
    pub source_language: Option<String>,
    /// Key of the target in the map of `pair`.
    #[example("de")]
    pub target_language: Option<String>,
    /// Text before every source.
    #[default("")]
    #[example("translate English to German: ")]
    pub prefix: String,
    /// Token before every source, in place of what the tokenizer puts there.
    #[example(">>de<<")]
    pub source_token: Option<String>,
    /// Token that every translation begins with, in place of what the tokenizer puts there.
    #[example("deu_Latn")]
    pub target_token: Option<String>,
    /// The most tokens of a source, special tokens included; what the model takes when absent.
    /// What is longer loses its end.
    #[range(min = 2)]
    #[example(128)]
    pub max_source_length: Option<usize>,
    /// The most tokens of a target, and of what is written where `[generation]` says nothing;
    /// what the model takes when absent.
    #[range(min = 2)]
    #[example(128)]
    pub max_target_length: Option<usize>,
    /// The share of the target that is spread evenly over the vocabulary (Szegedy et al. 2016,
    /// section 7).
    #[default(0.0)]
    #[range(min = 0.0, exclusive_max = 1.0)]
    #[example(0.1)]
    pub label_smoothing: f64,
}
