//! `[prompt]`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Zero- and few-shot prompting: the task's records become texts that a language model goes on with, or in which a
/// masked one fills in the answer. Needs a task that can be prompted, such as `classification`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct PromptOptions {
    /// A Jinja template over the columns of a record. `{{ answer }}` is where the answer stands: at the end for
    /// models that write on, anywhere for masked ones.
    #[schemars(example = &"Review: {{ text }}\nSentiment: {{ answer }}", extend("x-tenon" = "prompt"))]
    pub template: String,
    /// The word that stands for each label; labels that are not named stand for themselves.
    #[serde(default)]
    #[schemars(extend("x-tenon-also" = ["label_words"]))]
    pub verbalizers: BTreeMap<String, String>,
    /// Solved examples before each prompt, drawn from the training data by the run's seed.
    #[serde(default)]
    #[schemars(range(max = 1000), extend("x-tenon-also" = ["num_shots", "k", "few_shot"]))]
    pub shots: u32,
    /// Whether each label has as many of them, as far as they go.
    #[serde(default = "yes")]
    pub balanced: bool,
    /// Text between the examples, and before the prompt.
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
