//! The tokenizer of a run, as plugins see it.

pub mod trained;

use std::sync::Arc;

use anyhow::{Result, ensure};
use tenon_core::data::{EncodeOptions, HfTokenizer, Tokenize, Truncation};
use tenon_plugin_api::tokenizer::{self as api, HostTokenizer};

/// The tokenizer of the run, as plugins see it.
pub struct RunTokenizer {
    /// The tokenizer.
    pub tokenizer: Arc<HfTokenizer>,
    /// The most tokens of an input with its special tokens, whatever a task asks for.
    pub limit: Option<usize>,
}

impl HostTokenizer for RunTokenizer {
    fn encode(&self, text: &str, how: &api::Encode<'_>) -> tenon_plugin_api::Result<api::Encoding> {
        // What has no special tokens is no input yet, but text that a task cuts itself.
        let limit = self.limit.filter(|_| !how.no_special_tokens);
        let options = EncodeOptions {
            max_length: how.max_length.into_iter().chain(limit).min(),
            truncation: match how.truncation {
                api::Truncation::LongestFirst => Truncation::LongestFirst,
                api::Truncation::OnlyFirst => Truncation::OnlyFirst,
                api::Truncation::OnlySecond => Truncation::OnlySecond,
                api::Truncation::Never => Truncation::Never,
            },
            special_tokens: !how.no_special_tokens,
            offsets: how.offsets,
            words: how.words,
            target: how.target,
        };
        let encoding = self.tokenizer.encode(text, how.pair, &options)?;
        Ok(api::Encoding {
            ids: encoding.ids.into_iter().map(i64::from).collect(),
            type_ids: encoding.type_ids.into_iter().map(i64::from).collect(),
            offsets: encoding.offsets,
            words: encoding
                .words
                .into_iter()
                .map(|word| word.map(|word| word as usize))
                .collect(),
            sequences: encoding.sequences,
        })
    }

    fn decode(&self, ids: &[u32], skip_special_tokens: bool) -> tenon_plugin_api::Result<String> {
        Ok(self.tokenizer.decode(ids, skip_special_tokens)?)
    }

    fn decode_target(
        &self,
        ids: &[u32],
        skip_special_tokens: bool,
    ) -> tenon_plugin_api::Result<String> {
        Ok(self.tokenizer.decode_target(ids, skip_special_tokens)?)
    }

    fn chat(
        &self,
        messages: &[api::Message],
        add_generation_prompt: bool,
    ) -> tenon_plugin_api::Result<String> {
        let text = self.tokenizer.chat(messages, add_generation_prompt)?;
        text.ok_or_else(api::no_chat_template)
    }

    fn token_id(&self, token: &str) -> Option<u32> {
        self.tokenizer.token_id(token)
    }

    fn special(&self, role: &str) -> Option<u32> {
        self.tokenizer.special(role)
    }

    fn vocab_size(&self) -> usize {
        self.tokenizer.vocab_size()
    }
}

/// Checks that the tokenizer's ids fit the model's embedding, where the config tells its size.
///
/// # Errors
/// They do not.
pub fn check_vocabulary(tokenizer: &HfTokenizer, vocab_size: Option<u64>) -> Result<()> {
    if let Some(size) = vocab_size {
        let ids = tokenizer.vocab_size() as u64;
        ensure!(
            ids <= size,
            "the tokenizer has {ids} tokens and the model embeddings for {size}: they do not belong together",
        );
    }
    Ok(())
}
