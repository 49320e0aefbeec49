//! What a run file may set; the names are those of `peft`.

use std::collections::BTreeMap;

use tenon_plugin_api::peft::prelude::*;

/// Options of `lora`.
#[derive(Options, Debug, Clone)]
pub struct Options {
    /// Rank of the update.
    #[default(8)]
    #[range(min = 1)]
    pub r: usize,
    /// The update is scaled by `lora_alpha / r`.
    #[default(8.0)]
    #[example(16)]
    pub lora_alpha: f64,
    /// Share of the input's elements that the update does not see while it trains.
    #[default(0.0)]
    #[range(min = 0.0, exclusive_max = 1.0)]
    pub lora_dropout: f64,
    /// Scale by `lora_alpha / √r`, which keeps large ranks stable.
    #[default(false)]
    pub use_rslora: bool,
    /// Which biases of the model are trained too.
    #[default(Bias::None)]
    pub bias: Bias,
    /// Linear layers to attach to: roles (`query`), ends of module names (`attention.self.query`),
    /// patterns of whole names (`*.layer.[0-3].*`), or `all-linear` for all but the head. When
    /// absent, what makes queries and values (section 7.1, table 5): the roles `query` and `value`,
    /// and `query_key_value` in models that make all three in one layer.
    #[example("all-linear")]
    pub target_sites: Option<Sites>,
    /// A regular expression that matches the whole names of the layers to attach to, instead of
    /// `target_sites`.
    #[example(r".*\.(query|value)")]
    pub target_regex: Option<String>,
    /// Layers to leave out of those that the targets select, written as they are.
    #[default([])]
    pub exclude_sites: Sites,
    /// Attach to these layers of the model only, counted from 0.
    #[example(10)]
    pub layers_to_transform: Option<OneOrMany<usize>>,
    /// Modules that are trained whole and saved with the adapter, by name or end of name. The
    /// task's head always is.
    #[default([])]
    #[example("pooler")]
    pub modules_to_save: OneOrMany<String>,
    /// Other ranks for some of the targets, by what selects them.
    #[default({})]
    pub rank_pattern: BTreeMap<String, usize>,
    /// Other `lora_alpha` for some of the targets, by what selects them.
    #[default({})]
    pub alpha_pattern: BTreeMap<String, f64>,
    /// How `A` starts; `B` starts at zero.
    #[default(InitLoraWeights::Kaiming)]
    pub init_lora_weights: InitLoraWeights,
}

/// Which biases are trained.
#[derive(Options, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bias {
    /// None.
    None,
    /// All of the model's.
    All,
    /// Those of the layers that the method attaches to.
    LoraOnly,
}

/// How `A` starts.
#[derive(Options, Clone, Copy, Debug, PartialEq, Eq)]
pub enum InitLoraWeights {
    /// As `torch.nn.Linear` does: uniform, by He's rule.
    Kaiming,
    /// Normal with standard deviation `1 / r`.
    Gaussian,
}

impl Bias {
    /// The word in `adapter_config.json`.
    pub fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::All => "all",
            Self::LoraOnly => "lora_only",
        }
    }
}
