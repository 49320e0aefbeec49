//! How fast the metric is: examples a second of `update` and `compute` on a file that
//! `tests/fixtures/metrics/peer_text.py` has made.
//!
//!     cargo run --release -p tenon-question-answering-metrics --example speed_of_answers FILE

use std::time::Instant;

use serde_json::Value;
use tenon_plugin_api::error::StdError;
use tenon_plugin_api::metric::prelude::*;
use tenon_question_answering_metrics::Squad;

/// Rows of a batch.
const BATCH: usize = 4096;

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let file = std::env::args().nth(1).ok_or("which file?")?;
    tenon_testkit::services::record();
    let text = std::fs::read_to_string(file)?;
    let rows: Vec<Value> = text
        .lines()
        .map(serde_json::from_str)
        .collect::<std::result::Result<_, _>>()?;
    for options in ["{}", r#"{"version":"2.0"}"#] {
        measure(options, &rows).map_err(StdError)?;
    }
    Ok(())
}

fn measure(options: &str, rows: &[Value]) -> Result<()> {
    let batches: Vec<(Values, Values)> = rows.chunks(BATCH).map(columns).collect();
    let start = Instant::now();
    let mut metric = Squad::new(<Squad as Metric>::Options::from_json(options)?)?;
    for (predictions, references) in &batches {
        metric.update(Pairs::new(predictions, references)?)?;
    }
    let scores = metric.compute();
    let speed = rows.len() as f64 / start.elapsed().as_secs_f64();
    let first = &scores.as_slice()[0];
    println!(
        "squad {options:20} {speed:12.0} examples/s  {} {:.6}",
        first.name, first.value
    );
    Ok(())
}

fn columns(rows: &[Value]) -> (Values, Values) {
    let (mut answers, mut truths) = (Values::new(ValueKind::Text), Values::new(ValueKind::Text));
    for row in rows {
        answers.push_text(row["prediction"].as_str().unwrap_or_default());
        let texts = row["references"].as_array().map_or(&[][..], Vec::as_slice);
        truths.push_texts(texts.iter().filter_map(Value::as_str));
    }
    (answers, truths)
}
