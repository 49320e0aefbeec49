//! Tokenization with Hugging Face `tokenizers`, behind a trait of our own.

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use tokenizers::utils::parallelism;
use tokenizers::utils::truncation::{TruncationParams, TruncationStrategy, truncate_encodings};
use tokenizers::{Encoding as HfEncoding, PostProcessor, PostProcessorWrapper, Tokenizer};

use crate::hex;

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
}

impl Default for EncodeOptions {
    fn default() -> Self {
        Self {
            max_length: None,
            truncation: Truncation::LongestFirst,
            special_tokens: true,
            offsets: false,
            words: false,
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

/// A `tokenizer.json`. Truncation and padding that are set in the file are not used: the caller
/// says how long, and collation pads.
pub struct HfTokenizer {
    /// Without post-processor, so that truncation can come between the two.
    tokenizer: Tokenizer,
    processor: Option<PostProcessorWrapper>,
    /// Special tokens by role, from the files beside it.
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
    /// Loads `path`, a `tokenizer.json` or a folder that holds one. Roles of special tokens come
    /// from `tokenizer_config.json` and `special_tokens_map.json` beside it, else from the names
    /// that they have by custom.
    ///
    /// # Errors
    /// No such file, or no tokenizer in it.
    pub fn load(path: &Path) -> Result<Self, TokenizerError> {
        let file = if path.is_dir() {
            path.join("tokenizer.json")
        } else {
            path.to_owned()
        };
        let bytes = std::fs::read(&file).map_err(|source| match source.kind() {
            std::io::ErrorKind::NotFound => TokenizerError::Missing { path: file.clone() },
            _ => TokenizerError::Io {
                path: file.clone(),
                source,
            },
        })?;
        let mut tokenizer =
            Tokenizer::from_bytes(&bytes).map_err(|error| TokenizerError::Invalid {
                path: file.clone(),
                problem: error.to_string(),
            })?;
        // Batches are spread over our own threads; a second pool would only compete with them.
        parallelism::set_parallelism(false);
        let processor = tokenizer.get_post_processor().cloned();
        tokenizer.with_padding(None);
        tokenizer.with_post_processor(None::<PostProcessorWrapper>);
        tokenizer
            .with_truncation(None)
            .map_err(|error| TokenizerError::Invalid {
                path: file.clone(),
                problem: error.to_string(),
            })?;
        let mut digest = Sha256::new();
        digest.update(&bytes);
        let named = named_roles(&file, &mut digest);
        let role = |(role, customs): &(&str, &[&str])| {
            let token = named
                .iter()
                .find(|(known, _)| known == role)
                .map(|(_, token)| token.as_str());
            let id = match token {
                Some(token) => tokenizer.token_to_id(token),
                None => customs
                    .iter()
                    .find_map(|token| tokenizer.token_to_id(token)),
            };
            Some(((*role).to_owned(), id?))
        };
        let roles = ROLES.iter().filter_map(role).collect();
        // The highest id counts, not the number of tokens: vocabularies may have gaps.
        let vocab_size = tokenizer
            .get_vocab(true)
            .values()
            .max()
            .map_or(0, |id| *id as usize + 1);
        Ok(Self {
            tokenizer,
            processor,
            roles,
            vocab_size,
            fingerprint: hex(&digest.finalize()),
        })
    }

    fn one(&self, text: &str, options: &EncodeOptions) -> Result<HfEncoding, TokenizerError> {
        let encoded = match options.offsets || options.words {
            true => self.tokenizer.encode(text, false),
            false => self.tokenizer.encode_fast(text, false),
        };
        encoded.map_err(|error| failed("encode the text", &*error))
    }
}

impl Tokenize for HfTokenizer {
    fn encode(
        &self,
        text: &str,
        pair: Option<&str>,
        options: &EncodeOptions,
    ) -> Result<Encoding, TokenizerError> {
        let mut first = self.one(text, options)?;
        let mut second = pair.map(|pair| self.one(pair, options)).transpose()?;
        if let Some(second) = &mut second {
            second.set_type_ids(vec![1; second.len()]);
        }
        if let Some(max_length) = options.max_length {
            let added = match (&self.processor, options.special_tokens) {
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
        let whole = match (&self.processor, second) {
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
        self.tokenizer
            .decode(ids, skip_special_tokens)
            .map_err(|error| failed("decode tokens", &*error))
    }

    fn token_id(&self, token: &str) -> Option<u32> {
        self.tokenizer.token_to_id(token)
    }

    fn token(&self, id: u32) -> Option<String> {
        self.tokenizer.id_to_token(id)
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

/// Tokens by role (`pad` for `pad_token`), as the files beside a tokenizer name them.
fn named_roles(file: &Path, digest: &mut Sha256) -> Vec<(String, String)> {
    let mut roles: Vec<(String, String)> = Vec::new();
    for name in ["tokenizer_config.json", "special_tokens_map.json"] {
        let Ok(bytes) = std::fs::read(file.with_file_name(name)) else {
            continue;
        };
        let Ok(serde_json::Value::Object(entries)) = serde_json::from_slice(&bytes) else {
            continue;
        };
        for (key, value) in &entries {
            let Some(role) = key.strip_suffix("_token") else {
                continue;
            };
            let token = value.as_str().or_else(|| value.get("content")?.as_str());
            if let Some(token) = token.filter(|_| !roles.iter().any(|(known, _)| known == role)) {
                digest.update(format!("{role}\0{token}\0"));
                roles.push((role.to_owned(), token.to_owned()));
            }
        }
    }
    roles
}

fn failed(doing: &'static str, error: &dyn std::error::Error) -> TokenizerError {
    TokenizerError::Failed {
        doing,
        problem: error.to_string(),
    }
}
