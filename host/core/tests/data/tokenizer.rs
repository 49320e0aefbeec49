//! The tokenizer, on a small one in the format of BERT's.

use tenon_core::data::{EncodeOptions, HfTokenizer, TokenEncoding, Tokenize, Truncation};

use super::Folder;

/// `[CLS] a b c [SEP]` for the words "a b c".
fn tokenizer(folder: &Folder) -> HfTokenizer {
    let words = [
        "[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "b", "c", "d", "e", "play", "##ing", "caf", "##e",
    ];
    let vocab: serde_json::Map<String, serde_json::Value> = words
        .iter()
        .enumerate()
        .map(|(id, word)| ((*word).to_owned(), id.into()))
        .collect();
    let special = |id: usize| serde_json::json!({"id": id, "content": words[id], "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true});
    let file = serde_json::json!({
        "version": "1.0",
        // Both must be ignored: the caller says how long, and collation pads.
        "truncation": {"direction": "Right", "max_length": 2, "strategy": "LongestFirst", "stride": 0},
        "padding": {"strategy": {"Fixed": 128}, "direction": "Right", "pad_to_multiple_of": null, "pad_id": 0, "pad_type_id": 0, "pad_token": "[PAD]"},
        "added_tokens": [special(0), special(1), special(2), special(3)],
        "normalizer": {"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true, "strip_accents": null, "lowercase": true},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {"type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": "[CLS]", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "[SEP]", "type_id": 0}}],
            "pair": [{"SpecialToken": {"id": "[CLS]", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "[SEP]", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}, {"SpecialToken": {"id": "[SEP]", "type_id": 1}}],
            "special_tokens": {"[CLS]": {"id": "[CLS]", "ids": [2], "tokens": ["[CLS]"]}, "[SEP]": {"id": "[SEP]", "ids": [3], "tokens": ["[SEP]"]}}},
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": true},
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100, "vocab": vocab}
    });
    folder.write("tokenizer.json", file.to_string());
    HfTokenizer::load(folder.path()).expect("loads")
}

fn tokens(tokenizer: &HfTokenizer, encoding: &TokenEncoding) -> String {
    let token =
        |(id, type_id): (&u32, &u32)| format!("{}/{type_id}", tokenizer.token(*id).expect("known"));
    encoding
        .ids
        .iter()
        .zip(&encoding.type_ids)
        .map(token)
        .collect::<Vec<_>>()
        .join(" ")
}

#[test]
fn truncation_leaves_room_for_special_tokens() {
    let folder = Folder::new();
    let tokenizer = tokenizer(&folder);
    let cases = [
        ("a b c", None, None, Truncation::LongestFirst),
        ("Playing CAFÉ x", None, None, Truncation::LongestFirst),
        ("", None, Some(8), Truncation::LongestFirst),
        ("a b c d", None, Some(4), Truncation::LongestFirst),
        ("a b c d", Some("e e"), Some(7), Truncation::LongestFirst),
        ("a b c d", Some("e e"), Some(7), Truncation::OnlyFirst),
        ("a b c d", Some("e e"), Some(8), Truncation::OnlySecond),
        ("a b", Some(""), Some(16), Truncation::LongestFirst),
        ("a b c d", None, Some(5), Truncation::Never),
        ("a b c d", None, Some(2), Truncation::LongestFirst),
        ("a b c d", Some("e e"), Some(4), Truncation::OnlySecond),
    ];
    let made: Vec<_> = cases
        .iter()
        .map(|(text, pair, max_length, truncation)| {
            let options = EncodeOptions {
                max_length: *max_length,
                truncation: *truncation,
                ..EncodeOptions::default()
            };
            let result = tokenizer.encode(text, *pair, &options);
            let shown = result.map_or_else(
                |error| error.to_string(),
                |encoding| tokens(&tokenizer, &encoding),
            );
            format!("{text:?} {pair:?} {max_length:?} {truncation:?}\n  {shown}")
        })
        .collect();
    insta::assert_snapshot!(made.join("\n"));
}

#[test]
fn offsets_and_words_come_when_asked_for() {
    let folder = Folder::new();
    let tokenizer = tokenizer(&folder);
    let options = EncodeOptions {
        offsets: true,
        words: true,
        ..EncodeOptions::default()
    };
    let encoding = tokenizer
        .encode("é playing", Some("a"), &options)
        .expect("encodes");
    insta::assert_debug_snapshot!(encoding);
    let plain = tokenizer
        .encode("é playing", Some("a"), &EncodeOptions::default())
        .expect("encodes");
    assert_eq!(
        (plain.ids, plain.type_ids),
        (encoding.ids, encoding.type_ids)
    );
    assert!(plain.offsets.is_empty() && plain.words.is_empty() && plain.sequences.is_empty());
    let bare = EncodeOptions {
        special_tokens: false,
        max_length: Some(3),
        ..EncodeOptions::default()
    };
    assert_eq!(
        tokens(
            &tokenizer,
            &tokenizer
                .encode("a b", Some("c d"), &bare)
                .expect("encodes")
        ),
        "a/0 c/1 d/1"
    );
}

#[test]
fn special_tokens_and_text() {
    let folder = Folder::new();
    let first = tokenizer(&folder);
    let ids = ["pad", "unk", "cls", "sep", "mask", "bos"].map(|role| first.special(role));
    assert_eq!(ids, [Some(0), Some(1), Some(2), Some(3), None, None]);
    assert_eq!(
        (
            first.vocab_size(),
            first.token_id("play"),
            first.token_id("nothing")
        ),
        (13, Some(9), None)
    );
    assert_eq!(
        first.decode(&[2, 9, 10, 4, 3], true).expect("decodes"),
        "playing a"
    );
    folder.write(
        "special_tokens_map.json",
        r###"{"bos_token": {"content": "a", "special": true}, "pad_token": "[SEP]"}"###,
    );
    let named = HfTokenizer::load(folder.path()).expect("loads");
    assert_eq!(
        (
            named.special("bos"),
            named.special("pad"),
            named.special("cls")
        ),
        (Some(4), Some(3), Some(2))
    );
    assert_ne!(named.fingerprint(), first.fingerprint());
}

#[test]
fn files_that_are_no_tokenizer() {
    let folder = Folder::new();
    let load = |path: &str| {
        folder.hide(
            &HfTokenizer::load(&folder.path().join(path))
                .err()
                .expect("no tokenizer")
                .to_string(),
        )
    };
    folder.write("bad.json", "{\"version\": \"1.0\", \"model\": 3}");
    folder.write("cut.json", "{\"version\": ");
    insta::assert_snapshot!(
        [
            load("bad.json"),
            load("cut.json"),
            load("absent.json"),
            load("")
        ]
        .join("\n")
        .replace(&folder.path().display().to_string(), "FOLDER")
    );
}
