//! Text that is still being written, over every kind of tokenizer: whatever the tokens, the parts
//! joined are what decoding all at once gives, and no part ends inside a character.

use serde_json::{Value, json};
use tenon_core::data::rng::Rng;
use tenon_core::data::{HfTokenizer, Tokenize};

use super::sentencepiece::{load, t5_folder};
use super::{fixture, view};
use tenon_core::tokenizer::train::{Kind, TextSource, TrainSpec, Unwatched, train};

/// Joins the parts of `ids`; answers them too.
fn parts(tokenizer: &HfTokenizer, ids: &[u32], skip: bool) -> (String, Vec<String>) {
    let mut detokenizer = tokenizer.detokenizer(skip);
    let mut parts: Vec<String> = ids.iter().map(|id| detokenizer.push(*id)).collect();
    parts.push(detokenizer.finish());
    (parts.concat(), parts)
}

/// Random tokens, and tokens of texts that are cut anywhere.
fn check(name: &str, tokenizer: &HfTokenizer) {
    let mut rng = Rng::new(7);
    let size = tokenizer.vocab_size() as u64;
    for round in 0..400 {
        let length = rng.below(24);
        let ids: Vec<u32> = (0..length).map(|_| rng.below(size + 2) as u32).collect();
        for skip in [true, false] {
            let whole = tokenizer.decode_target(&ids, skip).expect("text");
            let (joined, parts) = parts(tokenizer, &ids, skip);
            assert_eq!(joined, whole, "{name}, round {round}: {ids:?} in {parts:?}");
        }
    }
}

fn trained(kind: Kind) -> HfTokenizer {
    let view = view(&fixture("text.txt"));
    let source = TextSource {
        view: &view,
        columns: vec!["text".to_owned()],
    };
    let spec = TrainSpec {
        vocab_size: 400,
        ..TrainSpec::new(kind)
    };
    let trained = train(&spec, &[source], &Unwatched).expect("trains");
    let folder = tempfile::tempdir().expect("a folder");
    trained.write(folder.path()).expect("written");
    load(folder.path())
}

/// A tokenizer of these tokens with this decoder.
fn with_decoder(tokens: &[&str], decoder: &Value) -> HfTokenizer {
    let vocab: serde_json::Map<String, Value> = tokens
        .iter()
        .enumerate()
        .map(|(id, token)| ((*token).to_owned(), json!(id)))
        .collect();
    let file = json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": [
            {"id": 0, "content": tokens[0], "single_word": false, "lstrip": false, "rstrip": false,
             "normalized": false, "special": true}],
        "normalizer": null, "pre_tokenizer": null, "post_processor": null, "decoder": decoder,
        "model": {"type": "WordLevel", "vocab": vocab, "unk_token": tokens[0]},
    });
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("tokenizer.json");
    std::fs::write(&path, file.to_string()).expect("written");
    load(path)
}

#[test]
fn every_kind_of_tokenizer() {
    for kind in [Kind::Bpe, Kind::Unigram, Kind::WordPiece, Kind::Char] {
        check(kind.name(), &trained(kind));
    }
    check("t5", &load(t5_folder().path()));
    check("marian", &load(fixture("marian")));
    check("llama", &load(fixture("llama")));
}

#[test]
fn every_decoder() {
    let tokens = [
        "<x>", "▁a", "b", "▁", "▁▁c", "##d", "e</w>", "</w>", "<0xE2>", "<0x82>", "<0xAC>",
        "<0x41>", "<0xFF>", " f ", "Ġg", "â", "Ĥ", "¬", "ÿ", "é", " ", "", ".", " .", "n't",
        "[PAD]", "bb",
    ];
    let replace = json!({"type": "Replace", "pattern": {"String": "▁"}, "content": " "});
    let longer = json!({"type": "Replace", "pattern": {"String": "ab"}, "content": "-"});
    let fuse = json!({"type": "Fuse"});
    let strip = |start: u32| json!({"type": "Strip", "content": " ", "start": start, "stop": 0});
    let metaspace = |scheme: &str| json!({"type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme, "split": true});
    let sequence = |decoders: Vec<Value>| json!({"type": "Sequence", "decoders": decoders});
    let fallback = json!({"type": "ByteFallback"});
    let bytes = json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true});
    let pieces = |cleanup: bool| json!({"type": "WordPiece", "prefix": "##", "cleanup": cleanup});
    let suffix = json!({"type": "BPEDecoder", "suffix": "</w>"});
    let ctc =
        json!({"type": "CTC", "pad_token": "[PAD]", "word_delimiter_token": "▁", "cleanup": true});
    let decoders = [
        Value::Null,
        bytes.clone(),
        metaspace("always"),
        metaspace("never"),
        pieces(true),
        pieces(false),
        suffix.clone(),
        ctc.clone(),
        replace.clone(),
        fuse.clone(),
        strip(2),
        sequence(vec![
            replace.clone(),
            fallback.clone(),
            fuse.clone(),
            strip(1),
        ]),
        sequence(vec![replace.clone(), fallback.clone(), strip(1)]),
        sequence(vec![fallback.clone(), metaspace("always")]),
        sequence(vec![fuse.clone(), metaspace("always")]),
        sequence(vec![fuse.clone(), replace.clone(), strip(3)]),
        sequence(vec![fuse.clone(), longer.clone(), strip(1)]),
        sequence(vec![fuse.clone(), pieces(true)]),
        sequence(vec![fuse.clone(), bytes.clone()]),
        sequence(vec![fuse.clone(), fallback.clone()]),
        sequence(vec![bytes.clone(), replace.clone()]),
        sequence(vec![longer, suffix, fuse]),
        sequence(vec![ctc, metaspace("always")]),
        sequence(vec![strip(1), pieces(false)]),
        sequence(vec![]),
    ];
    for decoder in decoders {
        check(&decoder.to_string(), &with_decoder(&tokens, &decoder));
    }
}

/// Parts come as soon as they are certain, and never a half of a character.
#[test]
fn parts_come_when_they_are_certain() {
    let bytes = trained(Kind::Bpe);
    let told =
        |tokenizer: &HfTokenizer, ids: &[u32]| format!("{:?}", parts(tokenizer, ids, true).1);
    let ids = |tokens: &[&str]| -> Vec<u32> {
        let id = |token: &&str| bytes.token_id(token).expect("a token");
        tokens.iter().map(id).collect()
    };
    // The euro sign in three bytes; a byte that begins none; one that is never finished.
    let lines = [
        told(&bytes, &ids(&["a", "â", "Ĥ", "¬", "b"])),
        told(&bytes, &ids(&["â", "b", "ÿ"])),
        told(&bytes, &ids(&["<|endoftext|>", "Ġ", "â", "Ĥ"])),
        told(
            &load(fixture("llama")),
            &[1, 287, 13, 13, 229, 133, 175, 287, 541],
        ),
    ];
    insta::assert_snapshot!(lines.join("\n"));
}

/// A text of a million tokens that never becomes certain costs what its length costs.
#[test]
fn the_work_for_a_token_does_not_grow() {
    let llama = load(fixture("llama"));
    let mut detokenizer = llama.detokenizer(true);
    let began = std::time::Instant::now();
    // A byte that begins no character, again and again.
    (0..1_000_000).for_each(|_| assert_eq!(detokenizer.push(3 + 0xff), ""));
    let text = detokenizer.finish();
    assert_eq!(text.chars().count(), 1_000_000);
    assert!(began.elapsed().as_secs() < 20, "{:?}", began.elapsed());
}
