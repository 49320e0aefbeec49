//! What users read when a metric does not fit its options or the data.

use std::fmt::Write;

use tenon_classification_metrics::{Accuracy, ConfusionMatrix, F1, Mcc, RocAuc};
use tenon_plugin_api::metric::prelude::*;

/// The error of a metric with options on one batch.
fn fault<M: Metric>(
    options: &str,
    labels: &[&str],
    predictions: &Values,
    references: &Values,
) -> Result<()> {
    let labels = labels.iter().map(|name| (*name).to_owned()).collect();
    let mut metric = M::new(M::Options::from_json(options)?)?;
    metric.begin(&OutputInfo {
        labels,
        ..OutputInfo::default()
    })?;
    metric.update(Pairs::new(predictions, references)?)
}

#[test]
fn faults_of_options_and_data() {
    let three = ["ham", "spam", "eggs"];
    let ids = Values::labels([0, 1, 2]);
    let sets = Values::label_sets([vec![0], vec![1, 2], vec![]]);
    let outside = Values::labels([0, 1, 3]);
    let negative = Values::label_sets([vec![0], vec![-1], vec![]]);
    let numbers = Values::numbers([0.5, 1.0, 2.0]);
    let scored = |width: usize, score: f64| {
        Values::labels_with_scores(vec![0, 1, 2], vec![score; 3 * width]).expect("a row an example")
    };
    let cases = [
        fault::<F1>(r#"{"average": "makro"}"#, &[], &ids, &ids),
        fault::<F1>(r#"{"pos_label": "sapm"}"#, &["ham", "spam"], &ids, &ids),
        fault::<F1>(r#"{"pos_label": "spam"}"#, &[], &ids, &ids),
        fault::<F1>(r#"{"pos_label": 2}"#, &["ham", "spam"], &ids, &ids),
        fault::<F1>("{}", &three, &ids, &ids),
        fault::<F1>("{}", &[], &ids, &ids),
        fault::<F1>("{}", &[], &sets, &sets),
        fault::<F1>(r#"{"average": "samples"}"#, &three, &ids, &ids),
        fault::<F1>(r#"{"average": "macro"}"#, &three, &outside, &ids),
        fault::<Accuracy>("{}", &three, &ids, &outside),
        fault::<Accuracy>("{}", &[], &sets, &negative),
        fault::<Accuracy>("{}", &[], &sets, &ids),
        fault::<Accuracy>("{}", &[], &numbers, &numbers),
        fault::<Mcc>("{}", &[], &sets, &sets),
        fault::<ConfusionMatrix>(r#"{"normalize": "true"}"#, &three, &sets, &sets),
        fault::<RocAuc>("{}", &three, &ids, &ids),
        fault::<RocAuc>("{}", &[], &scored(2, 0.5), &ids),
        fault::<RocAuc>("{}", &[], &scored(3, f64::NAN), &ids),
        fault::<RocAuc>(r#"{"average": "samples"}"#, &[], &scored(3, 0.5), &ids),
        fault::<RocAuc>(
            r#"{"multi_class": "ovo", "average": "micro"}"#,
            &[],
            &ids,
            &ids,
        ),
    ];
    let mut all = String::new();
    for case in cases {
        let error = case.expect_err("each case is a fault");
        writeln!(all, "{error}").expect("a string takes it");
    }
    insta::assert_snapshot!("faults", all);
}
