//! Scores of files, with metrics that are linked into this program.

mod metrics;
mod significance;

use std::path::PathBuf;

use insta::assert_snapshot;
use tenon_core::config;
use tenon_core::registry::Registry;
use tenon_core::score::{ColumnNames, ScoreRequest, score};
use tenon_plugin_api::host::Plugin;

/// Scores a file of references and one of predictions, each by name and content; the scores, or
/// the message, with the notes.
fn scores(metric: &str, references: (&str, &str), predictions: (&str, &str)) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |(name, text): (&str, &str)| -> PathBuf {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("writes");
        path
    };
    let mut registry = Registry::default();
    let plugin = Plugin::linked(metrics::tenon_plugin());
    registry.add_linked(plugin).expect("a manifest");
    let request = ScoreRequest {
        metrics: config::metrics("--metric", &[metric.to_owned()], &registry).expect("a metric"),
        references: Some(write(references)),
        predictions: vec![write(predictions)],
        columns: ColumnNames::default(),
        ..ScoreRequest::default()
    };
    let text = match score(&request, &registry) {
        Ok(scored) => {
            let scores = scored.systems.iter().flat_map(|system| &system.scores);
            let scores = scores.map(|named| format!("{} {}", named.score.name, named.score.value));
            let scores: Vec<String> = scores.chain(scored.notes.iter().cloned()).collect();
            format!("{} of {} rows", scores.join(", "), scored.rows)
        }
        Err(error) => error.to_string(),
    };
    text.replace(&format!("{}/", folder.path().display()), "")
}

#[test]
fn texts_and_tokens() {
    let found = [
        scores(
            "any-of",
            (
                "ref.jsonl",
                "{\"references\": [\"a\", \"b\"]}\n{\"references\": \"c\"}\n{\"references\": []}\n",
            ),
            (
                "pred.jsonl",
                "{\"text\": \"b\"}\n{\"text\": \"x\"}\n{\"text\": \"\"}\n",
            ),
        ),
        scores(
            "any-of",
            ("ref.csv", "id,text\n1,\"two\nlines\"\n2,7\n"),
            ("pred.jsonl", "{\"text\": \"two\\nlines\"}\n{\"text\": 7}\n"),
        ),
        scores(
            "any-of",
            ("ref.txt", "a\nb\n"),
            (
                "pred.jsonl",
                "{\"text\": \"a\"}\n{\"text\": [\"b\", \"c\"]}\n",
            ),
        ),
        scores(
            "same-tokens",
            ("ref.jsonl", "{\"tokens\": [1, 2]}\n{\"tokens\": []}\n"),
            ("pred.jsonl", "{\"tokens\": [1, 2]}\n{\"tokens\": [3]}\n"),
        ),
        scores("same-tokens", ("ref", "1 2\n3\n"), ("pred", "1 2\n4\n")),
        scores("same-tokens", ("ref", "1 2\n3\n"), ("pred", "1 2\nthree\n")),
    ];
    assert_snapshot!(found.join("\n"));
}

#[test]
fn answers_with_the_probability_that_there_is_none() {
    let truths = "{\"references\": []}\n{\"references\": [\"Paris\", \"paris\"]}\n";
    let answers = |first: &str| {
        format!(
            "{{\"text\": \"\"{first}}}\n{{\"text\": \"Paris\", \"no_answer_probability\": 0.125}}\n"
        )
    };
    let found = [
        answers(", \"no_answer_probability\": 0.75"),
        answers(", \"no_answer_probability\": \"0.75\""),
        answers(", \"no_answer_probability\": [0.75]"),
        answers(", \"no_answer_probability\": [0.5, 0.25]"),
        answers(", \"no_answer_probability\": \"likely\""),
        answers(", \"no_answer_probability\": null"),
        "{\"text\": \"\"}\n{\"text\": \"Paris\"}\n".to_owned(),
        "{\"no_answer_probability\": 0.75}\n{\"no_answer_probability\": 0.125}\n".to_owned(),
    ];
    let found = found.map(|answers| {
        scores(
            "unanswered",
            ("ref.jsonl", truths),
            ("pred.jsonl", &answers),
        )
    });
    assert_snapshot!(found.join("\n"));
}

#[test]
fn lists_of_numbers() {
    let sums = "{\"numbers\": [1.5, 2]}\n{\"numbers\": []}\n";
    let found = [
        (("ref.jsonl", sums), ("pred.jsonl", sums)),
        (
            ("ref.jsonl", "{\"reference\": null}\n{\"reference\": [1]}\n"),
            ("pred.jsonl", sums),
        ),
        (("ref", "1\n2 3\n"), ("pred", "1.5 2\n-4e1\n")),
        (
            ("ref.jsonl", sums),
            (
                "pred.jsonl",
                "{\"numbers\": [1]}\n{\"numbers\": [1, \"two\"]}\n",
            ),
        ),
        (
            ("ref.jsonl", sums),
            ("pred.jsonl", "{\"numbers\": [1]}\n{\"numbers\": null}\n"),
        ),
    ];
    let found =
        found.map(|(references, predictions)| scores("difference", references, predictions));
    assert_snapshot!(found.join("\n"));
}

#[test]
fn a_metric_of_several_kinds_is_given_what_the_files_hold() {
    let tokens = "{\"tokens\": [1, 2], \"text\": \"ab\"}\n{\"tokens\": [3], \"text\": \"c\"}\n";
    let texts = "{\"text\": \"ab\"}\n{\"text\": \"cd\"}\n";
    let found = [
        scores("same-length", ("ref.jsonl", tokens), ("pred.jsonl", tokens)),
        scores("same-length", ("ref.jsonl", tokens), ("pred.jsonl", texts)),
        scores("same-length", ("ref.jsonl", texts), ("pred.txt", "xy\nz\n")),
        scores(
            "same-length",
            ("ref.jsonl", "{\"a\": 1, \"b\": 2}\n"),
            ("pred.txt", "x\n"),
        ),
    ];
    assert_snapshot!(found.join("\n"));
}

/// Rows are read in parallel and many at a time; a line that is empty is found all the same.
#[test]
fn rows_beyond_a_chunk() {
    let lines = |count: usize| -> String { (0..count).map(|row| format!("{row}\n")).collect() };
    let right = scores(
        "any-of",
        ("ref.txt", &lines(3000)),
        ("pred.txt", &lines(3000)),
    );
    assert_eq!(right, "any_of 1 of 3000 rows");
    let gap = lines(3000).replace("\n2000\n", "\n\n") + "3000\n";
    let broken = scores("any-of", ("ref.txt", &lines(3000)), ("pred.txt", &gap));
    assert!(
        broken.starts_with("pred.txt:2001: an empty line"),
        "{broken}"
    );
}
