//! What scikit-learn leaves open: names of classes, single scores, labels of matrices.

use tenon_classification_metrics::{ConfusionMatrix, Precision, RocAuc};
use tenon_plugin_api::metric::prelude::*;

fn compute<M: Metric>(options: &str, labels: &[&str], pairs: (&Values, &Values)) -> Scores {
    let labels = labels.iter().map(|name| (*name).to_owned()).collect();
    let mut metric = M::new(M::Options::from_json(options).expect("options")).expect("a metric");
    metric
        .begin(&OutputInfo {
            labels,
            ..OutputInfo::default()
        })
        .expect("a beginning");
    metric
        .update(Pairs::new(pairs.0, pairs.1).expect("pairs"))
        .expect("an update");
    metric.compute()
}

#[test]
fn the_positive_class_may_be_named() {
    let (predictions, references) = (Values::labels([0, 0, 1]), Values::labels([0, 1, 1]));
    let names = ["spam", "ham"];
    let precision = |options: &str| {
        compute::<Precision>(options, &names, (&predictions, &references)).get("precision")
    };
    assert_eq!(precision(r#"{"pos_label": "spam"}"#), Some(0.5));
    assert_eq!(precision(r#"{"pos_label": 0}"#), Some(0.5));
    assert_eq!(precision("{}"), Some(1.0));
}

#[test]
fn a_single_score_is_that_of_class_1() {
    let references = Values::labels([0, 1, 0, 1]);
    let auc = |scores: &[f64]| {
        let predictions = Values::labels_with_scores(vec![0; 4], scores.to_vec()).expect("rows");
        compute::<RocAuc>("{}", &["no", "yes"], (&predictions, &references)).get("roc_auc")
    };
    assert_eq!(auc(&[0.1, 0.9, 0.4, 0.3]), Some(0.75));
    assert_eq!(auc(&[0.9, 0.1, 0.1, 0.9, 0.6, 0.4, 0.7, 0.3]), Some(0.75));
}

#[test]
fn a_matrix_covers_the_named_classes_else_those_that_occur() {
    let (predictions, references) = (Values::labels([2, 0]), Values::labels([0, 0]));
    let detail = |labels: &[&str]| {
        let scores = compute::<ConfusionMatrix>("{}", labels, (&predictions, &references));
        scores.as_slice()[0]
            .detail
            .as_ref()
            .map(ToString::to_string)
    };
    let named = r#"{"labels":["a","b","c"],"matrix":[[1,0,1],[0,0,0],[0,0,0]]}"#;
    assert_eq!(detail(&["a", "b", "c"]).as_deref(), Some(named));
    let unnamed = r#"{"labels":["0","2"],"matrix":[[1,1],[0,0]]}"#;
    assert_eq!(detail(&[]).as_deref(), Some(unnamed));
}
