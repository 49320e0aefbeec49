//! The files of a tokenizer, as `transformers` and `tokenizers` read them: `tokenizer.json` and
//! `tokenizer_config.json`.

use serde_json::{Map, Value, json};
use tokenizers::Tokenizer;

use super::TrainError;
use super::bpe::{CONTINUES, Found};
use super::spec::{Kind, Normalization, TrainSpec};
use super::unigram::{Piece, SPACE};

/// A vocabulary that was found, without special tokens where it does not hold them.
pub(super) enum Model {
    /// With special tokens.
    Bpe(Found),
    /// With special tokens.
    WordPiece(Found),
    Unigram(Vec<Piece>),
    Char(Vec<char>),
}

/// What is done to a text before it is cut into words; `null` for nothing.
pub(super) fn normalizer(spec: &TrainSpec) -> Value {
    let mut steps = match (spec.normalization, spec.kind) {
        (Normalization::None, _) => Vec::new(),
        (Normalization::Nfc, _) => vec![json!({"type": "NFC"})],
        // What SentencePiece does by default.
        (Normalization::Nfkc, Kind::Unigram) => vec![
            json!({"type": "Nmt"}),
            json!({"type": "NFKC"}),
            json!({"type": "Strip", "strip_left": true, "strip_right": true}),
            json!({"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "}),
        ],
        (Normalization::Nfkc, _) => vec![json!({"type": "NFKC"})],
    };
    if spec.kind == Kind::WordPiece {
        steps.push(json!({
            "type": "BertNormalizer",
            "clean_text": true,
            "handle_chinese_chars": true,
            "strip_accents": spec.strip_accents,
            "lowercase": spec.lowercase,
        }));
    } else {
        if spec.strip_accents {
            steps.extend([json!({"type": "NFD"}), json!({"type": "StripAccents"})]);
        }
        if spec.lowercase {
            steps.push(json!({"type": "Lowercase"}));
        }
    }
    match steps.len() {
        0 => Value::Null,
        1 => steps.remove(0),
        _ => json!({"type": "Sequence", "normalizers": steps}),
    }
}

/// What cuts a text into words; `null` for nothing.
pub(super) fn pre_tokenizer(spec: &TrainSpec) -> Value {
    match spec.kind {
        Kind::Bpe => byte_level(),
        Kind::Unigram => metaspace(),
        Kind::WordPiece => json!({"type": "BertPreTokenizer"}),
        Kind::Char => Value::Null,
    }
}

fn byte_level() -> Value {
    json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true})
}

fn metaspace() -> Value {
    json!({"type": "Metaspace", "replacement": SPACE, "prepend_scheme": "always", "split": true})
}

fn decoder(spec: &TrainSpec) -> Value {
    match spec.kind {
        Kind::Bpe => byte_level(),
        Kind::Unigram => metaspace(),
        Kind::WordPiece => json!({"type": "WordPiece", "prefix": CONTINUES, "cleanup": true}),
        Kind::Char => json!({"type": "Fuse"}),
    }
}

/// What puts special tokens around a text; `null` for nothing.
fn post_processor(spec: &TrainSpec, special: &[String]) -> Value {
    let (first, last) = match spec.kind {
        Kind::WordPiece => (spec.token("cls"), spec.token("sep")),
        _ => (
            spec.token("bos").filter(|_| spec.add_bos),
            spec.token("eos").filter(|_| spec.add_eos),
        ),
    };
    if first.is_none() && last.is_none() {
        return match spec.kind {
            Kind::Bpe => byte_level(),
            _ => Value::Null,
        };
    }
    let token = |token: &str, part: usize| json!({"SpecialToken": {"id": token, "type_id": part}});
    let mut single: Vec<Value> = first.map(|first| token(first, 0)).into_iter().collect();
    single.push(json!({"Sequence": {"id": "A", "type_id": 0}}));
    single.extend(last.map(|last| token(last, 0)));
    let mut pair = single.clone();
    let second = usize::from(spec.kind == Kind::WordPiece);
    pair.push(json!({"Sequence": {"id": "B", "type_id": second}}));
    pair.extend(last.map(|last| token(last, second)));
    let ids: Map<String, Value> = [first, last]
        .into_iter()
        .flatten()
        .map(|token| {
            let id = special.iter().position(|known| known == token);
            (
                token.to_owned(),
                json!({"id": token, "ids": [id], "tokens": [token]}),
            )
        })
        .collect();
    json!({"type": "TemplateProcessing", "single": single, "pair": pair, "special_tokens": ids})
}

fn ids<'a>(tokens: impl IntoIterator<Item = &'a String>) -> Map<String, Value> {
    let numbered = tokens.into_iter().enumerate();
    numbered
        .map(|(id, token)| (token.clone(), json!(id)))
        .collect()
}

fn model(spec: &TrainSpec, special: &[String], model: Model) -> Value {
    match model {
        Model::Bpe(found) => json!({
            "type": "BPE",
            "dropout": null,
            "unk_token": null,
            "continuing_subword_prefix": null,
            "end_of_word_suffix": null,
            "fuse_unk": false,
            "byte_fallback": false,
            "ignore_merges": false,
            "vocab": ids(&found.tokens),
            "merges": found.merges,
        }),
        Model::WordPiece(found) => json!({
            "type": "WordPiece",
            "unk_token": spec.token("unk"),
            "continuing_subword_prefix": CONTINUES,
            "max_input_chars_per_word": 100,
            "vocab": ids(&found.tokens),
        }),
        Model::Unigram(pieces) => {
            let unk = spec.token("unk").unwrap_or_default();
            let special_pieces = special.iter().map(|token| (token.clone(), 0.0));
            let vocab: Vec<Piece> = special_pieces.chain(pieces).collect();
            json!({
                "type": "Unigram",
                "unk_id": special.iter().position(|token| token == unk),
                "vocab": vocab,
                "byte_fallback": false,
            })
        }
        Model::Char(chars) => {
            let chars: Vec<String> = chars.iter().map(ToString::to_string).collect();
            json!({
                "type": "BPE",
                "dropout": null,
                "unk_token": spec.token("unk"),
                "continuing_subword_prefix": null,
                "end_of_word_suffix": null,
                "fuse_unk": false,
                "byte_fallback": false,
                "ignore_merges": false,
                "vocab": ids(special.iter().chain(&chars)),
                "merges": [],
            })
        }
    }
}

/// Files by name, with what is in them.
type Files = Vec<(String, Vec<u8>)>;

/// The files by name, `tokenizer.json` last, and the size of the vocabulary.
pub(super) fn make(spec: &TrainSpec, found: Model) -> Result<(Files, usize), TrainError> {
    let special = spec.special_tokens();
    let added = special.iter().enumerate().map(|(id, token)| {
        json!({
            "id": id,
            "content": token,
            "single_word": false,
            "lstrip": false,
            "rstrip": false,
            "normalized": false,
            "special": true,
        })
    });
    let tokenizer = json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": added.collect::<Vec<_>>(),
        "normalizer": normalizer(spec),
        "pre_tokenizer": pre_tokenizer(spec),
        "post_processor": post_processor(spec, &special),
        "decoder": decoder(spec),
        "model": model(spec, &special, found),
    });
    let invalid = |error: &dyn std::error::Error| TrainError::Invalid(error.to_string());
    let mut text = serde_json::to_vec_pretty(&tokenizer).map_err(|error| invalid(&error))?;
    text.push(b'\n');
    let made = Tokenizer::from_bytes(&text).map_err(|error| invalid(&*error))?;
    let mut config = serde_json::to_vec_pretty(&config(spec)).map_err(|error| invalid(&error))?;
    config.push(b'\n');
    let files = vec![
        ("tokenizer_config.json".to_owned(), config),
        ("tokenizer.json".to_owned(), text),
    ];
    Ok((files, made.get_vocab_size(true)))
}

/// `tokenizer_config.json`: which special token has which role.
fn config(spec: &TrainSpec) -> Map<String, Value> {
    let mut config = Map::new();
    config.insert("tokenizer_class".into(), json!("PreTrainedTokenizerFast"));
    for (role, token) in spec.roles() {
        config.insert(format!("{role}_token"), json!(token));
    }
    if !spec.more_special_tokens.is_empty() {
        let more = json!(spec.more_special_tokens);
        config.insert("additional_special_tokens".into(), more);
    }
    config.insert("clean_up_tokenization_spaces".into(), json!(false));
    config
}
