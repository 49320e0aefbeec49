//! `[tokenizer]`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::OneOrMany;
use crate::tokenizer::train::{Kind, Normalization, TrainSpec};

/// The tokenizer.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("x-tenon-either" = [["path", "train"]]))]
pub struct TokenizerOptions {
    /// A `tokenizer.json`, a SentencePiece model, or a folder that holds one. Without it, the one
    /// beside the pretrained model.
    #[schemars(extend("format" = "path"), example = &"models/all-MiniLM-L6-v2/tokenizer.json")]
    pub path: Option<String>,
    /// Train a tokenizer on the text of the training data when the run starts. It is kept in the
    /// run's folder, and goes with the result.
    #[schemars(example = serde_json::json!({ "kind": "bpe", "vocab_size": 8000 }))]
    pub train: Option<TokenizerTrainOptions>,
    /// Tokens after which an input is cut, special tokens included. Without it, the limit of the
    /// model.
    #[schemars(
        range(min = 2, max = 1_000_000),
        extend("x-tenon-also" = ["max_seq_length", "model_max_length"]),
        example = 128
    )]
    pub max_length: Option<u32>,
}

/// How a tokenizer is trained.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct TokenizerTrainOptions {
    /// `bpe` (byte-level, as GPT-2's), `unigram` (as T5's and Marian's), `wordpiece` (as BERT's) or
    /// `char`.
    #[schemars(extend("x-tenon-also" = ["type", "model", "model_type"]))]
    pub kind: Kind,
    /// Tokens of the vocabulary at most, special ones included; 8000 unless set.
    #[schemars(range(min = 2, max = 2_000_000), example = 16000)]
    pub vocab_size: Option<u32>,
    /// How often two tokens must come side by side to become one; 2 unless set. Not for `unigram`
    /// and `char`.
    #[schemars(range(min = 1), extend("x-tenon-also" = ["min_freq", "minimum_frequency"]))]
    pub min_frequency: Option<u32>,
    /// Share of all characters that the vocabulary has; the rarest are unknown. 0.9995 for
    /// `unigram` and `wordpiece` unless set, else 1.
    #[schemars(extend("exclusiveMinimum" = 0, "maximum" = 1))]
    pub character_coverage: Option<f64>,
    /// Columns with the text, as the task names them: all share one vocabulary. Without it, all
    /// that the task reads as text.
    #[schemars(extend("x-tenon" = "column"))]
    pub columns: Option<OneOrMany<String>>,
    /// What is done to characters first: `none`, `nfc` or `nfkc`. `nfkc` for `unigram` unless set,
    /// else `none`.
    #[schemars(extend("x-tenon-also" = ["normalizer", "normalization_rule_name"]))]
    pub normalization: Option<Normalization>,
    /// Lower-case the text.
    #[schemars(extend("x-tenon-also" = ["do_lower_case", "lower_case"]))]
    pub lowercase: bool,
    /// Take accents off.
    pub strip_accents: bool,
    /// Special tokens besides those of the kind.
    #[schemars(extend("x-tenon-also" = ["user_defined_symbols", "additional_special_tokens"]))]
    pub special_tokens: Vec<String>,
    /// Put the token for beginning before each text. Not for `wordpiece`, whose texts stand between
    /// `[CLS]` and `[SEP]`.
    #[schemars(extend("x-tenon-also" = ["add_bos_token"]))]
    pub add_bos: Option<bool>,
    /// Put the token for end after each text; so for `unigram` unless set. Not for `wordpiece`.
    #[schemars(extend("x-tenon-also" = ["add_eos_token"]))]
    pub add_eos: Option<bool>,
}

impl TokenizerTrainOptions {
    /// With what the kind decides filled in.
    #[must_use]
    pub fn spec(&self) -> TrainSpec {
        let usual = TrainSpec::new(self.kind);
        TrainSpec {
            kind: self.kind,
            vocab_size: self
                .vocab_size
                .map_or(usual.vocab_size, |size| size as usize),
            min_frequency: self.min_frequency.map_or(usual.min_frequency, u64::from),
            character_coverage: self.character_coverage.unwrap_or(usual.character_coverage),
            normalization: self.normalization.unwrap_or(usual.normalization),
            lowercase: self.lowercase,
            strip_accents: self.strip_accents,
            more_special_tokens: self.special_tokens.clone(),
            add_bos: self.add_bos.unwrap_or(usual.add_bos),
            add_eos: self.add_eos.unwrap_or(usual.add_eos),
        }
    }
}
