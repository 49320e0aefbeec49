//! What a run file may set.

use tenon_plugin_api::options::Template;
use tenon_plugin_api::task::prelude::*;

/// Options of `text-generation`.
#[derive(Options, Debug)]
pub struct Options {
    /// What a record looks like.
    #[default(Format::Prompt)]
    pub format: Format,
    /// The prompt of a record of the format `prompt`: a Jinja template, in which columns stand in
    /// double braces. It may hold what Jinja has, such as `{% if input %}…{% endif %}`; an empty
    /// cell is the empty text, a list of texts a list. `{{ prompt }}` when absent.
    #[example("Summarize the dialogue.\n\n{{ dialogue }}\n\nSummary:")]
    pub prompt: Option<Template>,
    /// Column with the text to write, or with several of which each is right: the first is
    /// learned, all are references. `target` when absent, with the format `alpaca` `output`.
    #[example("summary")]
    pub target: Option<Column>,
    /// Column with the turns of the formats `messages` and `sharegpt`; `messages` and
    /// `conversations` when absent.
    #[example("messages")]
    pub messages: Option<Column>,
    /// What the model is told before everything else: the first turn of a conversation that has no
    /// system turn of its own, else a paragraph before the prompt.
    #[example("You answer in one sentence.")]
    pub system: Option<String>,
    /// Hands prompts to the model as a turn of the user, by its chat template, and targets as the
    /// answer, as conversations always are.
    #[default(false)]
    pub chat: bool,
    /// Which turns of the assistant a causal model learns.
    #[default(Turns::All)]
    pub turns: Turns,
    /// Learns to write the prompt, too; for causal models.
    #[default(false)]
    pub train_on_prompt: bool,
    /// The most tokens of a prompt, special tokens included; what the model takes when absent.
    #[range(min = 1)]
    #[example(512)]
    pub max_source_length: Option<usize>,
    /// The most tokens of a target, and of what is written where `[generation]` says nothing;
    /// what the model takes when absent.
    #[range(min = 1)]
    #[example(128)]
    pub max_target_length: Option<usize>,
    /// Which end of a prompt that is too long is cut off.
    #[default(Truncate::Auto)]
    pub truncation: Truncate,
    /// The share of the target that is spread evenly over the vocabulary (Szegedy et al. 2016,
    /// section 7).
    #[default(0.0)]
    #[range(min = 0.0, exclusive_max = 1.0)]
    pub label_smoothing: f64,
}

/// What a record looks like.
#[derive(Options, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Columns, which the template `prompt` puts together, and a target.
    Prompt,
    /// The columns `instruction`, `input`, which may be empty, and `output`, in the words of
    /// Stanford Alpaca (Taori et al. 2023).
    Alpaca,
    /// A list of turns with `role` and `content`, as in OpenAI's interface.
    Messages,
    /// A list of turns with `from` (`human`, `gpt`, `system`, `tool`) and `value`.
    Sharegpt,
}

/// Which turns of the assistant are learned.
#[derive(Options, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turns {
    /// Every one.
    All,
    /// Only the last one.
    Last,
}

/// Which end of a prompt that is too long is cut off.
#[derive(Options, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Truncate {
    /// The start for causal models, so that what leads to the target stays; the end for
    /// encoder–decoders.
    Auto,
    /// The start.
    Left,
    /// The end.
    Right,
}
