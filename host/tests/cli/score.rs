//! `tenon score`.

use insta::assert_snapshot;
use serde_json::{Value, json};

use super::place::{Called, Place};

const FROZEN: &str = include_str!("../../../tests/fixtures/metrics/classification.json");
const TOLERANCE: f64 = 1e-12;

/// Every data set of scikit-learn's and SciPy's, through files and a process.
#[test]
fn scores_are_those_of_the_reference_implementations() {
    let frozen: Value = serde_json::from_str(FROZEN).expect("the fixture is JSON");
    let mut compared = 0;
    for section in ["single_label", "multi_label", "numbers"] {
        for set in frozen[section].as_array().expect("a section is a list") {
            compared += check_set(section, set);
        }
    }
    assert_eq!(compared, 1627);
}

/// How many scores of a data set were compared.
fn check_set(section: &str, set: &Value) -> usize {
    let list = |index: usize| set[index].as_array().expect("a list");
    // An empty file is refused, as is what the reference refuses.
    if list(2).is_empty() {
        return 0;
    }
    let refused = |value: &Value| {
        value
            .as_str()
            .is_some_and(|text| text.starts_with("raises"))
    };
    let expected: Vec<&Value> = list(5).iter().filter(|case| !refused(&case[2])).collect();
    let key = match section {
        "single_label" => "label",
        "multi_label" => "labels",
        _ => "value",
    };
    let lines = |rows: &[Value], scores: Option<&Vec<Value>>| -> String {
        let line = |(index, row): (usize, &Value)| {
            let mut line = json!({ key: row });
            if let Some(scores) = scores {
                let scores = scores[index].as_array().expect("scores").iter();
                line["probabilities"] = scores.map(|s| s.as_f64().map(|s| s / 64.0)).collect();
            }
            format!("{line}\n")
        };
        rows.iter().enumerate().map(line).collect()
    };
    let place = Place::new()
        .file("ref.jsonl", lines(list(2), None))
        .file("pred.jsonl", lines(list(3), set[4].as_array()));
    let mut arguments = vec!["score".to_owned(), "--json".to_owned()];
    if let Some(classes) = set[1].as_u64() {
        let names: Vec<String> = (0..classes).map(|id| id.to_string()).collect();
        arguments.extend(["--labels".to_owned(), names.join(",")]);
    }
    for (index, case) in expected.iter().enumerate() {
        let mut metric = format!("{},name=m{index}", case[0].as_str().expect("a metric"));
        for (key, value) in case[1].as_object().expect("options") {
            metric += &format!(",{key}={value}");
        }
        arguments.extend(["--metric".to_owned(), metric]);
    }
    arguments.extend(["--references", "ref.jsonl", "pred.jsonl"].map(str::to_owned));
    let found = place.tenon_with(&arguments).json();
    let scores = found["systems"][0]["scores"].as_array().expect("scores");
    for (index, case) in expected.iter().enumerate() {
        let name = format!("m{index}");
        let own: Vec<&Value> = scores
            .iter()
            .filter(|score| score["metric"] == *name)
            .collect();
        compare(&format!("{} {case}", set[0]), &own, &case[2]);
    }
    expected.len()
}

fn compare(case: &str, found: &[&Value], expected: &Value) {
    match expected {
        Value::Object(by_class) => {
            assert_eq!(found.len(), by_class.len(), "{case}");
            for (score, (class, value)) in found.iter().zip(by_class) {
                let name = score["name"].as_str().expect("a name");
                assert!(name.ends_with(&format!("_{class}")), "{case}: {name}");
                close(case, &score["value"], value);
            }
        }
        Value::Array(_) => close(case, &found[0]["detail"]["matrix"], expected),
        number => close(case, &found[0]["value"], number),
    }
}

fn close(case: &str, found: &Value, expected: &Value) {
    let same = match (found, expected) {
        (Value::Array(found), Value::Array(expected)) => {
            assert_eq!(found.len(), expected.len(), "{case}");
            return found
                .iter()
                .zip(expected)
                .for_each(|(f, e)| close(case, f, e));
        }
        (found, Value::String(nan)) => found.is_null() && nan == "nan",
        (found, expected) => match (found.as_f64(), expected.as_f64()) {
            (Some(found), Some(expected)) => (found - expected).abs() <= TOLERANCE,
            _ => false,
        },
    };
    assert!(same, "{case}: expected {expected}, found {found}");
}

fn films() -> Place {
    Place::new()
        .file(
            "ref.jsonl",
            "{\"label\": \"pos\"}\n{\"label\": \"neg\"}\n{\"label\": \"pos\"}\n{\"label\": \"neg\"}\n{\"label\": \"pos\"}\n",
        )
        .file(
            "good.jsonl",
            "{\"label\": \"pos\", \"probabilities\": {\"neg\": 0.1, \"pos\": 0.9}}\n\
             {\"label\": \"neg\", \"probabilities\": {\"neg\": 0.7, \"pos\": 0.3}}\n\
             {\"label\": \"pos\", \"probabilities\": {\"neg\": 0.2, \"pos\": 0.8}}\n\
             {\"label\": \"pos\", \"probabilities\": {\"neg\": 0.4, \"pos\": 0.6}}\n\
             {\"label\": \"neg\", \"probabilities\": {\"neg\": 0.6, \"pos\": 0.4}}\n",
        )
        .file("plain.txt", "pos\npos\npos\nneg\npos\n")
        .file("table.csv", "id,text,label\n1,a,pos\n2,b,neg\n3,c,pos\n4,d,neg\n5,e,pos\n")
}

fn shown(calls: &[Called]) -> String {
    let shown: Vec<String> = calls.iter().map(Called::shown).collect();
    shown.join("\n")
}

#[test]
fn systems_in_lines_and_scores_in_columns() {
    let place = films();
    let calls = [
        place.tenon("score --metric f1 --references ref.jsonl good.jsonl"),
        place.tenon(
            "score -m accuracy -m f1,pos_label=neg,name=f1-neg -m f1,average=none,name=by-class -r table.csv good.jsonl plain.txt",
        ),
        place.tenon("score -m roc-auc -m confusion-matrix -r ref.jsonl good.jsonl"),
        place.tenon("score -m f1,average=macro --json -r ref.jsonl good.jsonl"),
    ];
    assert_snapshot!(shown(&calls));
}

#[test]
fn values_of_every_kind_and_place() {
    let place = films()
        .file("gold.tsv", "score\tsentence\n1.5\ta\n2\tb\n4.25\tc\n")
        .file("numbers", "1\n2\n3\n")
        .file("values.jsonl", "{\"label\": 9, \"value\": 1}\n{\"label\": 9, \"value\": 2}\n{\"label\": 9, \"value\": 3}\n")
        .file("tags.jsonl", "{\"labels\": [\"a\", \"b\"]}\n{\"labels\": []}\n{\"labels\": \"b\"}\n")
        .file("tagged.jsonl", "{\"labels\": [\"a\"]}\n{\"labels\": []}\n{\"labels\": [\"b\"]}\n")
        .file("ids.txt", "0\n1\n1\n0\n1\n")
        .file("scores.txt", "0.2\n0.9\n0.6\n0.7\n0.8\n")
        .file("first.jsonl", "{\"who\": \"pos\", \"x\": 1}\n{\"who\": \"neg\", \"x\": 1}\n{\"who\": \"pos\", \"x\": 1}\n{\"who\": \"neg\", \"x\": 1}\n{\"who\": \"pos\", \"x\": 1}\n")
        .file("folder/test-00000-of-00002.jsonl", "{\"label\": \"pos\"}\n{\"label\": \"neg\"}\n{\"label\": \"pos\"}\n")
        .file("folder/test-00001-of-00002.jsonl", "{\"label\": \"neg\"}\n{\"label\": \"pos\"}\n");
    let calls = [
        place.tenon("score -m pearson -m spearman -r gold.tsv numbers values.jsonl"),
        place.tenon("score -m f1,average=samples -m accuracy -r tags.jsonl tagged.jsonl"),
        place.tenon("score -m roc-auc -m accuracy -r ids.txt scores.txt --probability-column text"),
        place.tenon("score -m f1 -r ref.jsonl first.jsonl --prediction-column who"),
        place.tenon("score -m accuracy -r folder good.jsonl"),
        place.tenon_reads(
            "score -m accuracy -r ref.jsonl -",
            "pos\nneg\nneg\nneg\nneg\n",
        ),
        place.tenon_reads(
            "score -m roc-auc -r ref.jsonl - good.jsonl",
            &std::fs::read_to_string(place.path("good.jsonl")).expect("reads"),
        ),
    ];
    assert_snapshot!(shown(&calls));
}

#[test]
fn faults_of_the_command_line() {
    let place = films();
    let calls = [
        place.tenon("score"),
        place.tenon("score -m f2 -r ref.jsonl good.jsonl"),
        place.tenon("score -m acuracy -m f1,averge=macro -m f1,average=marco,zero_division=2 -r ref.jsonl good.jsonl"),
        place.tenon("score -m f1,macro -m ,average=macro -r ref.jsonl good.jsonl"),
        place.tenon("score -m f1,pos_label=good -r ref.jsonl good.jsonl"),
        place.tenon("score -m roc-auc,multi_class=ovo,average=micro -r ref.jsonl good.jsonl"),
        place.tenon("score -m f1 -r ref.jsonl - -"),
        place.tenon("score -m f1 -r ref.jsonl good.jsonl --labels neg,pos,neg"),
        place.tenon("score -m f1 -r ref.jsonl good.jsonl --json --metric f3"),
    ];
    assert_snapshot!(shown(&calls));
}

#[test]
fn faults_of_files() {
    let place = films()
        .file("short.txt", "pos\nneg\n")
        .file("empty.jsonl", "")
        .file("gap.txt", "pos\n\nneg\npos\nneg\n")
        .file("ref.txt", "pos\nneg\npos\nneg\n")
        .file("broken.jsonl", "{\"label\": \"pos\"}\n{\"label\": \"neg\"\n{\"label\": \"pos\"}\n{\"label\": \"neg\"}\n{\"label\": \"pos\"}\n")
        .file("null.jsonl", "{\"label\": \"pos\"}\n{\"label\": null}\n{\"label\": \"pos\"}\n{\"label\": \"neg\"}\n{\"label\": \"pos\"}\n")
        .file("words.txt", "1\n2\nthree\n4\n5\n")
        .file("numbers.txt", "1\n2\n3\n4\n5\n")
        .file("other.jsonl", "{\"a\": 1, \"b\": 2}\n")
        .file("top.jsonl", "{\"label\": \"pos\", \"probabilities\": {\"pos\": 0.9}}\n{\"label\": \"neg\", \"probabilities\": {\"neg\": 0.9}}\n{\"label\": \"pos\", \"probabilities\": {\"pos\": 0.9}}\n{\"label\": \"neg\", \"probabilities\": {\"neg\": 0.9}}\n{\"label\": \"pos\", \"probabilities\": {\"pos\": 0.9}}\n")
        .file("bad.jsonl", "{\"label\": \"pos\", \"probabilities\": \"high\"}\n{\"label\": \"neg\"}\n{\"label\": \"pos\"}\n{\"label\": \"neg\"}\n{\"label\": \"pos\"}\n");
    let calls = [
        place.tenon("score -m f1 -r rf.jsonl good.jsonl"),
        place.tenon("score -m f1 -r ref.jsonl short.txt"),
        place.tenon("score -m f1 -r ref.jsonl empty.jsonl"),
        place.tenon("score -m accuracy -r ref.txt gap.txt"),
        place.tenon("score -m f1 -r ref.jsonl broken.jsonl"),
        place.tenon("score -m f1 -r null.jsonl good.jsonl"),
        place.tenon("score -m pearson -r numbers.txt words.txt"),
        place.tenon("score -m pearson -r ref.jsonl good.jsonl --prediction-column label"),
        place.tenon("score -m f1 -r ref.jsonl other.jsonl"),
        place.tenon("score -m f1 -r ref.jsonl good.jsonl --prediction-column lable"),
        place.tenon("score -m f1 -r ref.jsonl words.txt"),
        place.tenon("score -m f1 -r ref.jsonl good.jsonl --labels neg,good"),
        place.tenon("score -m accuracy -m roc-auc -r ref.jsonl top.jsonl"),
        place.tenon("score -m accuracy -r ref.jsonl bad.jsonl"),
        place.tenon_reads(
            "score -m accuracy -r ref.jsonl -",
            "{\"label\": \"pos\"}\nneg\n",
        ),
        place.tenon_reads("score -m accuracy -r ref.jsonl - --json", ""),
    ];
    assert_snapshot!(shown(&calls));
}

#[test]
fn without_the_plugin() {
    let place = Place::with(&[]).file("a.txt", "1\n");
    let call = place.tenon("score -m f1 -r a.txt a.txt");
    assert_snapshot!(call.shown());
}

/// What a metric says that it ignores is not even read; what stands beside it may need it.
#[test]
fn references_that_no_metric_looks_at() {
    let place = Place::with(&["tenon-text-metrics"])
        .file("ref.txt", b"a b\n\xff\n")
        .file("pred.txt", "a b\na a\n");
    let calls = [
        place.tenon("score -m distinct -m repetition,n=2 -r ref.txt pred.txt"),
        place.tenon("score -m distinct -m text-match -r ref.txt pred.txt"),
        place.tenon("score -m distinct -m repetition,n=2 pred.txt"),
        place.tenon("score -m distinct -m text-match pred.txt"),
        place.tenon("score -m distinct --reference-column text pred.txt"),
    ];
    assert_snapshot!(shown(&calls));
}
