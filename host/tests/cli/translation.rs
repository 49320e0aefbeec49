//! `tenon score` with the metrics of translations: sacrebleu's numbers, through files and a process.

use insta::assert_snapshot;
use serde_json::{Value, json};

use super::place::Place;

const FROZEN: &str = include_str!("../../../tests/fixtures/metrics/translation.json");
const WMT17: [(&str, &str); 3] = [
    (
        "ref",
        include_str!("../../../tests/fixtures/metrics/wmt17/ref.de"),
    ),
    (
        "sysA",
        include_str!("../../../tests/fixtures/metrics/wmt17/sysA.de"),
    ),
    (
        "sysB",
        include_str!("../../../tests/fixtures/metrics/wmt17/sysB.de"),
    ),
];
const TOLERANCE: f64 = 1e-10;

fn place() -> Place {
    let place = Place::with(&["tenon-translation-metrics", "tenon-classification-metrics"]);
    let file = |place: Place, (name, text): &(&str, &str)| place.file(&format!("{name}.de"), text);
    WMT17.iter().fold(place, file)
}

/// `--metric` for each `[metric, options, …]`.
fn metrics(cases: &[Value]) -> Vec<String> {
    let mut arguments = vec!["score".to_owned(), "--json".to_owned()];
    for (index, case) in cases.iter().enumerate() {
        let mut metric = format!("{},name=m{index}", case[0].as_str().expect("a metric"));
        for (key, value) in case[1].as_object().expect("options") {
            metric += &format!(",{key}={value}");
        }
        arguments.extend(["--metric".to_owned(), metric]);
    }
    arguments
}

fn close(case: &str, found: &Value, expected: &Value) {
    let same = match (found.as_f64(), expected.as_f64()) {
        (Some(found), Some(expected)) => (found - expected).abs() <= TOLERANCE,
        (None, None) => true,
        _ => false,
    };
    assert!(same, "{case}: expected {expected}, found {found}");
}

/// Every set of lines that hold what a line of text may: jsonl may hold more.
#[test]
fn scores_are_those_of_sacrebleu() {
    let frozen: Value = serde_json::from_str(FROZEN).expect("the fixture is JSON");
    let mut compared = 0;
    for set in frozen["sets"].as_array().expect("sets") {
        let Some(predictions) = set["predictions"].as_array() else {
            continue;
        };
        let lines = |lines: Vec<Value>| lines.iter().map(|line| format!("{line}\n")).collect();
        let predictions: String = lines(
            predictions
                .iter()
                .map(|text| json!({ "text": text }))
                .collect(),
        );
        let references = set["references"].as_array().expect("references").iter();
        let references: String = lines(
            references
                .map(|texts| json!({ "references": texts }))
                .collect(),
        );
        let place = Place::with(&["tenon-translation-metrics"])
            .file("pred.jsonl", predictions)
            .file("ref.jsonl", references);
        let expected = set["expected"].as_array().expect("expectations");
        let mut arguments = metrics(expected);
        arguments.extend(["--references", "ref.jsonl", "pred.jsonl"].map(str::to_owned));
        let found = place.tenon_with(&arguments).json();
        for (index, expected) in expected.iter().enumerate() {
            let case = format!("{} of {}, {}", expected[0], set["name"], expected[1]);
            close(
                &case,
                &found["systems"][0]["scores"][index]["value"],
                &expected[2],
            );
            compared += 1;
        }
    }
    assert_eq!(compared, 842);
}

#[test]
fn intervals_and_p_values_are_those_of_sacrebleu() {
    let frozen: Value = serde_json::from_str(FROZEN).expect("the fixture is JSON");
    for test in frozen["significance"].as_array().expect("tests") {
        for kind in ["confidence", "bs", "ar"] {
            check_significance(test, kind);
        }
    }
}

fn check_significance(test: &Value, kind: &str) {
    let names = |key: &str| -> Vec<&str> {
        let names = test[key].as_array().expect("names").iter();
        names.map(|name| name.as_str().expect("a name")).collect()
    };
    let sides: Vec<Vec<&str>> = names("sides").iter().map(|side| wmt17(side)).collect();
    let row = |row: usize| sides.iter().map(|side| side[row]).collect::<Vec<_>>();
    let rows = (0..sides[0].len()).map(|at| format!("{}\n", json!({ "references": row(at) })));
    let place = place().file("all.jsonl", rows.collect::<String>());
    let found = test["found"].as_array().expect("what was found");
    let mut arguments = metrics(found);
    let mut line = format!(
        "--references all.jsonl --seed {} --confidence {}",
        test["seed"], test["resamples"]
    );
    let systems: Vec<String> = names("systems")
        .iter()
        .map(|name| format!("{name}.de"))
        .collect();
    match kind {
        "confidence" => line += &format!(" {}", systems.join(" ")),
        _ => {
            let others = systems[1..].join(" ");
            let baseline = &systems[0];
            line += &format!(
                " --baseline {baseline} --paired {kind} --trials {} {others}",
                test["trials"]
            );
        }
    }
    arguments.extend(line.split(' ').map(str::to_owned));
    let scored = place.tenon_with(&arguments).json();
    for (index, expected) in found.iter().enumerate() {
        for (system, expected) in expected[2][kind]
            .as_array()
            .expect("systems")
            .iter()
            .enumerate()
        {
            let score = &scored["systems"][system]["scores"][index];
            let case = format!(
                "{kind} of system {system}, {}, {}",
                found[index][0], found[index][1]
            );
            close(&format!("score, {case}"), &score["value"], &expected[0]);
            close(&format!("p, {case}"), &score["p_value"], &expected[1]);
            close(
                &format!("mean, {case}"),
                &score["confidence"]["mean"],
                &expected[2],
            );
            close(
                &format!("interval, {case}"),
                &score["confidence"]["interval"],
                &expected[3],
            );
        }
    }
}

fn wmt17(side: &str) -> Vec<&'static str> {
    let file = WMT17.iter().find(|(name, _)| *name == side);
    file.expect("a side").1.lines().collect()
}

#[test]
fn what_the_table_shows() {
    let place = place();
    let calls = [
        "score -m bleu -m chrf -m ter -r ref.de sysA.de sysB.de",
        "score -m chrf,word_order=2,name=chrfpp -r ref.de --confidence 100 sysA.de sysB.de",
        "score -m bleu -m ter -r ref.de --baseline sysB.de sysA.de",
        "score -m bleu -r ref.de --baseline sysB.de --paired ar --trials 100 --seed 1 sysA.de sysB.de",
        "score -m bleu,tokenize=flores200 -r ref.de sysA.de",
        "score -m bleu,smooth_value=1 -r ref.de sysA.de",
        "score -m accuracy --confidence 100 -r ref.de sysA.de",
        "score -m bleu -r ref.de --paired ar sysA.de",
        "score -m bleu -r ref.de --confidence 1 sysA.de",
    ];
    let shown: Vec<String> = calls.iter().map(|line| place.tenon(line).shown()).collect();
    let version = env!("CARGO_PKG_VERSION");
    assert_snapshot!(
        shown
            .join("\n")
            .replace(&format!("tenon-{version}"), "tenon-VERSION")
    );
}
