//! What a run file may set.

use tenon_plugin_api::peft::prelude::*;

/// Options of `freeze`.
#[derive(Options, Debug, Clone)]
pub struct Options {
    /// Train this many layers, counted from the top: the one nearest to the output first. What
    /// lies above them, such as a pooler, is trained when `train` names it.
    #[range(min = 1)]
    #[example(2)]
    pub layers: Option<usize>,
    /// What is trained besides: `biases`, `norms`, `embeddings`, `all`; a role of a site
    /// (`query`); a module or parameter by its name or the end of it (`pooler`, `query.bias`); or
    /// a pattern of whole names (`*.layer.5.*`).
    #[default([])]
    #[example(["biases", "norms", "pooler", "*.layer.5.*"])]
    pub train: OneOrMany<String>,
    /// What stays as it is although `layers` or `train` selects it, or because it is the `head`,
    /// which is trained otherwise; written like `train`. Alone, it leaves all the rest trained.
    #[default([])]
    #[example("embeddings")]
    pub freeze: OneOrMany<String>,
}
