//! What a run file may set.

use std::collections::BTreeMap;

use tenon_plugin_api::task::prelude::*;

/// Options of `classification`.
#[derive(Options, Debug)]
pub struct Options {
    /// Column with the text.
    #[default("text")]
    pub text: Column,
    /// Column with the second text of a pair, as in entailment or similarity.
    #[example("hypothesis")]
    pub text_pair: Option<Column>,
    /// Column with the class, the list of classes, or the number to predict.
    #[default("label")]
    pub label: Column,
    /// What the label is.
    #[default(Problem::Auto)]
    pub problem: Problem,
    /// Classes of the head, when there are to be more than the data has; 1 makes `auto` a
    /// regression.
    #[range(min = 1)]
    pub num_labels: Option<usize>,
    /// The most tokens of an example, special tokens included; what the model takes when absent.
    #[range(min = 2)]
    #[example(128)]
    pub max_length: Option<usize>,
    /// Which text is cut when an example is longer than `max_length`.
    #[default(Truncate::LongestFirst)]
    pub truncation: Truncate,
    /// `single_label`: the share of the target that is spread evenly over all classes (Szegedy et
    /// al. 2016, section 7).
    #[default(0.0)]
    #[range(min = 0.0, exclusive_max = 1.0)]
    pub label_smoothing: f64,
    /// Weights of classes in the loss, by name; the others have 1. With `single_label` an example
    /// counts as much as its class does; with `multi_label` it is the class's presence that does,
    /// as `pos_weight` in `torch.nn.BCEWithLogitsLoss`.
    #[default({})]
    pub class_weights: BTreeMap<String, f64>,
    /// `multi_label`: a class is predicted when its score is above this.
    #[default(0.5)]
    #[range(min = 0.0, max = 1.0)]
    pub threshold: f64,
}

/// What the label is.
#[derive(Options, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Problem {
    /// What the label column looks like: lists are `multi_label`, numbers with a fraction
    /// `regression`, all else `single_label`.
    Auto,
    /// One class an example.
    SingleLabel,
    /// Any number of classes an example.
    MultiLabel,
    /// A number, such as the similarity of two sentences.
    Regression,
}

/// Which text is cut when an example is too long.
#[derive(Options, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Truncate {
    /// Token by token the longer one.
    LongestFirst,
    /// The first one.
    OnlyFirst,
    /// The second one.
    OnlySecond,
    /// None: too long an example is an error.
    Never,
}

impl From<Truncate> for Truncation {
    fn from(truncate: Truncate) -> Self {
        match truncate {
            Truncate::LongestFirst => Self::LongestFirst,
            Truncate::OnlyFirst => Self::OnlyFirst,
            Truncate::OnlySecond => Self::OnlySecond,
            Truncate::Never => Self::Never,
        }
    }
}
