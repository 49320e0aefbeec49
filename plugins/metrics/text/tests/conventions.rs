//! What the reference implementations leave open, and what users read when something is wrong.

use std::fmt::Write;

use serde_json::{Value, json};
use tenon_plugin_api::Result;
use tenon_plugin_api::metric::{Metric, Scores};
use tenon_plugin_api::values::{ValueKind, Values};
use tenon_testkit::{conformance, metric, metric::refused};
use tenon_text_metrics::{Distinct, EditSimilarity, Perplexity, Repetition, Rouge, TextMatch};

#[test]
fn they_pass_the_battery() {
    conformance::metric::<Rouge>();
    conformance::metric_with::<Rouge>(json!({"bootstrap_samples": 10, "use_stemmer": true}));
    conformance::metric::<TextMatch>();
    conformance::metric::<EditSimilarity>();
    conformance::metric::<Distinct>();
    conformance::metric::<Repetition>();
}

fn numbers(examples: &[&[f64]]) -> (Values, Values) {
    let (mut sums, mut nothing) = (
        Values::new(ValueKind::Numbers),
        Values::new(ValueKind::Numbers),
    );
    for example in examples {
        sums.push_numbers(example);
        nothing.push_numbers(&[]);
    }
    (sums, nothing)
}

fn perplexity(examples: &[&[f64]]) -> Result<Scores> {
    let (sums, nothing) = numbers(examples);
    metric::<Perplexity>(json!({})).scores(&sums, &nothing)
}

/// Names and values of scores on one line.
fn shown(scores: &Result<Scores>) -> String {
    match scores {
        Ok(scores) => {
            let all = scores.as_slice().iter();
            let all = all.map(|score| format!("{} {:.4}", score.name, score.value));
            all.collect::<Vec<_>>().join(", ")
        }
        Err(error) => error.to_string(),
    }
}

#[test]
fn bytes_are_counted_where_every_example_tells_them() {
    let cases: [&[&[f64]]; 9] = [
        &[],
        &[&[6.0, 3.0, 12.0], &[2.0, 1.0, 4.0]],
        &[&[6.0, 3.0], &[2.0, 1.0]],
        &[&[6.0, 3.0, 12.0], &[2.0, 1.0]],
        &[&[6.0, 3.0, 12.0], &[2.0, 1.0, 0.0]],
        &[&[6.0, 3.0, 12.0], &[0.0, 0.0]],
        &[&[0.0, 0.0, 0.0]],
        &[&[f64::INFINITY, 3.0, 12.0]],
        &[&[f64::NAN, 3.0, 12.0]],
    ];
    let shown: Vec<_> = cases.iter().map(|case| shown(&perplexity(case))).collect();
    insta::assert_snapshot!("perplexity_of_few_examples", shown.join("\n"));
}

fn text<M: Metric>(options: Value, pairs: &[(&str, &[&str])]) -> Result<Scores> {
    let predictions = Values::text(pairs.iter().map(|(text, _)| text));
    let references = Values::texts(pairs.iter().map(|(_, texts)| texts.to_vec()));
    metric::<M>(options).scores(&predictions, &references)
}

#[test]
fn precision_and_recall_are_given_where_asked_for() {
    let pairs: [(&str, &[&str]); 2] = [
        ("the cat sat", &["a cat sat down", "the cat"]),
        ("hopping\ncats", &["cats hopped"]),
    ];
    let rouge = |options| shown(&text::<Rouge>(options, &pairs));
    let found = [
        rouge(json!({})),
        rouge(json!({"use_stemmer": true, "types": ["rougeL", "rouge1"]})),
        rouge(json!({"types": ["rouge1"], "precision_and_recall": true})),
        rouge(json!({"types": ["rouge2"], "bootstrap_samples": 100, "seed": 1})),
    ];
    insta::assert_snapshot!("rouge_of_two_examples", found.join("\n"));
}

#[test]
fn diversity_needs_no_references() {
    let pairs: [(&str, &[&str]); 2] = [("so so so so so", &[]), ("so it goes", &[])];
    let found = [
        shown(&text::<Distinct>(json!({"n": [1, 2, 4]}), &pairs)),
        shown(&text::<Repetition>(json!({"n": 2, "window": 1}), &pairs)),
    ];
    insta::assert_snapshot!("diversity_of_two_texts", found.join("\n"));
}

#[test]
fn faults_of_options_and_data() {
    let pairs: [(&str, &[&str]); 2] = [("one", &["one"]), ("two", &[])];
    let of_data = [
        text::<Rouge>(json!({}), &pairs),
        text::<TextMatch>(json!({}), &pairs),
        text::<EditSimilarity>(json!({}), &pairs),
        perplexity(&[&[1.0, 2.0], &[1.0]]),
        perplexity(&[&[1.0, 2.0, 3.0, 4.0]]),
        perplexity(&[&[1.0, -2.0]]),
        perplexity(&[&[1.0, 2.0, f64::NAN]]),
    ];
    let of_options = [
        refused::<Rouge>(json!({"types": []})),
        refused::<Rouge>(json!({"types": ["rouge0"]})),
        refused::<Rouge>(json!({"types": ["rouge10"]})),
        refused::<Rouge>(json!({"types": ["rougel"]})),
        refused::<Rouge>(json!({"types": ["rouge1", "rouge1"]})),
        refused::<Rouge>(json!({"confidence": 1.5})),
        refused::<EditSimilarity>(json!({"similarity": "jaro"})),
        refused::<Distinct>(json!({"n": []})),
        refused::<Distinct>(json!({"n": 0})),
        refused::<Repetition>(json!({"n": [2, 2]})),
        refused::<Repetition>(json!({"window": 0})),
    ];
    let of_data = of_data.map(|case| case.expect_err("each case is a fault"));
    let mut all = String::new();
    for error in of_options.iter().chain(&of_data) {
        writeln!(all, "{error}").expect("a string takes it");
    }
    insta::assert_snapshot!("faults", all);
}

/// A table of these would have 10⁹ cells.
#[test]
fn long_texts_take_no_time() {
    let words: Vec<String> = (0..30_000_u32)
        .map(|word| format!("w{}", word.wrapping_mul(2_654_435_761) % 5000))
        .collect();
    let long = words.join(" ");
    let lines = words.chunks(1000).map(|line| line.join(" "));
    let lines = lines.collect::<Vec<_>>().join("\n");
    let pairs: [(&str, &[&str]); 1] = [(&long, &[&lines])];
    let scores = text::<Rouge>(json!({}), &pairs).expect("scores");
    assert_eq!(scores.get("rougeL"), Some(1.0));
    assert_eq!(scores.get("rougeLsum"), Some(1.0));
}
