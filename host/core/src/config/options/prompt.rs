//! `[prompt]`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Zero- and few-shot prompting: a language model is asked as it is, and nothing is trained. Needs a task that can be
/// prompted. `classification` asks which label's word is likeliest where the answer stands in the `template`.
/// `text-generation` has its own template, and puts solved examples before each prompt: prompt, target and `separator`
/// as they are, or in a chat as earlier turns.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct PromptOptions {
    /// A Jinja template over the columns of a record. `{{ answer }}` is where the answer stands: at the end for
    /// models that write on, anywhere for masked ones. For tasks that have no template of their own.
    #[schemars(example = &"Review: {{ text }}\nSentiment: {{ answer }}", extend("x-tenon" = "prompt"))]
    pub template: Option<String>,
    /// The word that stands for each label; labels that are not named stand for themselves.
    #[serde(default)]
    #[schemars(extend("x-tenon-also" = ["label_words"]))]
    pub verbalizers: BTreeMap<String, String>,
    /// Solved examples before each prompt, drawn from the training data by the run's seed. Where the model takes fewer
    /// tokens, as many as fit.
    #[serde(default)]
    #[schemars(range(max = 1000), extend("x-tenon-also" = ["num_shots", "k", "few_shot"]))]
    pub shots: u32,
    /// Whether each label has as many of them, as far as they go.
    #[serde(default = "yes")]
    pub balanced: bool,
    /// Text between the examples, and before the prompt. What a causal model writes ends at it, where `[generation]`
    /// does not say otherwise.
    #[serde(default = "separator")]
    pub separator: String,
    /// What is done about labels that the model prefers whatever the text is: their scores for a prompt without
    /// content are taken off (Zhao et al. 2021).
    #[serde(default)]
    pub calibrate: bool,
}

fn yes() -> bool {
    true
}

fn separator() -> String {
    "\n\n".to_owned()
}
