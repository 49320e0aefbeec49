//! Scores and times CodeBLEU: `speed_of_code LANGUAGE FILE [each]`, one JSON object a line with
//! `prediction` and `references`; prints the scores of all, or of each with `each`, and the seconds
//! that they took, on one thread.

use std::time::Instant;
use std::{env, fs};

use serde_json::Value;
use tenon_code_metrics::{CodeBleu, CodeBleuOptions};
use tenon_plugin_api::metric::prelude::*;

fn main() -> Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [language, file, each @ ..] = &arguments[..] else {
        bail!(Other, "usage: speed_of_code LANGUAGE FILE [each]");
    };
    let lines = fs::read_to_string(file).context("reading the file")?;
    let examples = lines.lines().map(serde_json::from_str::<Value>);
    let examples: Vec<Value> = examples
        .collect::<serde_json::Result<_>>()
        .context("reading JSON")?;

    let at_once = if each.is_empty() { examples.len() } else { 1 };
    let start = Instant::now();
    for examples in examples.chunks(at_once.max(1)) {
        let scores = score(language, examples)?;
        let scores = scores.as_slice().iter();
        let scores: Vec<_> = scores
            .map(|score| format!("{} {:?}", score.name, score.value))
            .collect();
        println!("{}", scores.join(" "));
    }
    println!("seconds {:.3}", start.elapsed().as_secs_f64());
    Ok(())
}

fn score(language: &str, examples: &[Value]) -> Result<Scores> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let texts = |value: &Value| {
        value
            .as_array()
            .into_iter()
            .flatten()
            .map(text)
            .collect::<Vec<_>>()
    };
    let predictions = examples.iter().map(|example| text(&example["prediction"]));
    let references = examples.iter().map(|example| texts(&example["references"]));
    let (predictions, references) = (Values::text(predictions), Values::texts(references));
    let options = CodeBleuOptions::from_json(&format!(r#"{{"lang": "{language}"}}"#))?;
    let mut metric = CodeBleu::new(options)?;
    metric.update(Pairs::new(&predictions, &references)?)?;
    Ok(metric.compute())
}
