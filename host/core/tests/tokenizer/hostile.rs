//! Files that are broken, cut off, or do not belong together: each is told with its name.

use std::fs;
use std::path::Path;

use tenon_core::data::HfTokenizer;

use super::fixture;
use super::sentencepiece::t5_folder;

fn copied(name: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for entry in fs::read_dir(fixture(name)).expect("the fixture") {
        let entry = entry.expect("an entry");
        fs::copy(entry.path(), folder.path().join(entry.file_name())).expect("copied");
    }
    folder
}

fn fault(folder: &Path) -> String {
    let error = HfTokenizer::load(folder)
        .err()
        .expect("a fault")
        .to_string();
    error.replace(&folder.display().to_string(), "FOLDER")
}

#[test]
fn sentencepiece_models() {
    let mut told = Vec::new();
    let mut case = |what: &str, folder: tempfile::TempDir, file: &str, bytes: &[u8]| {
        fs::write(folder.path().join(file), bytes).expect("written");
        told.push(format!("{what}\n  {}", fault(folder.path())));
    };
    let model = fs::read(fixture("llama/tokenizer.model")).expect("the fixture");
    case(
        "text",
        copied("llama"),
        "tokenizer.model",
        b"not a model at all",
    );
    case(
        "cut off",
        copied("llama"),
        "tokenizer.model",
        &model[..model.len() / 2 - 3],
    );
    case("empty", copied("llama"), "tokenizer.model", b"");
    // A length of 2⁶³ − 1, and a piece that is no UTF-8.
    let huge = [
        0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 0x01,
    ];
    case("a huge length", copied("llama"), "tokenizer.model", &huge);
    case(
        "no UTF-8",
        copied("llama"),
        "tokenizer.model",
        &[0x0a, 4, 0x0a, 2, 0xff, 0xfe],
    );
    case(
        "an empty piece",
        copied("llama"),
        "tokenizer.model",
        &[0x0a, 2, 0x0a, 0],
    );
    let word = [&[0x0a, 3, 0x0a, 1, b'a'][..], &[0x12, 2, 0x18, 3]].concat();
    case("of words", copied("llama"), "tokenizer.model", &word);
    let table = [
        &[0x0a, 3, 0x0a, 1, b'a'][..],
        &[0x1a, 6, 0x12, 4, 255, 255, 255, 255],
    ]
    .concat();
    case("a broken table", copied("llama"), "tokenizer.model", &table);
    let twice = [
        &[0x0a, 3, 0x0a, 1, b'a'][..],
        &[0x0a, 3, 0x0a, 1, b'a'],
        &[0x12, 2, 0x18, 2],
    ]
    .concat();
    case("a piece twice", copied("llama"), "tokenizer.model", &twice);
    case(
        "no start",
        t5_folder(),
        "tokenizer_config.json",
        br#"{"tokenizer_class": "LlamaTokenizer"}"#,
    );
    case(
        "renumbered",
        t5_folder(),
        "tokenizer_config.json",
        br#"{"tokenizer_class": "XLMRobertaTokenizerFast"}"#,
    );
    case("of another", t5_folder(), "tokenizer_config.json", br#"{"tokenizer_class": "T5Tokenizer", "added_tokens_decoder": {"7": {"content": "<new>", "special": true}}}"#);
    case("a huge id", t5_folder(), "tokenizer_config.json", br#"{"tokenizer_class": "T5Tokenizer", "added_tokens_decoder": {"4294967295": {"content": "<new>"}}}"#);
    case(
        "a config that is none",
        t5_folder(),
        "tokenizer_config.json",
        b"{\"tokenizer_class\": ",
    );
    insta::assert_snapshot!(told.join("\n"));
}

#[test]
fn marian_folders() {
    let mut told = Vec::new();
    let mut case = |what: &str, change: &dyn Fn(&Path)| {
        let folder = copied("marian");
        change(folder.path());
        told.push(format!("{what}\n  {}", fault(folder.path())));
    };
    let write = |name: &'static str, text: &'static str| {
        move |folder: &Path| fs::write(folder.join(name), text).expect("written")
    };
    let remove = |name: &'static str| {
        move |folder: &Path| fs::remove_file(folder.join(name)).expect("removed")
    };
    case("no vocabulary", &remove("vocab.json"));
    case("no target", &remove("target.spm"));
    case("a list", &write("vocab.json", "[1, 2]"));
    case(
        "lacks pieces",
        &write("vocab.json", r#"{"</s>": 0, "<unk>": 1, "<pad>": 2}"#),
    );
    case(
        "lacks the end",
        &write("vocab.json", r#"{"<unk>": 1, "<pad>": 2}"#),
    );
    case(
        "a huge id",
        &write(
            "vocab.json",
            r#"{"</s>": 4294967295, "<unk>": 1, "<pad>": 2}"#,
        ),
    );
    case(
        "a negative id",
        &write("vocab.json", r#"{"</s>": -1, "<unk>": 1, "<pad>": 2}"#),
    );
    let separate = r#"{"separate_vocabs": true}"#;
    case(
        "no vocabulary of the target",
        &write("tokenizer_config.json", separate),
    );
    insta::assert_snapshot!(told.join("\n"));
}
