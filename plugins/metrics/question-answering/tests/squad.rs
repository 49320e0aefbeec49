//! Exact match and F1 equal the official scripts' on frozen data, whole and in shards; and what
//! users read when something is wrong.
//!
//! The data and the expected values are in `tests/fixtures/metrics/question_answering.json`; the
//! script that makes it stands beside it and explains its format.

use std::fmt::Write;

use serde_json::{Value, json};
use tenon_plugin_api::resample::{Draws, Resampling};
use tenon_plugin_api::values::Values;
use tenon_question_answering_metrics::Squad;
use tenon_testkit::{conformance, metric, metric::refused};

const FROZEN: &str = include_str!("../../../../tests/fixtures/metrics/question_answering.json");

#[test]
fn equal_to_the_scripts() {
    let frozen: Value = serde_json::from_str(FROZEN).expect("the fixture is JSON");
    let mut compared = 0;
    for set in frozen["sets"].as_array().expect("sets") {
        let (answers, references) = columns(set);
        for expected in set["expected"].as_array().expect("expectations") {
            println!("{}, {}", set["name"], expected[0]);
            let bench = metric::<Squad>(expected[0].clone());
            let scores = expected[1].as_object().expect("scores").iter();
            let scores: Vec<(&str, f64)> = scores
                .map(|(name, value)| (name.as_str(), value.as_f64().expect("a number")))
                .collect();
            bench.check(answers.clone(), references.clone(), &scores);
            let found = bench.scores(&answers, &references).expect("scores");
            assert_eq!(found.as_slice().len(), scores.len(), "{found:?}");
            compared += 1;
        }
    }
    assert_eq!(compared, 25);
}

fn columns(set: &Value) -> (Values, Values) {
    let list = |value: &Value| value.as_array().expect("a list").clone();
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let texts = |value: &Value| list(value).iter().map(text).collect::<Vec<_>>();
    let mut answers = Values::text(texts(&set["answers"]));
    if let Some(probabilities) = set["probabilities"].as_array() {
        let numbers = probabilities
            .iter()
            .map(|value| value.as_f64().expect("a number"));
        answers
            .set_scores(numbers.collect())
            .expect("one an answer");
    }
    (
        answers,
        Values::texts(list(&set["references"]).iter().map(texts)),
    )
}

#[test]
fn it_passes_the_battery() {
    conformance::metric::<Squad>();
    conformance::metric_with::<Squad>(json!({"version": "2.0", "no_answer_threshold": 0.5}));
}

#[test]
fn faults_of_options_and_data() {
    let answers = |scores: &[f64]| Values::text_with_scores(["x", "y"], scores.to_vec());
    let fault = |options: Value, answers: Values, references: [Vec<&str>; 2]| {
        metric::<Squad>(options).fails(answers, Values::texts(references))
    };
    let two = json!({"version": "2.0"});
    let scored = |scores: &[f64]| answers(scores).expect("scores divide");
    let all = [
        refused::<Squad>(json!({"version": "1.0"})),
        refused::<Squad>(json!({"version": 2.0})),
        refused::<Squad>(json!({"no_answer_threshold": 0.5})),
        fault(json!({}), scored(&[]), [vec!["x"], vec![]]),
        fault(two.clone(), scored(&[0.5, f64::NAN]), [vec!["x"], vec![]]),
        fault(two, scored(&[0.1, 0.2, 0.3, 0.4]), [vec!["x"], vec![]]),
    ];
    let mut text = String::new();
    for error in all {
        writeln!(text, "{error}").expect("a string takes it");
    }
    insta::assert_snapshot!("faults", text);
}

/// Where some answers came without a probability, no threshold can be the best.
#[test]
fn best_scores_need_every_probability() {
    let bench = metric::<Squad>(json!({"version": "2.0"}));
    let references = Values::texts([vec!["x"], vec![]]);
    let scored = Values::text_with_scores(["x", ""], vec![0.25, 0.75]).expect("scores divide");
    let mut metric = bench.fresh();
    metric.update(&scored, &references).expect("answers");
    let whole = metric.compute().expect("scores");
    assert_eq!(whole.get("best_f1"), Some(100.0));
    let plain = Values::text(["x", ""]);
    metric.update(&plain, &references).expect("answers");
    let partly = metric.compute().expect("scores");
    assert_eq!(
        (partly.get("f1"), partly.get("best_f1")),
        (Some(100.0), None)
    );
}

/// Scores of other choices of the questions: of all of them, and of one of them alone.
#[test]
fn draws_of_questions() {
    let bench = metric::<Squad>(json!({"version": "2.0", "no_answer_threshold": 0.5}));
    let references = Values::texts([vec!["x y"], vec![], vec!["z"]]);
    let answers = Values::text_with_scores(["x", "", "z"], vec![0.25, 0.75, 0.75]);
    let mut metric = bench.fresh();
    assert!(metric.keep_examples().expect("an answer"));
    let answers = answers.expect("scores divide");
    metric.update(&answers, &references).expect("answers");
    let chosen = [2, 0, 1, 0, 0, 0];
    let draws = Draws::new(&chosen, 3, Resampling::Bootstrap);
    let found = metric.resample(draws).expect("scores of draws");
    let whole = metric.compute().expect("scores");
    let expected = ["exact_match", "f1"].map(|name| whole.get(name).unwrap_or(f64::NAN));
    assert_eq!(found, [expected.to_vec(), vec![0.0, 200.0 / 3.0]]);
}
