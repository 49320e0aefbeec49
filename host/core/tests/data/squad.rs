//! SQuAD JSON reads as one row a question.

use std::io::Write;

use tenon_core::data::{BadRows, OpenOptions, Projection, columns};

use super::{Folder, all_rows, all_values, text};

/// Two articles, three questions; keys in the orders of SQuAD 1.1 and 2.0, one question without an answer.
const TWO: &str = r#"{"version": "v2.0", "data": [
    {"title": "Joints", "paragraphs": [
        {"context": "A tenon fits a mortise.", "qas": [
            {"id": "a", "question": "What fits?",
             "answers": [{"text": "A tenon", "answer_start": 0}, {"text": "tenon", "answer_start": 2}]}]}]},
    {"paragraphs": [
        {"qas": [
            {"plausible_answers": [{"text": "x", "answer_start": 0}], "question": "Who?", "id": 7, "answers": [],
             "is_impossible": true},
            {"question": "Café, où?", "id": "c", "answers": [{"text": "ici", "answer_start": 5}]}],
         "context": "C'est ici."}, {"context": "Nobody asks.", "qas": []}], "title": "Noël"}
]}"#;

#[test]
fn a_row_a_question() {
    let folder = Folder::new();
    folder.write("two.json", TWO);
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(TWO.as_bytes()).expect("packs");
    folder.write("two.json.gz", packed.finish().expect("packs"));
    folder.write("mark.json", format!("\u{feff}{TWO}"));
    folder.write("two.data", TWO);

    let cache = folder.path().join("cache");
    let cached = OpenOptions {
        cache: Some(cache.clone()),
        ..OpenOptions::default()
    };
    let rows = all_values(
        &folder
            .open("two.json", "", &OpenOptions::default())
            .expect("opens"),
    );
    for (name, format) in [
        ("two.json.gz", ""),
        ("mark.json", ""),
        ("two.data", r#"{"kind": "squad"}"#),
    ] {
        for _ in 0..2 {
            let again = folder.open(name, format, &cached).expect("opens");
            assert_eq!(all_values(&again), rows, "{name}");
        }
    }
    assert_eq!(std::fs::read_dir(&cache).expect("a folder").count(), 3);
    let source = folder.source("two.json", "").expect("resolves");
    assert_eq!(
        columns(&source).expect("columns"),
        ["id", "title", "context", "question", "answers"]
    );
    let lines = rows.iter().map(|row| {
        let cells = row.iter().map(|cell| format!("{}\n", cell.to_json()));
        cells.collect::<String>()
    });
    insta::assert_snapshot!(lines.collect::<Vec<_>>().join("\n"));
}

#[test]
fn only_the_columns_asked_for() {
    let folder = Folder::new();
    folder.write("two.json", TWO);
    let options = OpenOptions {
        columns: Projection::only(["question"], ["title", "label"]),
        bad_rows: BadRows::Skip,
        ..OpenOptions::default()
    };
    let dataset = folder.open("two.json", "", &options).expect("opens");
    let rows = all_values(&dataset);
    assert_eq!(rows[1][..2], [text("Who?"), text("Noël")]);
    let records = all_rows(&dataset);
    let record = records[1].as_ref().expect("a good row");
    assert_eq!(folder.hide(&record.at().to_string()), "two.json, row 2");
}

#[test]
fn faults_name_the_place() {
    let folder = Folder::new();
    let article = r#"{"title": "A", "paragraphs": [{"context": "c", "qas": []}]}"#;
    let cases = [
        ("no data", r#"{"version": "1.1"}"#.to_owned()),
        (
            "rows",
            "{\"question\": \"q\"}\n{\"question\": \"r\"}\n".to_owned(),
        ),
        ("a list", "[1]".to_owned()),
        ("no article", r#"{"data": []}"#.to_owned()),
        ("no question", format!(r#"{{"data": [{article}]}}"#)),
        (
            "no context",
            format!("{{\"data\": [{article},\n{{\"paragraphs\": [{{\"qas\": []}}]}}]}}"),
        ),
        (
            "an answer that is none",
            TWO.replace(r#""text": "ici""#, r#""txt": "ici""#),
        ),
        (
            "a negative start",
            TWO.replace(r#""answer_start": 5"#, r#""answer_start": -5"#),
        ),
        ("cut", TWO[..TWO.len() - 40].to_owned()),
        ("something behind", format!("{TWO} {{}}")),
    ];
    let mut said = String::new();
    for (what, content) in cases {
        folder.write("squad.json", content);
        let opened = folder.open(
            "squad.json",
            r#"{"kind": "squad"}"#,
            &OpenOptions::default(),
        );
        let error = opened
            .err()
            .map_or("fine".to_owned(), |error| error.to_string());
        said += &format!("{what}\n  {}\n", folder.hide(&error));
    }
    let options = OpenOptions {
        columns: Projection::only(["context", "qestion"], []),
        ..OpenOptions::default()
    };
    folder.write("two.json", TWO);
    let error = folder
        .open("two.json", "", &options)
        .err()
        .expect("no such column");
    said += &format!("a column\n  {}\n", folder.hide(&error.to_string()));
    insta::assert_snapshot!(said);
}
