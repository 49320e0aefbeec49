//! The host's tokenizer, as tasks use it.

use abi_stable::std_types::{RBox, ROption, RStr, RVec};

use serde::{Deserialize, Serialize};

use crate::abi::tokenizer::{EncodeRequest, RawEncoding, TokenizerObject_TO};
use crate::abi::{answer, from_json, to_json};
use crate::error::{Error, Result};
use crate::panic::{contain, guard};

/// The tokenizer of the run's model. May be used from any thread.
pub struct Tokenizer<'a> {
    object: &'a TokenizerObject_TO<'static, RBox<()>>,
}

/// Which text gives way when both are longer than the maximum length.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Truncation {
    /// Token by token from the longer text.
    #[default]
    LongestFirst,
    /// Only the first text.
    OnlyFirst,
    /// Only the second text.
    OnlySecond,
    /// None: too long is an error.
    Never,
}

/// How to encode a text.
#[derive(Clone, Copy, Debug, Default)]
pub struct Encode<'a> {
    /// The second text of a pair.
    pub pair: Option<&'a str>,
    /// The most tokens, special tokens included; `None`: no limit.
    pub max_length: Option<usize>,
    /// Which text is cut to fit.
    pub truncation: Truncation,
    /// Leaves the model's special tokens (`[CLS]`, `[SEP]`, …) out.
    pub no_special_tokens: bool,
    /// Fills [`Encoding::offsets`] and [`Encoding::sequences`].
    pub offsets: bool,
    /// Fills [`Encoding::words`].
    pub words: bool,
    /// Encodes as text of the target side, for tokenizers whose two sides differ, as Marian's do
    /// (`text_target` in `transformers`).
    pub target: bool,
}

/// A turn of a conversation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Who speaks: `system`, `user` or `assistant`, unless the model's template knows others.
    pub role: String,
    /// What is said.
    pub content: String,
}

impl Message {
    /// A turn.
    pub fn new(role: impl Into<String>, content: impl Into<String>) -> Self {
        Self {
            role: role.into(),
            content: content.into(),
        }
    }
}

/// Token ids of a text or of a pair; lists that were not asked for are empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Encoding {
    /// Token ids, special tokens included. Shape `[tokens]`.
    pub ids: Vec<i64>,
    /// 0 for the first text, 1 for the second. Shape `[tokens]`.
    pub type_ids: Vec<i64>,
    /// Byte range of each token in its text; empty ranges for special tokens.
    pub offsets: Vec<(usize, usize)>,
    /// Index of the word that a token is part of; `None` for special tokens.
    pub words: Vec<Option<usize>>,
    /// Which text a token is of; `None` for special tokens.
    pub sequences: Vec<Option<usize>>,
}

/// The special tokens that a tokenizer puts around a text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frame {
    /// Those before it, such as `<s>`.
    pub before: Vec<i64>,
    /// Those after it, such as `</s>`.
    pub after: Vec<i64>,
}

impl Frame {
    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.before.len() + self.after.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The tokens `ids` between them.
    #[must_use]
    pub fn around(&self, ids: &[i64]) -> Vec<i64> {
        [&self.before[..], ids, &self.after[..]].concat()
    }
}

impl<'a> Tokenizer<'a> {
    pub(crate) fn new(object: &'a TokenizerObject_TO<'static, RBox<()>>) -> Self {
        Self { object }
    }

    /// Encodes a text, or a pair of texts.
    ///
    /// # Errors
    /// The tokenizer refuses the text, or it is too long under [`Truncation::Never`].
    pub fn encode(&self, text: &str, how: &Encode<'_>) -> Result<Encoding> {
        let truncation = match how.truncation {
            Truncation::LongestFirst => 0,
            Truncation::OnlyFirst => 1,
            Truncation::OnlySecond => 2,
            Truncation::Never => 3,
        };
        let flag = |on: bool, bit: u32| u32::from(on) << bit;
        let raw = answer(self.object.encode(EncodeRequest {
            text: RStr::from(text),
            pair: how.pair.map(RStr::from).into(),
            max_length: how.max_length.unwrap_or(0) as u64,
            truncation,
            flags: flag(how.no_special_tokens, 0)
                | flag(how.offsets, 1)
                | flag(how.words, 2)
                | flag(how.target, 3),
        }))?;
        Ok(Encoding::from(raw))
    }

    /// The tokens of a text without special tokens, of the target side if so chosen.
    ///
    /// # Errors
    /// The tokenizer refuses the text.
    pub fn tokens(&self, text: &str, target: bool) -> Result<Vec<i64>> {
        let how = Encode {
            no_special_tokens: true,
            target,
            ..Encode::default()
        };
        Ok(self.encode(text, &how)?.ids)
    }

    /// The special tokens around every single text, of the target side if so chosen.
    ///
    /// # Errors
    /// Those of [`encode`](Self::encode).
    pub fn frame(&self, target: bool) -> Result<Frame> {
        let how = Encode {
            offsets: true,
            target,
            ..Encode::default()
        };
        // They are the same around any text.
        let Encoding { ids, sequences, .. } = self.encode("a", &how)?;
        let first = sequences.iter().position(Option::is_some);
        let last = sequences.iter().rposition(Option::is_some);
        let first = first.unwrap_or(ids.len());
        Ok(Frame {
            before: ids[..first].to_vec(),
            after: ids[last.map_or(first, |last| last + 1)..].to_vec(),
        })
    }

    /// The text of token ids.
    ///
    /// # Errors
    /// An id is not in the vocabulary.
    pub fn decode(&self, ids: &[u32], skip_special_tokens: bool) -> Result<String> {
        let ids: RVec<u32> = ids.iter().copied().collect();
        answer(self.object.decode(&ids, skip_special_tokens)).map(|text| text.into_string())
    }

    /// The text of token ids of the target side, such as those that an encoder–decoder model
    /// wrote. The same as [`decode`](Self::decode) for tokenizers whose two sides do not differ.
    ///
    /// # Errors
    /// An id is not in the vocabulary.
    pub fn decode_target(&self, ids: &[u32], skip_special_tokens: bool) -> Result<String> {
        let ids: RVec<u32> = ids.iter().copied().collect();
        let text = answer(self.object.decode_target(&ids, skip_special_tokens));
        text.map(|text| text.into_string())
    }

    /// A conversation as the text that the model was trained on, special tokens included: so
    /// encode it with [`Encode::no_special_tokens`]. With `add_generation_prompt` the text ends
    /// where the assistant's next turn begins.
    ///
    /// # Errors
    /// The model has no chat template, or it refuses the conversation.
    pub fn chat(&self, messages: &[Message], add_generation_prompt: bool) -> Result<String> {
        let messages = to_json(&messages)?;
        let text = self.object.chat(messages.as_rstr(), add_generation_prompt);
        answer(text).map(|text| text.into_string())
    }

    /// The id of a token, if the vocabulary has it.
    #[must_use]
    pub fn token_id(&self, token: &str) -> Option<u32> {
        self.object.token_id(RStr::from(token)).into_option()
    }

    /// The id of a special token by its role: `pad`, `cls`, `sep`, `mask`, `unk`, `bos`, `eos`.
    #[must_use]
    pub fn special(&self, role: &str) -> Option<u32> {
        self.object.special(RStr::from(role)).into_option()
    }

    /// The number of ids, added tokens included.
    #[must_use]
    pub fn vocab_size(&self) -> usize {
        self.object.vocab_size() as usize
    }
}

impl From<RawEncoding> for Encoding {
    fn from(raw: RawEncoding) -> Self {
        let index = |value: &i64| usize::try_from(*value).ok();
        Self {
            ids: raw.ids.into_vec(),
            type_ids: raw.type_ids.into_vec(),
            offsets: raw
                .offsets
                .chunks_exact(2)
                .map(|pair| (pair[0] as usize, pair[1] as usize))
                .collect(),
            words: raw.words.iter().map(index).collect(),
            sequences: raw.sequence.iter().map(index).collect(),
        }
    }
}

impl From<Encoding> for RawEncoding {
    fn from(encoding: Encoding) -> Self {
        let index = |value: Option<usize>| value.map_or(-1, |value| value as i64);
        let offsets = encoding
            .offsets
            .iter()
            .flat_map(|(start, end)| [*start as u64, *end as u64]);
        Self {
            offsets: offsets.collect(),
            ids: encoding.ids.into(),
            type_ids: encoding.type_ids.into(),
            words: encoding.words.into_iter().map(index).collect(),
            sequence: encoding.sequences.into_iter().map(index).collect(),
        }
    }
}

/// The error of a tokenizer that has no chat template.
#[must_use]
pub fn no_chat_template() -> Error {
    Error::unsupported("the tokenizer has no chat template").with_help(
        "`chat_template` in tokenizer_config.json, or a file chat_template.jinja beside it, says how a conversation becomes text; models that were trained on conversations bring one",
    )
}

/// What a host implements to offer a tokenizer to plugins.
pub trait HostTokenizer: Send + Sync + 'static {
    /// Encodes a text or a pair, with truncation.
    ///
    /// # Errors
    /// The text cannot be encoded as asked.
    fn encode(&self, text: &str, how: &Encode<'_>) -> Result<Encoding>;
    /// The text of token ids.
    ///
    /// # Errors
    /// An id is not in the vocabulary.
    fn decode(&self, ids: &[u32], skip_special_tokens: bool) -> Result<String>;
    /// The text of token ids of the target side.
    ///
    /// # Errors
    /// An id is not in the vocabulary.
    fn decode_target(&self, ids: &[u32], skip_special_tokens: bool) -> Result<String> {
        self.decode(ids, skip_special_tokens)
    }
    /// A conversation as text; see [`Tokenizer::chat`].
    ///
    /// # Errors
    /// There is no chat template, or it refuses the conversation.
    fn chat(&self, messages: &[Message], add_generation_prompt: bool) -> Result<String> {
        let _ = (messages, add_generation_prompt);
        Err(no_chat_template())
    }
    /// The id of a token.
    fn token_id(&self, token: &str) -> Option<u32>;
    /// The id of a special token by its role.
    fn special(&self, role: &str) -> Option<u32>;
    /// The number of ids, added tokens included.
    fn vocab_size(&self) -> usize;
}

/// A host's tokenizer in the form in which it crosses the boundary.
pub struct SharedTokenizer {
    object: TokenizerObject_TO<'static, RBox<()>>,
}

impl SharedTokenizer {
    /// Wraps a tokenizer.
    pub fn new(tokenizer: impl HostTokenizer) -> Self {
        let object = TokenizerObject_TO::from_value(Served(tokenizer), crate::abi::TD_Opaque);
        Self { object }
    }

    /// The tokenizer as a plugin sees it.
    #[must_use]
    pub fn as_tokenizer(&self) -> Tokenizer<'_> {
        Tokenizer::new(&self.object)
    }

    #[cfg(feature = "host")]
    pub(crate) fn object(&self) -> &TokenizerObject_TO<'static, RBox<()>> {
        &self.object
    }
}

struct Served<T>(T);

impl<T: HostTokenizer> crate::abi::tokenizer::TokenizerObject for Served<T> {
    fn encode(&self, request: EncodeRequest<'_>) -> crate::abi::AbiResult<RawEncoding> {
        guard("tokenizer", || {
            let how = Encode {
                pair: request.pair.into_option().map(|pair| pair.as_str()),
                max_length: (request.max_length > 0).then_some(request.max_length as usize),
                truncation: match request.truncation {
                    0 => Truncation::LongestFirst,
                    1 => Truncation::OnlyFirst,
                    2 => Truncation::OnlySecond,
                    _ => Truncation::Never,
                },
                no_special_tokens: request.flags & 1 != 0,
                offsets: request.flags & 2 != 0,
                words: request.flags & 4 != 0,
                target: request.flags & 8 != 0,
            };
            self.0
                .encode(request.text.as_str(), &how)
                .map(RawEncoding::from)
        })
    }

    fn token_id(&self, token: RStr<'_>) -> ROption<u32> {
        contain(None, || self.0.token_id(token.as_str())).into()
    }

    fn special(&self, name: RStr<'_>) -> ROption<u32> {
        contain(None, || self.0.special(name.as_str())).into()
    }

    fn vocab_size(&self) -> u64 {
        contain(0, || self.0.vocab_size() as u64)
    }

    fn decode(
        &self,
        ids: &RVec<u32>,
        skip_special: bool,
    ) -> crate::abi::AbiResult<abi_stable::std_types::RString> {
        guard("tokenizer", || {
            self.0.decode(ids, skip_special).map(Into::into)
        })
    }

    fn decode_target(
        &self,
        ids: &RVec<u32>,
        skip_special: bool,
    ) -> crate::abi::AbiResult<abi_stable::std_types::RString> {
        guard("tokenizer", || {
            self.0.decode_target(ids, skip_special).map(Into::into)
        })
    }

    fn chat(
        &self,
        messages: RStr<'_>,
        add_generation_prompt: bool,
    ) -> crate::abi::AbiResult<abi_stable::std_types::RString> {
        guard("tokenizer", || {
            let messages: Vec<Message> = from_json(messages.as_str())?;
            self.0
                .chat(&messages, add_generation_prompt)
                .map(Into::into)
        })
    }
}
