//! Every call on a tokenizer reaches the host's, and what a host leaves out has its default.

use tenon_plugin_api::error::ErrorCode;
use tenon_plugin_api::tokenizer::{
    Encode, Encoding, HostTokenizer, Message, SharedTokenizer, Truncation,
};
use tenon_plugin_api::{Error, Result};

/// Answers with what it was asked.
struct Told;

impl HostTokenizer for Told {
    fn encode(&self, text: &str, how: &Encode<'_>) -> Result<Encoding> {
        Err(Error::data(format!("{text:?} {how:?}")))
    }

    fn decode(&self, ids: &[u32], skip_special_tokens: bool) -> Result<String> {
        Ok(format!("source {ids:?} {skip_special_tokens}"))
    }

    fn decode_target(&self, ids: &[u32], skip_special_tokens: bool) -> Result<String> {
        Ok(format!("target {ids:?} {skip_special_tokens}"))
    }

    fn chat(&self, messages: &[Message], add_generation_prompt: bool) -> Result<String> {
        Ok(format!("{messages:?} {add_generation_prompt}"))
    }

    fn token_id(&self, token: &str) -> Option<u32> {
        Some(token.len() as u32)
    }

    fn special(&self, role: &str) -> Option<u32> {
        (role == "eos").then_some(7)
    }

    fn vocab_size(&self) -> usize {
        11
    }
}

/// Implements only what it must.
struct Plain;

impl HostTokenizer for Plain {
    fn encode(&self, _: &str, _: &Encode<'_>) -> Result<Encoding> {
        Ok(Encoding::default())
    }

    fn decode(&self, ids: &[u32], _: bool) -> Result<String> {
        Ok(format!("{ids:?}"))
    }

    fn token_id(&self, _: &str) -> Option<u32> {
        None
    }

    fn special(&self, _: &str) -> Option<u32> {
        None
    }

    fn vocab_size(&self) -> usize {
        0
    }
}

#[test]
fn every_call_reaches_the_host() {
    let shared = SharedTokenizer::new(Told);
    let tokenizer = shared.as_tokenizer();
    let flags = |bit: u32| Encode {
        pair: Some("b"),
        max_length: Some(3),
        truncation: Truncation::OnlySecond,
        no_special_tokens: bit == 0,
        offsets: bit == 1,
        words: bit == 2,
        target: bit == 3,
    };
    for bit in 0..4 {
        let how = flags(bit);
        let told = tokenizer.encode("a", &how).expect_err("what was asked");
        assert_eq!(told.message(), format!("\"a\" {how:?}"));
    }
    assert_eq!(
        tokenizer.decode(&[1], true).ok().as_deref(),
        Some("source [1] true")
    );
    let target = tokenizer.decode_target(&[1, 2], false);
    assert_eq!(target.ok().as_deref(), Some("target [1, 2] false"));
    let messages = [Message::new("user", "a\n\"b\"")];
    let text = tokenizer.chat(&messages, true).expect("a text");
    assert_eq!(text, format!("{messages:?} true"));
    assert_eq!(tokenizer.token_id("abc"), Some(3));
    assert_eq!(
        (tokenizer.special("eos"), tokenizer.special("bos")),
        (Some(7), None)
    );
    assert_eq!(tokenizer.vocab_size(), 11);
}

#[test]
fn what_a_host_leaves_out_has_its_default() {
    let shared = SharedTokenizer::new(Plain);
    let tokenizer = shared.as_tokenizer();
    assert_eq!(
        tokenizer.decode_target(&[5], true).ok().as_deref(),
        Some("[5]")
    );
    let error = tokenizer.chat(&[], true).expect_err("no template");
    assert_eq!(error.code(), ErrorCode::Unsupported);
    assert!(
        error
            .help()
            .is_some_and(|help| help.contains("chat_template.jinja"))
    );
}
