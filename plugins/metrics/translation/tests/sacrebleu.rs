//! Every metric equals sacrebleu's on frozen lines, whole, in shards and segment by segment.
//!
//! The expected values are in `tests/fixtures/metrics/translation.json`; the script that makes it
//! stands beside it and explains its format.

use serde_json::{Value, json};
use tenon_plugin_api::metric::prelude::*;
use tenon_translation_metrics::{Bleu, Chrf, Ter};

const FROZEN: &str = include_str!("../../../../tests/fixtures/metrics/translation.json");
const WMT17: [(&str, &str); 3] = [
    (
        "ref",
        include_str!("../../../../tests/fixtures/metrics/wmt17/ref.de"),
    ),
    (
        "sysA",
        include_str!("../../../../tests/fixtures/metrics/wmt17/sysA.de"),
    ),
    (
        "sysB",
        include_str!("../../../../tests/fixtures/metrics/wmt17/sysB.de"),
    ),
];
/// Scores reach 100 and more; the rest is what libraries' logarithms differ by.
const TOLERANCE: f64 = 1e-11;

#[test]
fn scores_equal_sacrebleu_s() {
    let frozen: Value = serde_json::from_str(FROZEN).expect("the fixture is JSON");
    let mut faults = Vec::new();
    let mut compared = 0;
    for set in frozen["sets"].as_array().expect("sets") {
        let data = Data::read(set);
        for expected in set["expected"].as_array().expect("expectations") {
            compared += 1;
            faults.extend(data.check(expected));
        }
    }
    assert!(
        faults.is_empty(),
        "{} of {compared}:\n{}",
        faults.len(),
        faults.join("\n")
    );
    assert_eq!(compared, 1038);
}

/// One data set.
struct Data {
    name: String,
    predictions: Vec<String>,
    references: Vec<Vec<String>>,
}

impl Data {
    fn read(set: &Value) -> Self {
        let name = set["name"].as_str().expect("a name").to_owned();
        let texts = |value: &Value| -> Vec<String> {
            let texts = value.as_array().expect("texts").iter();
            texts
                .map(|text| text.as_str().expect("a text").to_owned())
                .collect()
        };
        let Some(system) = set.get("system").and_then(Value::as_str) else {
            let references = set["references"].as_array().expect("references");
            return Self {
                name,
                predictions: texts(&set["predictions"]),
                references: references.iter().map(texts).collect(),
            };
        };
        let sides: Vec<_> = texts(&set["sides"])
            .iter()
            .map(|side| wmt17(side))
            .collect();
        let predictions = wmt17(system);
        let row = |row: usize| sides.iter().map(|side| side[row].clone()).collect();
        Self {
            name,
            references: (0..predictions.len()).map(row).collect(),
            predictions,
        }
    }

    fn check(&self, expected: &Value) -> Vec<String> {
        match expected[0].as_str() {
            Some("bleu") => self.check_as::<Bleu>(expected),
            Some("chrf") => self.check_as::<Chrf>(expected),
            Some("ter") => self.check_as::<Ter>(expected),
            other => panic!("no metric {other:?}"),
        }
    }

    fn check_as<M: Metric>(&self, expected: &Value) -> Vec<String> {
        let options = &expected[1];
        let case = format!("{} of \"{}\", {options}", M::ID, self.name);
        let mut faults = Vec::new();
        let n = self.predictions.len();
        // A worker that saw nothing comes first, so merging must also carry what it learnt.
        for cuts in [vec![0, n], vec![0, 0, n / 3, n]] {
            let found = self.scores::<M>(options, &cuts).as_slice()[0].value;
            faults.extend(differ(&format!("{case} in {cuts:?}"), found, &expected[2]));
        }
        if let Some(each) = expected[3].as_array() {
            let mut options = options.clone();
            options["level"] = json!("sentence");
            if M::ID == "bleu" && options.get("effective_order").is_none() {
                options["effective_order"] = json!(false);
            }
            let scores = self.scores::<M>(&options, &[0, n / 2, n]);
            let detail = scores.as_slice()[0].detail.clone().expect("a detail");
            let found = detail["segments"].as_array().expect("segments");
            assert_eq!(found.len(), each.len(), "{case}");
            for (segment, (found, expected)) in found.iter().zip(each).enumerate() {
                let case = format!("{case}, segment {segment}");
                faults.extend(differ(&case, found.as_f64().expect("a number"), expected));
            }
            let mean = each.iter().filter_map(Value::as_f64).sum::<f64>() / each.len() as f64;
            faults.extend(differ(
                &format!("mean of {case}"),
                scores.as_slice()[0].value,
                &json!(mean),
            ));
        }
        faults
    }

    /// One metric for each stretch between cuts, merged.
    fn scores<M: Metric>(&self, options: &Value, cuts: &[usize]) -> Scores {
        let mut merged: Option<M> = None;
        for ends in cuts.windows(2) {
            let options = M::Options::from_json(&options.to_string()).expect("options");
            let mut metric = M::new(options).expect("a metric");
            let rows = ends[0]..ends[1];
            let predictions = Values::text(&self.predictions[rows.clone()]);
            let references = Values::texts(self.references[rows].to_vec());
            let pairs = Pairs::new(&predictions, &references).expect("pairs");
            metric.update(pairs).expect("an update");
            match &mut merged {
                Some(merged) => merged.merge(metric),
                None => merged = Some(metric),
            }
        }
        merged.expect("at least one stretch").compute()
    }
}

fn wmt17(side: &str) -> Vec<String> {
    let file = WMT17
        .iter()
        .find(|(name, _)| *name == side)
        .expect("a side");
    file.1.lines().map(str::to_owned).collect()
}

fn differ(case: &str, found: f64, expected: &Value) -> Option<String> {
    let expected = expected.as_f64().expect("a number");
    let close = (found - expected).abs() <= TOLERANCE * expected.abs().max(1.0);
    (!close).then(|| format!("{case}: expected {expected}, found {found}"))
}
