//! Answers to questions over passages that are longer than the model reads: windows go through training, evaluation
//! and prediction, and one answer a question comes out.

use std::fs;

use serde_json::Value;
use tenon_tests::repository;

use super::desk::Desk;
use super::files::{json, scores};

const JOINTS: &str = "tests/fixtures/qa/joints.json";

/// Questions of the articles, with their passages.
fn questions() -> Vec<(String, String)> {
    let squad = json(&repository().join(JOINTS));
    let list = |value: &Value| value.as_array().expect("a list").clone();
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let paragraphs = list(&squad["data"])
        .iter()
        .flat_map(|article| list(&article["paragraphs"]))
        .collect::<Vec<_>>();
    let questions = paragraphs.iter().flat_map(|paragraph| {
        let context = text(&paragraph["context"]);
        list(&paragraph["qas"])
            .into_iter()
            .map(move |question| (text(&question["question"]), context.clone()))
    });
    questions.collect()
}

fn run_file(desk: &Desk) -> String {
    fs::copy(repository().join(JOINTS), desk.path("joints.json")).expect("a copy");
    desk.run_file(
        "answers",
        &[
            ("task.use", "\"question-answering\""),
            ("task.text", ""),
            ("task.label", ""),
            ("task.max_length", "24"),
            ("task.no_answer", "true"),
            ("data.train", "\"joints.json\""),
            ("data.validation", "{ split = 0.25, group = \"title\" }"),
            ("data.test", ""),
            ("metrics", "[{ use = \"squad\", version = \"2.0\" }]"),
            ("peft", ""),
            ("train.epochs", "2"),
            ("train.select_best", "\"squad.f1\""),
        ],
    )
}

#[test]
fn one_answer_a_question_of_many_windows() {
    let desk = Desk::new();
    let file = run_file(&desk);
    desk.succeed(&["train", &file]);
    let run = desk.run("answers");
    let summary = json(&run.join("summary.json"));
    let validation = scores(&summary["scores"]["validation"]);
    for name in ["exact_match", "f1"] {
        let score = validation[name];
        assert!((0.0..=100.0).contains(&score), "{name} is {score}");
    }
    let config = json(&run.join("model/config.json"));
    assert_eq!(
        config["architectures"],
        serde_json::json!(["BertForQuestionAnswering"])
    );

    let questions = questions();
    let folder = run.display().to_string();
    let outcome = desk.succeed(&["predict", &folder, "--input", "joints.json"]);
    let lines: Vec<Value> = outcome
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert_eq!(lines.len(), questions.len());
    for (line, (question, context)) in lines.iter().zip(&questions) {
        let answer = line["text"].as_str().expect("text");
        assert!(context.contains(answer), "{question}: {answer:?}");
        let none = line["no_answer_probability"].as_f64();
        assert!(
            none.is_some_and(|none| (0.0..=1.0).contains(&none)),
            "{line}"
        );
        assert_eq!(answer.is_empty(), none > Some(0.5), "{line}");
    }
}

/// Where the data is at fault, the message says so before anything is learnt.
#[test]
fn an_answer_that_is_not_where_it_should_be() {
    let desk = Desk::new();
    let file = run_file(&desk);
    let text = fs::read_to_string(desk.path("joints.json")).expect("the fixture");
    let start = text.find("\"answer_start\": ").expect("an offset") + "\"answer_start\": ".len();
    let moved = format!("{}9{}", &text[..start], &text[start..]);
    desk.write("joints.json", &moved);
    let told = desk.fail(1, &["train", &file]);
    assert!(told.contains("joints.json, row 1"), "{told}");
    assert!(
        told.contains("the answer \"its mortise\" is not at character 9"),
        "{told}"
    );
    assert!(told.contains("offsets = \"first\""), "{told}");
    desk.succeed(&["train", &file, "--set", "task.offsets=first"]);
}
