//! What kind of tokenizer is trained, resolved: all that its kind decides is filled in.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A kind of tokenizer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Byte-level byte-pair encoding, as GPT-2's (Sennrich et al. 2016): any text, no unknown
    /// token.
    #[default]
    Bpe,
    /// A unigram language model over pieces, as T5's and Marian's (Kudo 2018).
    Unigram,
    /// Words and their continuations, as BERT's.
    WordPiece,
    /// Single characters.
    Char,
}

impl Kind {
    /// The name as users write it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bpe => "bpe",
            Self::Unigram => "unigram",
            Self::WordPiece => "wordpiece",
            Self::Char => "char",
        }
    }
}

/// What is done to characters before all else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Normalization {
    /// Nothing.
    None,
    /// Canonical composition: `e` and an accent become `é`.
    Nfc,
    /// Compatibility composition besides: `ﬁ` becomes `fi`, and wide letters narrow ones. White
    /// space becomes single spaces.
    Nfkc,
}

/// How a tokenizer is trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrainSpec {
    /// Its kind.
    pub kind: Kind,
    /// Tokens of the vocabulary at most, special ones included.
    pub vocab_size: usize,
    /// How often two tokens must come side by side to become one.
    pub min_frequency: u64,
    /// Share of all characters that the vocabulary has; the rarest are left out.
    pub character_coverage: f64,
    /// What is done to characters before all else.
    pub normalization: Normalization,
    /// Lower-case the text.
    pub lowercase: bool,
    /// Take accents off.
    pub strip_accents: bool,
    /// Special tokens besides those of the kind.
    pub more_special_tokens: Vec<String>,
    /// Put the token for beginning before each text.
    pub add_bos: bool,
    /// Put the token for end after each text.
    pub add_eos: bool,
}

impl TrainSpec {
    /// A tokenizer as the best-known model of that kind has it.
    #[must_use]
    pub fn new(kind: Kind) -> Self {
        Self {
            kind,
            vocab_size: 8000,
            min_frequency: match kind {
                Kind::Bpe | Kind::WordPiece => 2,
                Kind::Unigram | Kind::Char => 1,
            },
            character_coverage: match kind {
                Kind::Unigram | Kind::WordPiece => 0.9995,
                Kind::Bpe | Kind::Char => 1.0,
            },
            normalization: match kind {
                Kind::Unigram => Normalization::Nfkc,
                _ => Normalization::None,
            },
            lowercase: false,
            strip_accents: false,
            more_special_tokens: Vec::new(),
            add_bos: false,
            add_eos: kind == Kind::Unigram,
        }
    }

    /// Roles and their tokens, in the order of their ids.
    pub(super) fn roles(&self) -> Vec<(&'static str, &'static str)> {
        let mut roles = match self.kind {
            // One token parts documents: it ends the one and begins the other.
            Kind::Bpe => vec![
                ("eos", "<|endoftext|>"),
                ("bos", "<|endoftext|>"),
                ("pad", "<|padding|>"),
            ],
            Kind::Unigram => vec![("pad", "<pad>"), ("eos", "</s>"), ("unk", "<unk>")],
            Kind::WordPiece => vec![
                ("pad", "[PAD]"),
                ("unk", "[UNK]"),
                ("cls", "[CLS]"),
                ("sep", "[SEP]"),
                ("mask", "[MASK]"),
            ],
            Kind::Char => vec![("unk", "<unk>")],
        };
        if self.add_bos && !roles.iter().any(|(role, _)| *role == "bos") {
            roles.push(("bos", "<s>"));
        }
        if self.add_eos && !roles.iter().any(|(role, _)| *role == "eos") {
            roles.push(("eos", "</s>"));
        }
        roles
    }

    /// The special tokens in the order of their ids, each once.
    pub(super) fn special_tokens(&self) -> Vec<String> {
        let mut tokens: Vec<String> = Vec::new();
        let roles = self.roles();
        let own = roles.iter().map(|(_, token)| *token);
        for token in own.chain(self.more_special_tokens.iter().map(String::as_str)) {
            if !tokens.iter().any(|known| known == token) {
                tokens.push(token.to_owned());
            }
        }
        tokens
    }

    /// The token of a role.
    pub(super) fn token(&self, role: &str) -> Option<&'static str> {
        let roles = self.roles();
        let found = roles.iter().find(|(known, _)| *known == role);
        found.map(|(_, token)| *token)
    }
}
