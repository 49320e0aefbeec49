//! The files of a tokenizer: which one is read, and what those beside it say of special tokens.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::data::TokenizerError;

/// What tokenizers are read from, the first that is there.
const MODELS: [&str; 4] = [
    "tokenizer.json",
    "source.spm",
    "spiece.model",
    "tokenizer.model",
];
/// Bytes of a JSON file at most.
const LARGEST: u64 = 512 << 20;
/// An id that is larger is taken for a fault: no vocabulary is so large.
pub(crate) const MOST_IDS: u32 = 1 << 24;

/// The file to read, and JSON beside it. All that is read goes into the digest.
pub(crate) struct Files {
    pub path: PathBuf,
    pub tokenizer_config: Map<String, Value>,
    special_tokens_map: Map<String, Value>,
    generation_config: Map<String, Value>,
    pub config: Map<String, Value>,
    pub digest: Sha256,
}

impl Files {
    /// Finds the file that `path` names, itself or the folder that it is in.
    ///
    /// # Errors
    /// There is none, or a file beside it is no JSON object.
    pub fn find(path: &Path) -> Result<Self, TokenizerError> {
        let path = match path.is_dir() {
            false => path.to_owned(),
            true => {
                let mut places = MODELS.iter().map(|name| path.join(name));
                let found = places.find(|file| file.is_file());
                found.unwrap_or_else(|| path.join(MODELS[0]))
            }
        };
        if !path.exists() {
            return Err(TokenizerError::Missing { path });
        }
        let beside = |name: &str| object(&path.with_file_name(name));
        Ok(Self {
            tokenizer_config: beside("tokenizer_config.json")?,
            special_tokens_map: beside("special_tokens_map.json")?,
            generation_config: beside("generation_config.json")?,
            config: beside("config.json")?,
            digest: Sha256::new(),
            path,
        })
    }

    /// A file beside it.
    pub fn beside(&self, name: &str) -> PathBuf {
        self.path.with_file_name(name)
    }

    /// The JSON object of a file that must be there.
    ///
    /// # Errors
    /// It is not there, or is no JSON object.
    pub fn required(&mut self, name: &str) -> Result<Map<String, Value>, TokenizerError> {
        let path = self.beside(name);
        let bytes = read(&path)?.ok_or_else(|| TokenizerError::Invalid {
            path: self.path.clone(),
            problem: format!("{} must be beside it, and is not", path.display()),
        })?;
        self.digest.update(&bytes);
        parse(&path, &bytes)
    }

    /// The token of a role (`pad` for `pad_token`), as the files name it.
    pub fn named(&self, role: &str) -> Option<&str> {
        let key = format!("{role}_token");
        [&self.tokenizer_config, &self.special_tokens_map]
            .into_iter()
            .find_map(|file| content(file.get(&key)?))
    }

    /// The id of a role, as the model's configuration has it; the first where it lists several.
    pub fn numbered(&self, role: &str) -> Option<u32> {
        let key = format!("{role}_token_id");
        [&self.generation_config, &self.config]
            .into_iter()
            .find_map(|file| {
                let value = file.get(&key)?;
                let value = value
                    .as_array()
                    .and_then(|ids| ids.first())
                    .unwrap_or(value);
                u32::try_from(value.as_u64()?).ok()
            })
    }

    /// Whether a switch of `tokenizer_config.json` is on.
    pub fn is_on(&self, key: &str) -> Option<bool> {
        self.tokenizer_config.get(key)?.as_bool()
    }

    /// What kind of tokenizer `transformers` takes it for, without `Fast`; else the model's type.
    pub fn class(&self) -> Option<&str> {
        let class = self
            .tokenizer_config
            .get("tokenizer_class")
            .and_then(Value::as_str);
        let class = class.map(|class| class.strip_suffix("Fast").unwrap_or(class));
        class.or_else(|| self.config.get("model_type")?.as_str())
    }

    /// More special tokens.
    pub fn more_special(&self) -> Vec<String> {
        let lists = [&self.tokenizer_config, &self.special_tokens_map]
            .into_iter()
            .flat_map(|file| {
                ["additional_special_tokens", "extra_special_tokens"].map(|key| file.get(key))
            });
        let mut tokens: Vec<String> = Vec::new();
        for token in lists.flatten().filter_map(Value::as_array).flatten() {
            if let Some(token) = content(token)
                && !tokens.iter().any(|known| known == token)
            {
                tokens.push(token.to_owned());
            }
        }
        tokens
    }

    /// Tokens that were added to the model's own: id, token, whether it is special; by id.
    ///
    /// # Errors
    /// An id that is no number, or larger than any vocabulary.
    pub fn added(&self) -> Result<Vec<(u32, String, bool)>, TokenizerError> {
        let Some(entries) = self
            .tokenizer_config
            .get("added_tokens_decoder")
            .and_then(Value::as_object)
        else {
            return Ok(Vec::new());
        };
        let mut added = Vec::new();
        for (key, value) in entries {
            let id = key.parse::<u32>().ok().filter(|id| *id < MOST_IDS);
            let (Some(id), Some(token)) = (id, content(value)) else {
                return Err(TokenizerError::Invalid {
                    path: self.beside("tokenizer_config.json"),
                    problem: format!("added_tokens_decoder.{key} is no token with its id"),
                });
            };
            let special = value
                .get("special")
                .and_then(Value::as_bool)
                .unwrap_or(false);
            added.push((id, token.to_owned(), special));
        }
        added.sort_unstable();
        Ok(added)
    }
}

/// The text of a token, which is written plainly or as a table.
fn content(token: &Value) -> Option<&str> {
    token.as_str().or_else(|| token.get("content")?.as_str())
}

/// The object in a file; empty if there is no file.
fn object(path: &Path) -> Result<Map<String, Value>, TokenizerError> {
    match read(path)? {
        Some(bytes) => parse(path, &bytes),
        None => Ok(Map::new()),
    }
}

fn parse(path: &Path, bytes: &[u8]) -> Result<Map<String, Value>, TokenizerError> {
    serde_json::from_slice(bytes).map_err(|error| TokenizerError::NotJson {
        path: path.to_owned(),
        problem: error.to_string(),
    })
}

/// The bytes of a file, `None` if there is none.
pub(crate) fn read(path: &Path) -> Result<Option<Vec<u8>>, TokenizerError> {
    let io = |source| TokenizerError::Io {
        path: path.to_owned(),
        source,
    };
    match std::fs::metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io(error)),
        Ok(metadata) if metadata.len() > LARGEST => {
            return Err(TokenizerError::Invalid {
                path: path.to_owned(),
                problem: format!("it has {} bytes, more than any tokenizer", metadata.len()),
            });
        }
        Ok(_) => {}
    }
    std::fs::read(path).map(Some).map_err(io)
}
