//! Scores of other choices of examples: of all of them, and of one of them alone.

use serde_json::{Value, json};
use tenon_plugin_api::metric::Metric;
use tenon_plugin_api::resample::{Draws, Resampling};
use tenon_plugin_api::values::{ValueKind, Values};
use tenon_testkit::columns::{made_up, pick};
use tenon_testkit::metric;
use tenon_testkit::metric::close;
use tenon_text_metrics::{Distinct, EditSimilarity, Perplexity, Repetition, Rouge, TextMatch};

#[track_caller]
fn check<M: Metric>(options: Value, predictions: &Values, references: &Values) {
    let bench = metric::<M>(options);
    let half = predictions.len() / 2;
    let part = |rows: std::ops::Range<usize>| {
        let mut metric = bench.fresh();
        assert!(metric.keep_examples().expect("an answer"), "{}", M::ID);
        let (p, r) = (pick(predictions, rows.clone()), pick(references, rows));
        metric.update(&p, &r).expect("a batch");
        metric
    };
    let mut merged = part(0..half);
    merged
        .merge(part(half..predictions.len()))
        .expect("a merge");

    let last = predictions.len() - 1;
    let all: Vec<u32> = (0..=last as u32).rev().collect();
    let one = vec![last as u32; all.len()];
    let chosen = [all, one].concat();
    let draws = Draws::new(&chosen, predictions.len(), Resampling::Bootstrap);
    let found = merged.resample(draws).expect("scores of draws");

    let alone = bench.scores(&pick(predictions, [last]), &pick(references, [last]));
    let expected = [merged.compute(), alone].map(|scores| scores.expect("scores"));
    for (found, expected) in found.iter().zip(&expected) {
        let expected: Vec<f64> = expected
            .as_slice()
            .iter()
            .map(|score| score.value)
            .collect();
        assert_eq!(found.len(), expected.len(), "{}", M::ID);
        for (found, expected) in found.iter().zip(&expected) {
            assert!(
                close(*found, *expected, 1e-12),
                "{}: {found} {expected}",
                M::ID
            );
        }
    }
}

#[test]
fn draws_of_texts() {
    let (predictions, references) = made_up(ValueKind::Text, 23, 2, 11);
    check::<Rouge>(json!({}), &predictions, &references);
    let more = json!({"types": ["rougeL", "rouge1"], "precision_and_recall": true});
    check::<Rouge>(more, &predictions, &references);
    check::<TextMatch>(json!({}), &predictions, &references);
    check::<EditSimilarity>(json!({}), &predictions, &references);
}

#[test]
fn draws_of_sums() {
    let mut sums = Values::new(ValueKind::Numbers);
    let mut nothing = Values::new(ValueKind::Numbers);
    for example in 1..12 {
        let number = f64::from(example);
        sums.push_numbers(&[number.sqrt() * 5.0, number, 3.0 * number + 1.0]);
        nothing.push_numbers(&[]);
    }
    check::<Perplexity>(json!({}), &sums, &nothing);
}

/// What counts over all texts at once says that it cannot.
#[test]
fn diversity_is_of_all_texts() {
    for mut metric in [
        metric::<Distinct>(json!({})).fresh(),
        metric::<Repetition>(json!({})).fresh(),
    ] {
        assert!(!metric.keep_examples().expect("an answer"));
    }
}
