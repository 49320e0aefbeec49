//! `tenon tokenizer`.

use insta::assert_snapshot;
use serde_json::Value;

use super::place::Place;

const TEXT: &str = include_str!("../../../tests/fixtures/tokenizers/text.txt");

fn place() -> Place {
    Place::with(&[])
        .file("text.txt", TEXT)
        .file(
            "pairs.tsv",
            "source\ttarget\nthe cat\tdie Katze\nthe dog\tder Hund\n",
        )
        .file("empty.jsonl", "{\"text\": null, \"id\": 1}\n")
}

#[test]
fn help_of_training_a_tokenizer() {
    assert_snapshot!(place().tenon("tokenizer train --help").shown());
}

/// Trained, looked at, and used there and back.
#[test]
fn from_text_to_ids_and_back() {
    let place = place();
    let mut told = Vec::new();
    for line in [
        "tokenizer train --files text.txt --vocab-size 300 --output bytes",
        "tokenizer train --files pairs.tsv --column source --column target --kind wordpiece --lowercase --vocab-size 60 --output pairs",
        "tokenizer train --files text.txt --kind char --special-token <eot> --add-eos --output letters",
        "tokenizer inspect bytes",
        "tokenizer inspect pairs",
        "tokenizer encode bytes Hamlet",
        "tokenizer encode bytes --tokens Hamlet",
        "tokenizer encode pairs --json Katze",
        "tokenizer encode letters --tokens --max-length 4 Hamlet",
    ] {
        told.push(place.tenon(line).shown());
    }
    assert_snapshot!(told.join("\n"));
    let verses: String = TEXT
        .lines()
        .take(40)
        .map(|line| format!("{line}\n"))
        .collect();
    let ids = place.tenon_reads("tokenizer encode bytes", &verses);
    let back = place.tenon_reads("tokenizer decode bytes", &ids.stdout);
    assert_eq!((back.code, back.stdout), (0, verses));
}

/// The files are the same however often, and by JSON it is told what was found.
#[test]
fn training_again_gives_the_same_bytes() {
    let place = place();
    let read =
        |folder: &str| std::fs::read(place.path(folder).join("tokenizer.json")).expect("a file");
    let line = "tokenizer train --files text.txt --kind unigram --vocab-size 400 --json --output";
    let first = place.tenon(&format!("{line} a"));
    let found: Value = serde_json::from_str(&first.stdout).expect("JSON");
    assert_eq!(
        (&found["vocab_size"], &found["texts"]),
        (&400.into(), &1500.into())
    );
    place.tenon(&format!("{line} b"));
    assert_eq!(read("a"), read("b"));
}

#[test]
fn faults_of_tokenizer_commands() {
    let place = place()
        .file("bytes/tokenizer.json", "{")
        .file("spm/tokenizer.model", "?");
    let mut told = Vec::new();
    for line in [
        "tokenizer train --output out",
        "tokenizer train --files missing.txt --output out",
        "tokenizer train --files pairs.tsv --output out",
        "tokenizer train --files pairs.tsv --column sorce --output out",
        "tokenizer train --files empty.jsonl --output out",
        "tokenizer train --files text.txt --vocab-size 100 --output out",
        "tokenizer train --files text.txt --character-coverage 0 --output out",
        "tokenizer train --files text.txt --output bytes",
        "tokenizer encode bytes x",
        "tokenizer encode nowhere x",
        "tokenizer inspect spm",
    ] {
        told.push(place.tenon(line).shown());
    }
    place.tenon("tokenizer train --files pairs.tsv --column source --vocab-size 300 --output good");
    told.push(place.tenon("tokenizer decode good '1 300 2'").shown());
    told.push(place.tenon("tokenizer decode good '1 x'").shown());
    assert_snapshot!(told.join("\n"));
    assert!(!place.path("out").exists());
}
