//! Every metric equals scikit-learn's and SciPy's on frozen data, whole and in shards.
//!
//! The data and the expected values are in `tests/fixtures/metrics/classification.json`; the
//! script that makes it stands beside it and explains its format.

use serde_json::Value;
use tenon_classification_metrics::{
    Accuracy, ConfusionMatrix, F1, Mcc, Pearson, Precision, Recall, RocAuc, Spearman,
};
use tenon_plugin_api::metric::prelude::*;

const FROZEN: &str = include_str!("../../../../tests/fixtures/metrics/classification.json");
const TOLERANCE: f64 = 1e-12;

#[test]
fn one_class_an_example() {
    assert_eq!(check_section("single_label"), (24, 1277));
}

#[test]
fn sets_of_classes() {
    assert_eq!(check_section("multi_label"), (9, 558));
}

#[test]
fn numbers() {
    assert_eq!(check_section("numbers"), (17, 34));
}

/// How many data sets and how many values were compared.
fn check_section(section: &str) -> (usize, usize) {
    let frozen: Value = serde_json::from_str(FROZEN).expect("the fixture is JSON");
    let sets = frozen[section].as_array().expect("a section is a list");
    let mut compared = 0;
    for set in sets {
        let data = Data::read(section, set);
        for expected in set[5].as_array().expect("expectations") {
            data.check(&expected[0], &expected[1], &expected[2]);
            compared += 1;
        }
    }
    (sets.len(), compared)
}

/// One data set.
struct Data<'a> {
    section: &'a str,
    name: &'a str,
    output: OutputInfo,
    references: &'a [Value],
    predictions: &'a [Value],
    scores: Option<&'a [Value]>,
}

impl<'a> Data<'a> {
    fn read(section: &'a str, set: &'a Value) -> Self {
        let list = |index: usize| set[index].as_array().map(Vec::as_slice);
        let classes = set[1].as_u64().unwrap_or(0);
        Self {
            section,
            name: set[0].as_str().expect("a name"),
            output: OutputInfo {
                labels: (0..classes).map(|id| format!("class {id}")).collect(),
                ..OutputInfo::default()
            },
            references: list(2).expect("references"),
            predictions: list(3).expect("predictions"),
            scores: list(4),
        }
    }

    fn check(&self, metric: &Value, options: &Value, expected: &Value) {
        match metric.as_str() {
            Some("accuracy") => self.check_as::<Accuracy>(options, expected),
            Some("precision") => self.check_as::<Precision>(options, expected),
            Some("recall") => self.check_as::<Recall>(options, expected),
            Some("f1") => self.check_as::<F1>(options, expected),
            Some("mcc") => self.check_as::<Mcc>(options, expected),
            Some("roc-auc") => self.check_as::<RocAuc>(options, expected),
            Some("confusion-matrix") => self.check_as::<ConfusionMatrix>(options, expected),
            Some("pearson") => self.check_as::<Pearson>(options, expected),
            Some("spearman") => self.check_as::<Spearman>(options, expected),
            other => panic!("no metric {other:?}"),
        }
    }

    fn check_as<M: Metric>(&self, options: &Value, expected: &Value) {
        let case = format!(
            "{} of \"{}\" ({}), {options}",
            M::ID,
            self.name,
            self.section
        );
        let n = self.references.len();
        let whole = self.compute::<M>(options, &[0, n]);
        compare(&case, M::ID, &self.output, whole.as_ref(), expected);
        // A worker that saw nothing comes first, so merging must also carry what it learnt.
        for cuts in [vec![0, 0, n / 3, n], vec![0, n / 2, n / 2, n]] {
            let merged = self.compute::<M>(options, &cuts);
            match (&whole, &merged) {
                (Ok(whole), Ok(merged)) => {
                    assert_eq!(
                        format!("{merged:?}"),
                        format!("{whole:?}"),
                        "{case} in {cuts:?}"
                    );
                }
                // A fault that only the whole shows: the merged metric has no number.
                (Err(_), Ok(merged)) => assert!(without_number(merged), "{case} in {cuts:?}"),
                (Err(_), Err(_)) => {}
                (Ok(_), Err(error)) => panic!("{case} in {cuts:?}: {error:?}"),
            }
        }
    }

    /// One metric for each stretch between cuts, merged.
    fn compute<M: Metric>(&self, options: &Value, cuts: &[usize]) -> Result<Scores> {
        let mut merged: Option<M> = None;
        for ends in cuts.windows(2) {
            let mut metric = M::new(M::Options::from_json(&options.to_string())?)?;
            metric.begin(&self.output)?;
            let (predictions, references) = self.columns(ends[0]..ends[1]);
            metric.update(Pairs::new(&predictions, &references)?)?;
            match &mut merged {
                Some(merged) => merged.merge(metric),
                None => merged = Some(metric),
            }
        }
        Ok(merged.expect("at least one stretch").compute())
    }

    fn columns(&self, rows: std::ops::Range<usize>) -> (Values, Values) {
        let float = |value: &Value| value.as_f64().expect("a number");
        let id = |value: &Value| value.as_i64().expect("an id");
        let ids = |value: &Value| {
            value
                .as_array()
                .expect("ids")
                .iter()
                .map(id)
                .collect::<Vec<_>>()
        };
        let column = |values: &[Value]| {
            let values = values[rows.clone()].iter();
            match self.section {
                "numbers" => Values::numbers(values.map(float)),
                "multi_label" => Values::label_sets(values.map(ids)),
                _ => Values::labels(values.map(id)),
            }
        };
        let mut predictions = column(self.predictions);
        if let Some(scores) = self.scores {
            let rows = scores[rows.clone()].iter();
            let flat = rows.flat_map(|row| row.as_array().expect("scores"));
            let scores = flat.map(|score| float(score) / 64.0).collect();
            predictions.set_scores(scores).expect("a row an example");
        }
        (predictions, column(self.references))
    }
}

fn compare(
    case: &str,
    metric: &str,
    output: &OutputInfo,
    result: Result<&Scores, &Error>,
    expected: &Value,
) {
    let refused = matches!(expected, Value::String(text) if text.starts_with("raises"));
    if refused {
        assert!(
            result.is_err() || result.is_ok_and(without_number),
            "{case}: {result:?}"
        );
        return;
    }
    let scores = result.unwrap_or_else(|error| panic!("{case}: {error:?}"));
    let only = scores.as_slice().first();
    match expected {
        Value::Object(by_class) => {
            assert_eq!(
                scores.as_slice().len(),
                by_class.len(),
                "{case}: {scores:?}"
            );
            for (score, (class, value)) in scores.as_slice().iter().zip(by_class) {
                let id: usize = class.parse().expect("an id");
                let class = output.labels.get(id).unwrap_or(class);
                assert_eq!(
                    score.name,
                    format!("{}_{class}", metric.replace('-', "_")),
                    "{case}"
                );
                close(case, score.value, value);
            }
        }
        Value::Array(matrix) => {
            let detail = only
                .and_then(|score| score.detail.as_ref())
                .expect("a detail");
            nested_close(case, &detail["matrix"], &Value::Array(matrix.clone()));
        }
        number => close(
            case,
            only.map_or(f64::INFINITY, |score| score.value),
            number,
        ),
    }
}

fn nested_close(case: &str, found: &Value, expected: &Value) {
    match (found, expected) {
        (Value::Array(found), Value::Array(expected)) => {
            assert_eq!(found.len(), expected.len(), "{case}");
            found
                .iter()
                .zip(expected)
                .for_each(|(f, e)| nested_close(case, f, e));
        }
        (found, expected) => close(case, found.as_f64().unwrap_or(f64::NAN), expected),
    }
}

fn close(case: &str, found: f64, expected: &Value) {
    let close = match expected.as_f64() {
        Some(expected) => (found - expected).abs() <= TOLERANCE,
        None => expected == "nan" && found.is_nan(),
    };
    assert!(close, "{case}: expected {expected}, found {found}");
}

/// NaN, no score, or a matrix of no example.
fn without_number(scores: &Scores) -> bool {
    let empty = |score: &Score| score.detail.is_some() && score.value == 0.0;
    scores
        .as_slice()
        .iter()
        .all(|score| score.value.is_nan() || empty(score))
}
