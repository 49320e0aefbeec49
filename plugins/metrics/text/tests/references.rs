//! Every metric equals its reference implementation on frozen data: whole, in shards, and for each
//! example alone.
//!
//! The data and the expected values are in `tests/fixtures/metrics/text.json`; the script that makes
//! it stands beside it and explains its format.

use serde_json::{Value, json};
use tenon_plugin_api::metric::Metric;
use tenon_plugin_api::values::{ValueKind, Values};
use tenon_testkit::metric::close;
use tenon_text_metrics::{Distinct, EditSimilarity, Perplexity, Repetition, Rouge, TextMatch};

const FROZEN: &str = include_str!("../../../../tests/fixtures/metrics/text.json");

fn frozen() -> Value {
    serde_json::from_str(FROZEN).expect("the fixture is JSON")
}

#[test]
fn equal_to_the_references() {
    let frozen = frozen();
    let mut compared = 0;
    for set in frozen["sets"].as_array().expect("sets") {
        let data = Data::read(set);
        for expected in set["expected"].as_array().expect("expectations") {
            data.check(expected);
            compared += 1;
        }
    }
    assert_eq!(compared, 6 * 15 + 4);
}

#[test]
fn perplexity_of_sums() {
    let frozen = &frozen()["perplexity"];
    let mut sums = Values::new(ValueKind::Numbers);
    let mut nothing = Values::new(ValueKind::Numbers);
    for example in frozen["examples"].as_array().expect("examples") {
        let numbers = example.as_array().expect("numbers").iter();
        sums.push_numbers(&numbers.map(number).collect::<Vec<_>>());
        nothing.push_numbers(&[]);
    }
    let expected = scores(&frozen["expected"]);
    tenon_testkit::metric::<Perplexity>(json!({})).check(sums, nothing, &expected);
}

/// One data set.
struct Data<'a> {
    name: &'a str,
    predictions: Values,
    references: Values,
}

impl<'a> Data<'a> {
    fn read(set: &'a Value) -> Self {
        let text = |value: &'a Value| value.as_str().expect("a text");
        let list = |value: &'a Value| value.as_array().expect("a list").iter();
        let references = list(&set["references"]);
        Self {
            name: text(&set["name"]),
            predictions: Values::text(list(&set["predictions"]).map(text)),
            references: Values::texts(references.map(|texts| list(texts).map(text).collect())),
        }
    }

    fn check(&self, expected: &Value) {
        match expected[0].as_str() {
            Some("rouge") => self.check_as::<Rouge>(expected),
            Some("edit-similarity") => self.check_as::<EditSimilarity>(expected),
            Some("text-match") => self.check_as::<TextMatch>(expected),
            Some("distinct") => self.check_as::<Distinct>(expected),
            Some("repetition") => self.check_as::<Repetition>(expected),
            other => panic!("no metric {other:?}"),
        }
    }

    fn check_as<M: Metric>(&self, expected: &Value) {
        let mut options = expected[1].clone();
        if M::ID == "rouge" {
            options["precision_and_recall"] = json!(true);
        }
        println!("{} of \"{}\", {options}", M::ID, self.name);
        let bench = tenon_testkit::metric::<M>(options);
        let whole = scores(&expected[2]);
        bench.check(self.predictions.clone(), self.references.clone(), &whole);
        let Some(each) = expected[3].as_object() else {
            return;
        };
        assert!(!each.is_empty());
        for index in 0..self.predictions.len() {
            let one = |column: &Values| tenon_testkit::columns::pick(column, [index]);
            let found = bench.scores(&one(&self.predictions), &one(&self.references));
            let found = found.expect("scores of one example");
            for (name, values) in each {
                let (found, expected) = (found.get(name), number(&values[index]));
                assert!(
                    found.is_some_and(|found| close(found, expected, 1e-12)),
                    "{name} of example {index}: expected {expected}, found {found:?}"
                );
            }
        }
    }
}

fn scores(expected: &Value) -> Vec<(&str, f64)> {
    let scores = expected.as_object().expect("scores").iter();
    scores
        .map(|(name, value)| (name.as_str(), number(value)))
        .collect()
}

fn number(value: &Value) -> f64 {
    match value.as_f64() {
        Some(number) => number,
        None if value == "nan" => f64::NAN,
        None => panic!("{value} is no number"),
    }
}
