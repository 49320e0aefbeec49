//! `[generation]` and `[[processors]]`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{OneOrMany, Table};

/// How a model writes text. Keys are those of `generation_config.json` where Hugging Face has them. What
/// is not set here is what the task asks for, then what the model's `generation_config.json` says, then
/// the default.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct GenerationOptions {
    /// The most tokens to write, the prompt not counted (default 128).
    #[schemars(range(min = 1, max = 1_000_000), extend("x-tenon-also" = ["max_tokens", "max_length"]), example = 128)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_new_tokens: Option<u32>,
    /// The fewest tokens to write before a text may end.
    #[schemars(range(max = 1_000_000), extend("x-tenon-also" = ["min_length"]))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_new_tokens: Option<u32>,
    /// Beams, of which the best is the text (default 1: no beam search).
    #[schemars(range(min = 1, max = 1024), extend("x-tenon-also" = ["beam_size", "beams"]), example = 4)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub num_beams: Option<u32>,
    /// Groups of beams that are kept apart by `diversity_penalty` (Vijayakumar et al. 2018).
    #[schemars(range(min = 1, max = 1024))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub num_beam_groups: Option<u32>,
    /// What a token costs that a beam of another group has taken at the same time.
    #[schemars(range(min = 0.0))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub diversity_penalty: Option<f32>,
    /// Exponent of the length by which the score of a beam is divided (default 1): above 0 longer
    /// texts gain, below 0 shorter ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub length_penalty: Option<f32>,
    /// When beam search ends: `true` as soon as there are `num_beams` finished texts, `false` when a
    /// better one is unlikely (default), `"never"` when there can be no better one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub early_stopping: Option<EarlyStopping>,
    /// Texts to write for each prompt (default 1).
    #[schemars(range(min = 1, max = 10_000), extend("x-tenon-also" = ["n", "num_samples"]))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub num_return_sequences: Option<u32>,
    /// Whether tokens are drawn by their probability instead of the most probable one taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub do_sample: Option<bool>,
    /// What scores are divided by before tokens are drawn: below 1 sharper, above 1 flatter.
    #[schemars(extend("exclusiveMinimum" = 0), example = 0.8)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f32>,
    /// Draws among the most probable tokens only, so many; 0 for all (default 50, as in
    /// `transformers`).
    #[schemars(range(min = 0))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_k: Option<u32>,
    /// Draws among the fewest tokens that have this probability together (nucleus sampling, Holtzman
    /// et al. 2020).
    #[schemars(range(max = 1.0), extend("exclusiveMinimum" = 0))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_p: Option<f32>,
    /// Draws among tokens of at least this fraction of the most probable one's probability (Nguyen
    /// et al. 2024).
    #[schemars(range(min = 0.0, max = 1.0))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_p: Option<f32>,
    /// Draws among the tokens whose information is nearest to the expected one, with this probability
    /// together (locally typical sampling, Meister et al. 2022).
    #[schemars(range(max = 1.0), extend("exclusiveMinimum" = 0))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub typical_p: Option<f32>,
    /// Weight of the penalty of contrastive search (Su et al. 2022), which takes among the `top_k` most
    /// probable tokens the one least like what stands already.
    #[schemars(range(min = 0.0, max = 1.0), example = 0.6)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub penalty_alpha: Option<f32>,
    /// What scores of tokens that stand already are divided by (multiplied where negative; Keskar et
    /// al. 2019); 1 changes nothing.
    #[schemars(extend("exclusiveMinimum" = 0), example = 1.2)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repetition_penalty: Option<f32>,
    /// The same for tokens that are not in the source of an encoder–decoder: above 1 keeps to it.
    #[schemars(extend("exclusiveMinimum" = 0))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encoder_repetition_penalty: Option<f32>,
    /// Taken from the scores of tokens that were written already.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub presence_penalty: Option<f32>,
    /// Taken from the score of a token as often as it was written already.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frequency_penalty: Option<f32>,
    /// No sequence of so many tokens occurs twice.
    #[schemars(range(min = 0, max = 1000), example = 3)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub no_repeat_ngram_size: Option<u32>,
    /// No sequence of so many tokens of an encoder–decoder's source is written.
    #[schemars(range(min = 0, max = 1000))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encoder_no_repeat_ngram_size: Option<u32>,
    /// Words and phrases that are never written.
    #[schemars(extend("x-tenon-also" = ["bad_words_ids"]))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bad_words: Option<Vec<String>>,
    /// Tokens that are never written, by name or number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suppress_tokens: Option<Vec<TokenName>>,
    /// Tokens that are not written first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub begin_suppress_tokens: Option<Vec<TokenName>>,
    /// Text that every output begins with. It is part of the output.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// The token that is written first, by name or number, such as that of a language.
    #[schemars(extend("x-tenon-also" = ["forced_bos_token_id"]))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forced_bos_token: Option<TokenName>,
    /// The token that is written last where a text is cut off, by name or number.
    #[schemars(extend("x-tenon-also" = ["forced_eos_token_id"]))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forced_eos_token: Option<TokenName>,
    /// Tokens that end a text, by name or number, in place of the tokenizer's.
    #[schemars(extend("x-tenon-also" = ["eos_token_id"]))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eos_token: Option<OneOrMany<TokenName>>,
    /// Texts at which writing ends. They are not part of the output.
    #[schemars(extend("x-tenon-also" = ["stop", "stop_sequences"]))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_strings: Option<Vec<String>>,
    /// Whether special tokens stay in the text (default no).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep_special_tokens: Option<bool>,
    /// Prompts that are written on at the same time (default 16).
    #[schemars(range(min = 1, max = 100_000))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch_size: Option<u32>,
}

/// When beam search ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum EarlyStopping {
    /// As soon as there are enough finished texts, or when a better one is unlikely.
    When(bool),
    /// When there can be no better one.
    Word(NeverWord),
}

/// The word `never`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum NeverWord {
    /// When there can be no better one.
    Never,
}

/// A token, by its number or its name in the vocabulary.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum TokenName {
    /// Its number.
    Id(u32),
    /// Its name, such as `"</s>"`.
    Name(String),
}

/// A processor of the scores of the next token. The other keys of the table are the options of the
/// component.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-tenon-component" = "processor"))]
pub struct ProcessorOptions {
    /// The component: its short name, or `plugin::component`.
    #[serde(rename = "use")]
    #[schemars(example = &"letters-only")]
    pub component: String,
    /// Options of the component.
    #[serde(flatten)]
    #[schemars(skip)]
    pub options: Table,
}
