//! What sacrebleu leaves open: no segment, no reference, signatures, segments, draws; and what
//! users read when options do not fit.

use std::fmt::Write;

use tenon_plugin_api::metric::prelude::*;
use tenon_translation_metrics::{Bleu, Chrf, Ter};

fn scored<M: Metric>(
    options: &str,
    predictions: &[&str],
    references: &[&[&str]],
) -> Result<Scores> {
    let mut metric = M::new(M::Options::from_json(options)?)?;
    let predictions = Values::text(predictions);
    let references = Values::texts(references.iter().map(|texts| texts.to_vec()));
    metric.update(Pairs::new(&predictions, &references)?)?;
    Ok(metric.compute())
}

#[test]
fn signatures() {
    let (one, two): (&[&str], &[&str]) = (&["a b"], &["a", "b"]);
    let of = |scores: Result<Scores>| -> String {
        let scores = scores.expect("scores");
        let detail = scores.as_slice()[0].detail.as_ref().expect("a detail");
        let version = format!("tenon-{}", env!("CARGO_PKG_VERSION"));
        let signature = detail["signature"].as_str().expect("a signature");
        signature.replace(&version, "tenon-VERSION")
    };
    let found = [
        of(scored::<Bleu>("{}", &["a"], &[one])),
        of(scored::<Bleu>(
            r#"{"smooth_method": "floor", "lowercase": true}"#,
            &["a"],
            &[two],
        )),
        of(scored::<Bleu>(
            r#"{"smooth_method": "add-k", "smooth_value": 0.5, "tokenize": "zh", "level": "sentence"}"#,
            &["a", "b"],
            &[one, two],
        )),
        of(scored::<Chrf>("{}", &["a"], &[one])),
        of(scored::<Chrf>(
            r#"{"word_order": 2, "whitespace": true, "eps_smoothing": true}"#,
            &["a"],
            &[one],
        )),
        of(scored::<Ter>("{}", &["a"], &[one])),
        of(scored::<Ter>(
            r#"{"normalized": true, "no_punct": true, "asian_support": true, "case_sensitive": true}"#,
            &["a"],
            &[one],
        )),
    ];
    insta::assert_snapshot!(found.join("\n"));
}

#[test]
fn no_segment_has_no_score() {
    for options in ["{}", r#"{"level": "sentence"}"#] {
        let value = |scores: Result<Scores>| scores.expect("scores").as_slice()[0].value;
        assert!(value(scored::<Bleu>(options, &[], &[])).is_nan());
        assert!(value(scored::<Chrf>(options, &[], &[])).is_nan());
        assert!(value(scored::<Ter>(options, &[], &[])).is_nan());
    }
}

#[test]
fn faults() {
    let none: &[&str] = &[];
    let missing = (["a", "b"], [&["a"][..], none]);
    let cases = [
        scored::<Bleu>("{}", &missing.0, &missing.1),
        scored::<Chrf>("{}", &missing.0, &missing.1),
        scored::<Ter>("{}", &missing.0, &missing.1),
        scored::<Bleu>(r#"{"smooth_method": "exp", "smooth_value": 1}"#, &[], &[]),
        scored::<Bleu>(r#"{"smooth_method": "add_k"}"#, &[], &[]),
        scored::<Bleu>(r#"{"tokenize": "ja-mecab"}"#, &[], &[]),
        scored::<Bleu>(r#"{"max_ngram_order": 0}"#, &[], &[]),
        scored::<Chrf>(r#"{"char_order": 0}"#, &[], &[]),
        scored::<Ter>(r#"{"normalised": true}"#, &[], &[]),
    ];
    let mut all = String::new();
    for case in cases {
        writeln!(all, "{}", case.expect_err("each case is a fault")).expect("a string takes it");
    }
    insta::assert_snapshot!(all);
}

/// A segment that is drawn twice counts twice, and those of a merged metric come behind its own.
#[test]
fn draws_are_scored_as_segments_would_be() {
    let lines = [
        "the cat sat on the mat",
        "a dog",
        "it rains in the town today",
    ];
    let truths = [
        "the cat is on the mat",
        "the dog",
        "today it rains in the town",
    ];
    let metric = |range: std::ops::Range<usize>| {
        let options = <Ter as Metric>::Options::from_json("{}").expect("options");
        let mut metric = Ter::new(options).expect("a metric");
        assert!(metric.keep_examples());
        let (predictions, references) = (
            Values::text(&lines[range.clone()]),
            Values::text(&truths[range]),
        );
        let pairs = Pairs::new(&predictions, &references).expect("pairs");
        metric.update(pairs).expect("an update");
        metric
    };
    let mut merged = metric(0..1);
    merged.merge(metric(1..3));
    let drawn = merged.resample(Draws::new(&[0, 1, 2, 2, 2, 0], 3, Resampling::Exchange));
    let chosen = |rows: [usize; 3]| {
        let references: Vec<&[&str]> = rows
            .iter()
            .map(|row| std::slice::from_ref(&truths[*row]))
            .collect();
        let scores = scored::<Ter>("{}", &rows.map(|row| lines[row]), &references);
        vec![scores.expect("scores").as_slice()[0].value]
    };
    assert_eq!(
        drawn.expect("scores"),
        [chosen([0, 1, 2]), chosen([2, 2, 0])]
    );
    let error = Ter::new(<Ter as Metric>::Options::from_json("{}").expect("options"))
        .expect("a metric")
        .resample(Draws::new(&[0], 1, Resampling::Bootstrap))
        .expect_err("nothing was kept");
    assert_eq!(error.to_string(), "the segments were not kept");
}
