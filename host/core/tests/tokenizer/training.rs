//! Training, held against `tokenizers` and SentencePiece.

use std::collections::BTreeSet;

use serde_json::Value;
use tenon_core::data::{EncodeOptions, HfTokenizer, Tokenize};
use tenon_core::tokenizer::train::{
    Kind, Normalization, TextSource, TrainError, TrainSpec, TrainedTokenizer, Unwatched, train,
};

use super::{fixture, view};

/// What other programs made of the same text.
fn frozen(key: &str) -> Value {
    let text = std::fs::read_to_string(fixture("training.json")).expect("the fixture");
    let all: Value = serde_json::from_str(&text).expect("JSON");
    all[key].clone()
}

fn text() -> String {
    std::fs::read_to_string(fixture("text.txt")).expect("the fixture")
}

fn spec(kind: Kind, vocab_size: usize) -> TrainSpec {
    TrainSpec {
        vocab_size,
        ..TrainSpec::new(kind)
    }
}

fn trained_on(text: &str, spec: &TrainSpec) -> Result<TrainedTokenizer, TrainError> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("text.txt");
    std::fs::write(&path, text).expect("written");
    let view = view(&path);
    let source = TextSource {
        view: &view,
        columns: vec!["text".to_owned()],
    };
    train(spec, &[source], &Unwatched)
}

/// `tokenizer.json` of a tokenizer, and the tokenizer loaded from its files.
fn opened(trained: &TrainedTokenizer) -> (Value, HfTokenizer) {
    let folder = tempfile::tempdir().expect("a folder");
    trained.write(folder.path()).expect("written");
    let text = std::fs::read(folder.path().join("tokenizer.json")).expect("a file");
    let json = serde_json::from_slice(&text).expect("JSON");
    (json, HfTokenizer::load(folder.path()).expect("a tokenizer"))
}

fn ids(tokenizer: &HfTokenizer, text: &str) -> Vec<u32> {
    let encoded = tokenizer.encode(text, None, &EncodeOptions::default());
    encoded.expect("ids").ids
}

fn words(list: &Value) -> Vec<String> {
    let list = list.as_array().expect("a list").iter();
    list.map(|word| word.as_str().expect("text").to_owned())
        .collect()
}

#[test]
fn byte_level_merges_are_those_of_tokenizers() {
    let trained = trained_on(&text(), &spec(Kind::Bpe, 600)).expect("trains");
    let (json, tokenizer) = opened(&trained);
    let merges = json["model"]["merges"].as_array().expect("merges");
    let merges: Vec<String> = merges.iter().map(|pair| words(pair).join(" ")).collect();
    assert_eq!(merges, words(&frozen("bpe")));
    assert_eq!(
        (trained.summary.vocab_size, trained.summary.texts),
        (600, 1500)
    );
    // Any text comes back, and nothing is added to it.
    for text in [
        "To be, or not to be",
        "  naïve\t😀\n\n",
        "",
        "\u{0}\u{7f}",
        "<|endoftext|>x",
    ] {
        let back = tokenizer.decode(&ids(&tokenizer, text), false);
        assert_eq!(back.expect("text"), text);
    }
    assert_eq!(tokenizer.special("eos"), Some(0));
    assert_eq!(tokenizer.special("pad"), Some(1));
}

/// The trainer of `tokenizers` numbers the letters that continue words by chance, so that of
/// equally frequent pairs others may win: nearly all tokens are the same.
#[test]
fn word_pieces_are_nearly_those_of_tokenizers() {
    let wanted = TrainSpec {
        lowercase: true,
        character_coverage: 1.0,
        ..spec(Kind::WordPiece, 400)
    };
    let (json, tokenizer) = opened(&trained_on(&text(), &wanted).expect("trains"));
    let ours = json["model"]["vocab"].as_object().expect("a vocabulary");
    let ours: BTreeSet<String> = ours.keys().cloned().collect();
    let theirs: BTreeSet<String> = words(&frozen("wordpiece")).into_iter().collect();
    let shared = ours.intersection(&theirs).count();
    assert!(
        ours.len() == 400 && shared >= 396,
        "{shared} of {} are shared",
        ours.len()
    );
    let ids = ids(&tokenizer, "The QUEEN 漢");
    let tokens: Vec<String> = ids.iter().filter_map(|id| tokenizer.token(*id)).collect();
    assert_eq!(tokens.first().map(String::as_str), Some("[CLS]"));
    assert_eq!(tokens[tokens.len() - 2..], ["[UNK]", "[SEP]"]);
}

/// The same text takes no more tokens than with SentencePiece's own vocabulary of that size, but
/// for one in a hundred, and most pieces are the same.
#[test]
fn unigram_pieces_are_as_good_as_sentencepieces() {
    let trained = trained_on(&text(), &spec(Kind::Unigram, 500)).expect("trains");
    let (json, tokenizer) = opened(&trained);
    let frozen = frozen("unigram");
    let vocab = json["model"]["vocab"]
        .as_array()
        .expect("a vocabulary")
        .iter();
    let ours: BTreeSet<&str> = vocab.filter_map(|piece| piece[0].as_str()).collect();
    let theirs = words(&frozen["pieces"]);
    let shared = theirs
        .iter()
        .filter(|piece| ours.contains(piece.as_str()))
        .count();
    let count = |line: &str| ids(&tokenizer, line).len() - 1;
    let tokens: usize = text().lines().map(count).sum();
    let reference = frozen["tokens"].as_u64().expect("a number") as usize;
    println!("{shared} of 500 pieces are shared; {tokens} tokens, SentencePiece's {reference}");
    assert_eq!(trained.summary.vocab_size, 500);
    assert!(
        tokens * 100 <= reference * 101,
        "{tokens} tokens, SentencePiece's {reference}"
    );
    assert!(shared >= 350, "{shared} of 500 pieces are shared");
    let line = "But soft, behold! lo, where it comes again!";
    let (ids, eos) = (ids(&tokenizer, line), tokenizer.special("eos"));
    assert_eq!(ids.last().copied(), eos);
    assert_eq!(tokenizer.decode(&ids, true).expect("text"), line);
}

#[test]
fn characters_in_order_of_their_code_points() {
    let (json, tokenizer) =
        opened(&trained_on("ba\ncab é", &spec(Kind::Char, 50)).expect("trains"));
    let vocab = json["model"]["vocab"].as_object().expect("a vocabulary");
    let tokens: Vec<&str> = vocab.keys().map(String::as_str).collect();
    assert_eq!(tokens, ["<unk>", "\n", " ", "a", "b", "c", "é"]);
    assert_eq!(ids(&tokenizer, "cab\nxé"), [5, 3, 4, 1, 0, 6]);
    assert_eq!(
        tokenizer.decode(&[5, 3, 4, 2, 4], true).expect("text"),
        "cab b"
    );
}

/// Bytes of the files do not depend on hashing, threads, or the order of rows.
#[test]
fn the_same_text_gives_the_same_files() {
    let mut lines: Vec<String> = text().lines().map(str::to_owned).collect();
    let forward = lines.join("\n");
    lines.reverse();
    let backward = lines.join("\n");
    for kind in [Kind::Bpe, Kind::Unigram, Kind::WordPiece, Kind::Char] {
        let spec = spec(kind, 450);
        let first = trained_on(&forward, &spec).expect("trains");
        assert_eq!(
            first,
            trained_on(&backward, &spec).expect("trains"),
            "{kind:?}"
        );
    }
}

#[test]
fn options_reach_the_files() {
    let wanted = TrainSpec {
        normalization: Normalization::Nfc,
        lowercase: true,
        strip_accents: true,
        more_special_tokens: vec![">>de<<".to_owned()],
        add_bos: true,
        add_eos: true,
        ..spec(Kind::Bpe, 300)
    };
    let (json, tokenizer) = opened(&trained_on(&text(), &wanted).expect("trains"));
    let encoded = ids(&tokenizer, ">>de<<CAFÉ");
    assert_eq!((encoded[0], encoded[1], encoded.last()), (0, 2, Some(&0)));
    assert_eq!(tokenizer.decode(&encoded, true).expect("text"), "cafe");
    insta::assert_snapshot!(
        serde_json::to_string_pretty(&serde_json::json!({
            "normalizer": json["normalizer"],
            "post_processor": json["post_processor"],
            "added_tokens": json["added_tokens"].as_array().map(Vec::len),
        }))
        .expect("JSON")
    );
}

#[test]
fn what_cannot_be_trained() {
    let fault = |text: &str, spec: &TrainSpec| match trained_on(text, spec) {
        Ok(trained) => format!("{:?}", trained.summary),
        Err(error) => error.to_string(),
    };
    let told = [
        fault("\u{3000} \u{a0}", &spec(Kind::WordPiece, 600)),
        fault("abc", &spec(Kind::Bpe, 200)),
        fault("abc", &spec(Kind::Unigram, 5)),
        fault("abc", &spec(Kind::WordPiece, 8)),
        fault("abc", &spec(Kind::Char, 4)),
        // Small, but not too small: the vocabulary is as large as the text allows.
        fault("abc", &spec(Kind::Unigram, 50)),
        fault("abc abc", &spec(Kind::WordPiece, 50)),
    ];
    insta::assert_snapshot!(told.join("\n"));
}
