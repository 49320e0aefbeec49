//! One side of a tokenizer: text to ids, and back.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, OnceLock};

use serde::{Deserialize, Serialize};
use tokenizers::{
    AddedToken, Decoder as _, DecoderWrapper, Encoding as HfEncoding, Model as _, ModelWrapper,
    NormalizedString, NormalizerWrapper, PostProcessorWrapper, PreTokenizerWrapper, TokenizerImpl,
};

use super::detokenize::{Decoding, Detokenizer, Vocabulary};
use super::sentencepiece;

/// What computes a tokenizer.
pub(crate) type Computes = TokenizerImpl<
    ModelWrapper,
    Normalize,
    PreTokenizerWrapper,
    PostProcessorWrapper,
    DecoderWrapper,
>;

/// What is done to a text first.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Normalize {
    /// As `tokenizer.json` says.
    Json(NormalizerWrapper),
    /// As SentencePiece does it.
    #[serde(skip)]
    SentencePiece(sentencepiece::Normalizer),
}

impl tokenizers::Normalizer for Normalize {
    fn normalize(&self, text: &mut NormalizedString) -> tokenizers::Result<()> {
        match self {
            Self::Json(normalizer) => normalizer.normalize(text),
            Self::SentencePiece(normalizer) => {
                normalizer.apply(text);
                Ok(())
            }
        }
    }
}

/// Ids by the text of tokens, where they are not those of the model: Marian's `vocab.json`.
#[derive(Debug)]
pub(crate) struct Renumbered {
    ids: HashMap<String, u32>,
    unk: u32,
    special: HashSet<u32>,
    /// Whether a text may begin with a language, as in `>>de<< …`.
    languages: bool,
}

impl Renumbered {
    pub fn new(
        ids: HashMap<String, u32>,
        unk: u32,
        special: HashSet<u32>,
        languages: bool,
    ) -> Self {
        Self {
            ids,
            unk,
            special,
            languages,
        }
    }

    fn id(&self, token: &str) -> u32 {
        self.ids.get(token).copied().unwrap_or(self.unk)
    }

    /// The encoding of a text that begins with a language, by the ids here. `rest` is that of the
    /// text behind it, by the model's own ids.
    fn encoding(&self, language: &str, rest: &HfEncoding) -> HfEncoding {
        let shift = language.len();
        let first = || (shift > 0).then_some(());
        let mut ids: Vec<u32> = first().map(|()| self.id(language)).into_iter().collect();
        ids.extend(rest.get_tokens().iter().map(|token| self.id(token)));
        let mut tokens: Vec<String> = first().map(|()| language.to_owned()).into_iter().collect();
        tokens.extend_from_slice(rest.get_tokens());
        let mut offsets: Vec<(usize, usize)> = first().map(|()| (0, shift)).into_iter().collect();
        let later = rest.get_offsets().iter();
        offsets.extend(later.map(|(from, to)| (from + shift, to + shift)));
        let mut words: Vec<Option<u32>> = first().map(|()| Some(0)).into_iter().collect();
        let after = u32::from(shift > 0);
        let later = rest.get_word_ids().iter();
        words.extend(later.map(|word| word.map(|word| word + after)));
        let count = ids.len();
        HfEncoding::new(
            ids,
            vec![0; count],
            tokens,
            words,
            offsets,
            vec![0; count],
            vec![1; count],
            Vec::new(),
            Default::default(),
        )
    }

    /// The end of the language that a text begins with.
    fn language(&self, text: &str) -> Option<usize> {
        let end = text.strip_prefix(">>").and_then(|rest| rest.find("<<"))?;
        self.languages.then_some(end + 4)
    }
}

/// One side of a tokenizer.
pub(crate) struct Side {
    tokenizer: Computes,
    /// Kept apart from the tokenizer, so that truncation can come between the two.
    pub processor: Option<PostProcessorWrapper>,
    decoding: Decoding,
    renumbered: Option<Renumbered>,
    vocabulary: OnceLock<Arc<Vocabulary>>,
}

impl Side {
    pub fn new(
        tokenizer: Computes,
        processor: Option<PostProcessorWrapper>,
        decoding: Decoding,
        renumbered: Option<Renumbered>,
    ) -> Self {
        Self {
            tokenizer,
            processor,
            decoding,
            renumbered,
            vocabulary: OnceLock::new(),
        }
    }

    /// A text as tokens, without special tokens; `exact` with offsets.
    pub fn encode(&self, text: &str, exact: bool) -> tokenizers::Result<HfEncoding> {
        // Without offsets, tokens lose their text too.
        let plain = |text: &str| match exact || self.renumbered.is_some() {
            true => self.tokenizer.encode(text, false),
            false => self.tokenizer.encode_fast(text, false),
        };
        let Some(renumbered) = &self.renumbered else {
            return plain(text);
        };
        let end = renumbered.language(text).unwrap_or(0);
        let (language, rest) = text.split_at(end);
        Ok(renumbered.encoding(language, &plain(rest)?))
    }

    /// The text of ids; ids that are not in the vocabulary stand for nothing.
    pub fn decode(&self, ids: &[u32], skip_special_tokens: bool) -> tokenizers::Result<String> {
        match (&self.renumbered, &self.decoding, ids) {
            (_, _, []) => Ok(String::new()),
            (None, Decoding::Chain(_) | Decoding::Words, ids) => {
                let vocabulary = self.vocabulary();
                let kept = ids
                    .iter()
                    .filter(|id| !(skip_special_tokens && vocabulary.special.contains(id)));
                let tokens = kept.filter_map(|id| vocabulary.tokens.get(id).cloned());
                let tokens: Vec<String> = tokens.collect();
                match &self.decoding {
                    // Some decoders count on a last token.
                    _ if tokens.is_empty() => Ok(String::new()),
                    Decoding::Chain(decoder) => decoder.decode(tokens),
                    _ => Ok(tokens.join(" ")),
                }
            }
            (_, _, ids) => {
                let mut text = String::new();
                let mut detokenizer = self.detokenizer(skip_special_tokens);
                for id in ids {
                    text.push_str(&detokenizer.push(*id));
                }
                text.push_str(&detokenizer.finish());
                Ok(text)
            }
        }
    }

    /// Makes text of tokens that come one at a time.
    pub fn detokenizer(&self, skip_special_tokens: bool) -> Detokenizer {
        Detokenizer::new(self.vocabulary(), &self.decoding, skip_special_tokens)
    }

    pub fn token_id(&self, token: &str) -> Option<u32> {
        match &self.renumbered {
            Some(renumbered) => renumbered.ids.get(token).copied(),
            None => self.tokenizer.token_to_id(token),
        }
    }

    pub fn token(&self, id: u32) -> Option<String> {
        self.vocabulary().tokens.get(&id).cloned()
    }

    /// The highest id and one: not the number of tokens, for vocabularies may have gaps.
    pub fn vocab_size(&self) -> usize {
        let highest = match &self.renumbered {
            Some(renumbered) => renumbered.ids.values().max().copied(),
            None => self.tokenizer.get_vocab(true).into_values().max(),
        };
        highest.map_or(0, |id| id as usize + 1)
    }

    /// Special tokens with their ids, by id.
    pub fn special(&self) -> Vec<(u32, String)> {
        let vocabulary = self.vocabulary();
        let mut special: Vec<(u32, String)> = vocabulary
            .special
            .iter()
            .filter_map(|id| Some((*id, vocabulary.tokens.get(id)?.clone())))
            .collect();
        special.sort_unstable();
        special
    }

    /// The kind of model: `BPE`, `Unigram`, …
    pub fn kind(&self) -> &'static str {
        match self.tokenizer.get_model() {
            ModelWrapper::BPE(_) => "BPE",
            ModelWrapper::WordPiece(_) => "WordPiece",
            ModelWrapper::WordLevel(_) => "WordLevel",
            ModelWrapper::Unigram(_) => "Unigram",
        }
    }

    /// Its parts as `tokenizer.json` has them, the model apart.
    pub fn parts(&self) -> serde_json::Value {
        let normalizer = match self.tokenizer.get_normalizer() {
            Some(Normalize::SentencePiece(_)) => serde_json::json!({"type": "SentencePiece"}),
            other => serde_json::json!(other),
        };
        serde_json::json!({
            "normalizer": normalizer,
            "pre_tokenizer": self.tokenizer.get_pre_tokenizer(),
            "post_processor": self.processor,
            "decoder": self.tokenizer.get_decoder(),
        })
    }

    fn vocabulary(&self) -> Arc<Vocabulary> {
        let make = || match &self.renumbered {
            Some(renumbered) => Vocabulary {
                tokens: renumbered
                    .ids
                    .iter()
                    .map(|(token, id)| (*id, token.clone()))
                    .collect(),
                special: renumbered.special.clone(),
            },
            None => self.own_vocabulary(),
        };
        Arc::clone(self.vocabulary.get_or_init(|| Arc::new(make())))
    }

    fn own_vocabulary(&self) -> Vocabulary {
        let model = self.tokenizer.get_model();
        let ids = model.get_vocab().into_values();
        let mut tokens: HashMap<u32, String> = ids
            .filter_map(|id| Some((id, model.id_to_token(id)?)))
            .collect();
        let added = self.tokenizer.get_added_tokens_decoder();
        tokens.extend(
            added
                .into_iter()
                .map(|(id, AddedToken { content, .. })| (id, content)),
        );
        let known = self.tokenizer.get_added_vocabulary();
        let special = tokens
            .iter()
            .filter(|(_, token)| known.is_special_token(token))
            .map(|(id, _)| *id)
            .collect();
        Vocabulary { tokens, special }
    }
}
