//! Each processor against that of `transformers`, on scores that `fixtures/processors.py` froze.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use tenon_plugin_api::processor::{Decoding, Sequence};

use super::create;

#[derive(Deserialize)]
struct Fixture {
    eos: Vec<u32>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    processor: String,
    options: Value,
    prompt: usize,
    tokens: Vec<u32>,
    source: Vec<u32>,
    siblings: Vec<u32>,
    before: Vec<Option<f32>>,
    after: Vec<Option<f32>>,
}

#[test]
fn scores_are_those_of_transformers() {
    let fixture: Fixture =
        serde_json::from_str(include_str!("../../../fixtures/processors.json")).expect("a fixture");
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    for case in &fixture.cases {
        let mut processor =
            create(&case.processor, &case.options.to_string()).expect("a processor");
        let decoding = Decoding {
            vocab_size: case.before.len(),
            eos: fixture.eos.clone(),
            ..Decoding::default()
        };
        processor.begin(&decoding).expect("it begins");
        let sequence = Sequence {
            tokens: &case.tokens,
            prompt: case.prompt,
            source: &case.source,
            siblings: &case.siblings,
        };
        let score = |score: &Option<f32>| score.unwrap_or(f32::NEG_INFINITY);
        let mut scores: Vec<f32> = case.before.iter().map(score).collect();
        processor.process(sequence, &mut scores).expect("scores");
        for (token, (found, expected)) in scores.iter().zip(&case.after).enumerate() {
            let expected = score(expected);
            let close =
                *found == expected || (found - expected).abs() <= 1e-5 * expected.abs().max(1.0);
            let (name, options) = (&case.processor, &case.options);
            assert!(
                close,
                "{name} {options}: token {token}: {found}, expected {expected}"
            );
        }
        *seen.entry(&case.processor).or_default() += 1;
    }
    let names: Vec<&str> = seen.keys().copied().collect();
    assert_eq!(
        names.len(),
        15,
        "all but prefix and diversity-penalty: {names:?}"
    );
}

#[test]
fn what_is_forced_or_costs_is_what_the_options_say() {
    fn sequence<'a>(tokens: &'a [u32], siblings: &'a [u32]) -> Sequence<'a> {
        Sequence {
            tokens,
            prompt: 1,
            source: &[],
            siblings,
        }
    }
    let scores = |name: &str, options: &str, tokens: &[u32], siblings: &[u32]| {
        let processor = create(name, options).expect("a processor");
        let mut scores = [0.5_f32, 0.25, 1.0];
        processor
            .process(sequence(tokens, siblings), &mut scores)
            .expect("scores");
        scores
    };
    let no = f32::NEG_INFINITY;
    let forced = r#"{"tokens": [2, 0]}"#;
    assert_eq!(scores("prefix", forced, &[9], &[]), [no, no, 0.0]);
    assert_eq!(scores("prefix", forced, &[9, 2], &[]), [0.0, no, no]);
    assert_eq!(scores("prefix", forced, &[9, 2, 0], &[]), [0.5, 0.25, 1.0]);
    let penalty = r#"{"penalty": 0.5}"#;
    assert_eq!(
        scores("diversity-penalty", penalty, &[9], &[2, 0, 2]),
        [0.0, 0.25, 0.0]
    );
    // A token that the vocabulary does not have changes nothing.
    assert_eq!(
        scores("diversity-penalty", penalty, &[9], &[7]),
        [0.5, 0.25, 1.0]
    );
}

#[test]
fn options_out_of_range_and_unknown_names_are_refused() {
    for (name, options) in [
        ("no-repeat-ngram", r#"{"size": 0}"#),
        ("temperature", r#"{"temperature": 0.0}"#),
        ("top-k", r#"{"k": 0}"#),
        ("top-q", "{}"),
    ] {
        assert!(create(name, options).is_err(), "{name} {options}");
    }
}
