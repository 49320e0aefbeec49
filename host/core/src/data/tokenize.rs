//! Tokenization with Hugging Face `tokenizers`, behind a trait of our own.

use std::path::{Path, PathBuf};

use sha2::Digest;
use tenon_plugin_api::tokenizer::Message;
use tokenizers::utils::parallelism;
use tokenizers::utils::truncation::{TruncationParams, TruncationStrategy, truncate_encodings};
use tokenizers::{Encoding as HfEncoding, PostProcessor};

use crate::hex;
use crate::tokenizer::{ChatTemplate, Detokenizer, Files, Side, Sides, load};

/// Which text loses tokens where both are too long.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Truncation {
    /// Tokens of the longer text, until both are equally long.
    #[default]
    LongestFirst,
    /// Only of the first text.
    OnlyFirst,
    /// Only of the second text.
    OnlySecond,
    /// None: text that is too long is an error.
    Never,
}

/// How a text is encoded.
#[derive(Clone, Copy, Debug)]
pub struct EncodeOptions {
    /// Most tokens, special ones included; `None` for no limit.
    pub max_length: Option<usize>,
    /// Which text loses tokens.
    pub truncation: Truncation,
    /// Whether `[CLS]`, `[SEP]` and their like are added (default true).
    pub special_tokens: bool,
    /// Fills [`Encoding::offsets`] and [`Encoding::sequences`].
    pub offsets: bool,
    /// Fills [`Encoding::words`].
    pub words: bool,
    /// Encodes as text of the target side, for tokenizers whose sides differ.
    pub target: bool,
}

impl Default for EncodeOptions {
    fn default() -> Self {
        Self {
            max_length: None,
            truncation: Truncation::LongestFirst,
            special_tokens: true,
            offsets: false,
            words: false,
            target: false,
        }
    }
}

/// A text, or a pair, as tokens. All lists that are filled have one entry a token.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Encoding {
    /// Token ids.
    pub ids: Vec<u32>,
    /// 0 for the first text and its special tokens, 1 for the second.
    pub type_ids: Vec<u32>,
    /// Bytes of the text that a token stands for: from, to. Empty unless asked for.
    pub offsets: Vec<(usize, usize)>,
    /// Number of the word within its text; `None` for special tokens. Empty unless asked for.
    pub words: Vec<Option<u32>>,
    /// Which text a token is of; `None` for special tokens. Empty unless `offsets` were asked for.
    pub sequences: Vec<Option<usize>>,
}

/// Errors of tokenizers.
#[derive(Debug, thiserror::Error)]
pub enum TokenizerError {
    /// A chat template that is broken, or refuses a conversation.
    #[error("{}: the chat template{}: {problem}", path.display(), line.map_or_else(String::new, |line| format!(", line {line}")))]
    Chat {
        /// The file that it stands in.
        path: PathBuf,
        /// The line of the template.
        line: Option<usize>,
        /// What is wrong.
        problem: String,
    },
    /// A file beside a tokenizer that is not read as JSON.
    #[error("{}: not a JSON object: {problem}", path.display())]
    NotJson {
        /// The file.
        path: PathBuf,
        /// What the parser met.
        problem: String,
    },
    /// No file.
    #[error("no tokenizer at {}; a model folder needs a `tokenizer.json` (in Python: `tokenizer.save_pretrained(folder)` with a fast tokenizer writes one)", path.display())]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// A file that cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: std::io::Error,
    },
    /// A file that is no tokenizer.
    #[error("{}: not a tokenizer: {problem}", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What the parser met.
        problem: String,
    },
    /// A limit below what special tokens take.
    #[error(
        "a maximum length of {max_length} tokens leaves no room beside {special} special tokens"
    )]
    NoRoom {
        /// The limit.
        max_length: usize,
        /// Special tokens that are added.
        special: usize,
    },
    /// Text beyond the limit under [`Truncation::Never`].
    #[error("the text has {tokens} tokens, more than {max_length}")]
    TooLong {
        /// Its tokens.
        tokens: usize,
        /// The limit.
        max_length: usize,
    },
    /// Text that cannot be encoded or tokens that cannot be decoded.
    #[error("cannot {doing}: {problem}")]
    Failed {
        /// "encode the text", "truncate the text", …
        doing: &'static str,
        /// The tokenizer's reason.
        problem: String,
    },
}

/// A tokenizer, as the data path and plugins use it. Called from several threads at once.
pub trait Tokenize: Send + Sync {
    /// Encodes a text, or a pair of texts.
    ///
    /// # Errors
    /// Text that the tokenizer refuses, or a limit that cannot be kept.
    fn encode(
        &self,
        text: &str,
        pair: Option<&str>,
        options: &EncodeOptions,
    ) -> Result<Encoding, TokenizerError>;

    /// The text of `ids`.
    ///
    /// # Errors
    /// Tokens that do not make text.
    fn decode(&self, ids: &[u32], skip_special_tokens: bool) -> Result<String, TokenizerError>;

    /// The id of a token.
    fn token_id(&self, token: &str) -> Option<u32>;

    /// The token of an id.
    fn token(&self, id: u32) -> Option<String>;

    /// The id of a special token by its role: `pad`, `unk`, `cls`, `sep`, `mask`, `bos`, `eos`.
    fn special(&self, role: &str) -> Option<u32>;

    /// Number of ids, special tokens included.
    fn vocab_size(&self) -> usize;

    /// A digest of all that decides what the tokenizer does, for cache keys.
    fn fingerprint(&self) -> &str;
}

/// A tokenizer as Hugging Face's programs write it: a `tokenizer.json`, or a SentencePiece model.
/// Truncation and padding that are set in the file are not used: the caller says how long, and
/// collation pads.
pub struct HfTokenizer {
    sides: Sides,
    chat: Option<ChatTemplate>,
    /// Special tokens by role.
    roles: Vec<(String, u32)>,
    vocab_size: usize,
    fingerprint: String,
}

/// Roles, and the names that tokens of each have by custom.
const ROLES: [(&str, &[&str]); 7] = [
    ("pad", &["[PAD]", "<pad>", "<|padding|>"]),
    ("unk", &["[UNK]", "<unk>"]),
    ("cls", &["[CLS]", "<s>"]),
    ("sep", &["[SEP]", "</s>"]),
    ("mask", &["[MASK]", "<mask>"]),
    ("bos", &["<s>", "<bos>", "<|startoftext|>", "<|endoftext|>"]),
    ("eos", &["</s>", "<eos>", "<|endoftext|>"]),
];

impl HfTokenizer {
    /// Loads `path`, a file or a folder that holds one: `tokenizer.json`, else Marian's
    /// `source.spm`, `target.spm` and `vocab.json`, `spiece.model`, or `tokenizer.model`. Which
    /// special token has which role is told by `tokenizer_config.json` and
    /// `special_tokens_map.json` beside it, else by the ids in `generation_config.json` and
    /// `config.json`, else by the names that they have by custom.
    ///
    /// # Errors
    /// No such file, or no tokenizer in it.
    pub fn load(path: &Path) -> Result<Self, TokenizerError> {
        let mut files = Files::find(path)?;
        let sides = load(&mut files)?;
        // Batches are spread over our own threads; a second pool would only compete with them.
        parallelism::set_parallelism(false);
        let vocab_size = sides.vocab_size();
        let mut roles: Vec<(String, u32)> = Vec::new();
        for (role, customs) in ROLES {
            let id = match files.named(role) {
                Some(token) => sides.source.token_id(token),
                None => {
                    let numbered = files
                        .numbered(role)
                        .filter(|id| (*id as usize) < vocab_size);
                    let custom = || {
                        customs
                            .iter()
                            .find_map(|token| sides.source.token_id(token))
                    };
                    numbered.or_else(custom)
                }
            };
            roles.extend(id.map(|id| (role.to_owned(), id)));
        }
        let chat = ChatTemplate::find(&files)?;
        let mut digest = files.digest;
        if let Some(chat) = &chat {
            digest.update(chat.source());
        }
        for (role, id) in &roles {
            digest.update(format!("{role}\0{id}\0"));
        }
        Ok(Self {
            sides,
            chat,
            roles,
            vocab_size,
            fingerprint: hex(&digest.finalize()),
        })
    }

    /// The side of the source, or of the target.
    fn side(&self, target: bool) -> &Side {
        match &self.sides.target {
            Some(side) if target => side,
            _ => &self.sides.source,
        }
    }

    /// Makes text of tokens of the target side that come one at a time.
    pub fn detokenizer(&self, skip_special_tokens: bool) -> Detokenizer {
        self.side(true).detokenizer(skip_special_tokens)
    }

    /// The text of `ids` of the target side, for tokenizers whose sides differ.
    ///
    /// # Errors
    /// Tokens that do not make text.
    pub fn decode_target(
        &self,
        ids: &[u32],
        skip_special_tokens: bool,
    ) -> Result<String, TokenizerError> {
        let text = self.side(true).decode(ids, skip_special_tokens);
        text.map_err(|error| failed("decode tokens", &*error))
    }

    /// A conversation as text; `None` without a chat template. With `add_generation_prompt` it ends
    /// where the assistant's next turn begins.
    ///
    /// # Errors
    /// The template is broken, or refuses the conversation.
    pub fn chat(
        &self,
        messages: &[Message],
        add_generation_prompt: bool,
    ) -> Result<Option<String>, TokenizerError> {
        let chat = self.chat.as_ref();
        chat.map(|chat| chat.render(messages, add_generation_prompt))
            .transpose()
    }

    /// What it is made of, for people.
    pub fn describe(&self) -> serde_json::Value {
        let side = &self.sides.source;
        let roles: serde_json::Map<String, serde_json::Value> = self
            .roles
            .iter()
            .map(|(role, id)| {
                (
                    role.clone(),
                    serde_json::json!({"id": id, "token": self.token(*id)}),
                )
            })
            .collect();
        serde_json::json!({
            "kind": side.kind(),
            "vocab_size": self.vocab_size,
            "sides": if self.sides.target.is_some() { 2 } else { 1 },
            "roles": roles,
            "special": side.special().into_iter().map(|(id, token)| serde_json::json!({"id": id, "token": token})).collect::<Vec<_>>(),
            "parts": side.parts(),
            "chat_template": self.chat.as_ref().map(|chat| format!("{} characters", chat.source().chars().count())),
            "fingerprint": self.fingerprint,
        })
    }
}

impl Tokenize for HfTokenizer {
    fn encode(
        &self,
        text: &str,
        pair: Option<&str>,
        options: &EncodeOptions,
    ) -> Result<Encoding, TokenizerError> {
        let side = self.side(options.target);
        let one = |text: &str| {
            let encoded = side.encode(text, options.offsets || options.words);
            encoded.map_err(|error| failed("encode the text", &*error))
        };
        let mut first = one(text)?;
        let mut second = pair.map(one).transpose()?;
        if let Some(second) = &mut second {
            second.set_type_ids(vec![1; second.len()]);
        }
        if let Some(max_length) = options.max_length {
            let added = match (&side.processor, options.special_tokens) {
                (Some(processor), true) => processor.added_tokens(second.is_some()),
                _ => 0,
            };
            let tokens = first.len() + second.as_ref().map_or(0, HfEncoding::len) + added;
            if tokens > max_length {
                if options.truncation == Truncation::Never {
                    return Err(TokenizerError::TooLong { tokens, max_length });
                }
                if max_length <= added {
                    return Err(TokenizerError::NoRoom {
                        max_length,
                        special: added,
                    });
                }
                let params = TruncationParams {
                    max_length: max_length - added,
                    strategy: match options.truncation {
                        Truncation::OnlyFirst => TruncationStrategy::OnlyFirst,
                        Truncation::OnlySecond => TruncationStrategy::OnlySecond,
                        Truncation::LongestFirst | Truncation::Never => {
                            TruncationStrategy::LongestFirst
                        }
                    },
                    ..TruncationParams::default()
                };
                (first, second) = truncate_encodings(first, second, &params)
                    .map_err(|error| failed("truncate the text", &*error))?;
            }
        }
        let whole = match (&side.processor, second) {
            (Some(processor), second) => processor
                .process(first, second, options.special_tokens)
                .map_err(|error| failed("add special tokens", &*error))?,
            (None, None) => first,
            (None, Some(mut second)) => {
                first.set_sequence_id(0);
                second.set_sequence_id(1);
                HfEncoding::merge([first, second], false)
            }
        };
        Ok(Encoding {
            ids: whole.get_ids().to_vec(),
            type_ids: whole.get_type_ids().to_vec(),
            offsets: if options.offsets {
                whole.get_offsets().to_vec()
            } else {
                Vec::new()
            },
            words: if options.words {
                whole.get_word_ids().to_vec()
            } else {
                Vec::new()
            },
            sequences: if options.offsets {
                whole.get_sequence_ids()
            } else {
                Vec::new()
            },
        })
    }

    fn decode(&self, ids: &[u32], skip_special_tokens: bool) -> Result<String, TokenizerError> {
        let text = self.sides.source.decode(ids, skip_special_tokens);
        text.map_err(|error| failed("decode tokens", &*error))
    }

    fn token_id(&self, token: &str) -> Option<u32> {
        self.sides.source.token_id(token)
    }

    fn token(&self, id: u32) -> Option<String> {
        self.sides.source.token(id)
    }

    fn special(&self, role: &str) -> Option<u32> {
        self.roles
            .iter()
            .find(|(known, _)| known == role)
            .map(|(_, id)| *id)
    }

    fn vocab_size(&self) -> usize {
        self.vocab_size
    }

    fn fingerprint(&self) -> &str {
        &self.fingerprint
    }
}

fn failed(doing: &'static str, error: &dyn std::error::Error) -> TokenizerError {
    TokenizerError::Failed {
        doing,
        problem: error.to_string(),
    }
}
