//! What users read when options or data do not fit, and what the scores are where little is given.

use std::fmt::Write;

use tenon_code_metrics::{CodeBleu, PassAtK};
use tenon_plugin_api::metric::prelude::*;
use tenon_testkit::conformance;

#[test]
fn codebleu_passes_the_battery() {
    conformance::metric::<CodeBleu>();
}

fn compute<M: Metric>(options: &str, predictions: &Values, references: &Values) -> Result<Scores> {
    let mut metric = M::new(M::Options::from_json(options)?)?;
    metric.update(Pairs::new(predictions, references)?)?;
    Ok(metric.compute())
}

fn outcomes(problems: &[&[f64]]) -> Values {
    let mut values = Values::new(ValueKind::Numbers);
    problems
        .iter()
        .for_each(|outcomes| values.push_numbers(outcomes));
    values
}

#[test]
fn faults_of_options_and_data() {
    let two = outcomes(&[&[0.0, 1.0], &[1.0, 1.0]]);
    let half = outcomes(&[&[1.0], &[0.5]]);
    let empty = outcomes(&[&[1.0], &[]]);
    let text = Values::text(["x"]);
    let cases = [
        compute::<PassAtK>(r#"{"k": []}"#, &two, &two),
        compute::<PassAtK>(r#"{"k": [1, 0]}"#, &two, &two),
        compute::<PassAtK>(r#"{"k": [1, 5]}"#, &two, &two),
        compute::<PassAtK>(r#"{"n": 5}"#, &two, &two),
        compute::<PassAtK>("{}", &half, &half),
        compute::<PassAtK>("{}", &empty, &empty),
        compute::<PassAtK>("{}", &text, &text),
        compute::<CodeBleu>(r#"{"lang": "pyton"}"#, &text, &text),
        compute::<CodeBleu>(r#"{"weights": [1.0]}"#, &text, &text),
        compute::<CodeBleu>(r#"{"weights": [0.5, 0.5, 0.5, -0.5]}"#, &text, &text),
        compute::<CodeBleu>("{}", &two, &two),
    ];
    let mut all = String::new();
    for case in cases {
        let error = case.expect_err("each case is a fault");
        writeln!(all, "{error}").expect("a string takes it");
    }
    insta::assert_snapshot!("faults", all);
}

#[test]
fn the_usual_k_are_those_that_every_problem_has_candidates_for() {
    let names = |problems: &[&[f64]]| {
        let scores = compute::<PassAtK>("{}", &outcomes(problems), &outcomes(problems));
        let scores = scores.expect("scores").into_iter();
        scores.map(|score| score.name).collect::<Vec<_>>()
    };
    assert_eq!(names(&[&[1.0]]), ["pass@1"]);
    assert_eq!(names(&[&[1.0; 10], &[0.0; 12]]), ["pass@1", "pass@10"]);
    assert_eq!(names(&[&[1.0; 100], &[0.0; 9]]), ["pass@1"]);
    assert_eq!(names(&[&[1.0; 200]]), ["pass@1", "pass@10", "pass@100"]);
}

#[test]
fn nothing_scores_nothing() {
    let nothing = Values::text::<&str>([]);
    let scores = compute::<CodeBleu>("{}", &nothing, &nothing).expect("scores");
    assert!(scores.into_iter().all(|score| score.value.is_nan()));
    let nothing = outcomes(&[]);
    let scores = compute::<PassAtK>("{}", &nothing, &nothing).expect("scores");
    assert!(scores.get("pass@1").is_some_and(f64::is_nan));
}

#[test]
fn hostile_code_is_scored_in_time() {
    let deep = "(".repeat(20_000);
    let loops = (0..40).map(|depth| format!("{}for i{depth} in x:\n", " ".repeat(depth)));
    let nested = loops.collect::<String>() + &" ".repeat(40) + "x = i0\n";
    let closed = format!("{}1{}", "(".repeat(5_000), ")".repeat(5_000));
    let quotes = "'\\".repeat(4_000);
    for code in [&deep, &nested, &closed, &quotes, &"\0".repeat(1000)] {
        for lang in ["python", "java", "c_sharp"] {
            let text = Values::text([code]);
            let options = format!(r#"{{"lang": "{lang}"}}"#);
            let scores = compute::<CodeBleu>(&options, &text, &text).expect("scores");
            assert_eq!(scores.get("syntax_match_score"), Some(1.0), "{lang}");
        }
    }
}
