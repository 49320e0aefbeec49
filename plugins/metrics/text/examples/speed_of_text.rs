//! How fast the metrics are: examples a second of `update` and `compute` on a file that
//! `tests/fixtures/metrics/peer_text.py` has made.
//!
//!     cargo run --release -p tenon-text-metrics --example speed_of_text FILE [METRIC OPTIONS]...

use std::time::Instant;

use serde_json::Value;
use tenon_plugin_api::error::StdError;
use tenon_plugin_api::metric::prelude::*;
use tenon_text_metrics::{Distinct, EditSimilarity, Perplexity, Repetition, Rouge, TextMatch};

/// Rows of a batch.
const BATCH: usize = 4096;

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (file, metrics) = arguments.split_first().ok_or("which file?")?;
    tenon_testkit::services::record();
    let text = std::fs::read_to_string(file)?;
    let rows: Vec<Value> = text
        .lines()
        .map(serde_json::from_str)
        .collect::<std::result::Result<_, _>>()?;
    for metric in metrics.chunks(2) {
        let options = metric.get(1).map_or("{}", String::as_str);
        let measured = match metric[0].as_str() {
            "rouge" => measure::<Rouge>(options, &rows),
            "text-match" => measure::<TextMatch>(options, &rows),
            "edit-similarity" => measure::<EditSimilarity>(options, &rows),
            "distinct" => measure::<Distinct>(options, &rows),
            "repetition" => measure::<Repetition>(options, &rows),
            "perplexity" => measure::<Perplexity>(options, &rows),
            other => return Err(format!("no metric {other}").into()),
        };
        measured.map_err(StdError)?;
    }
    Ok(())
}

fn measure<M: Metric>(options: &str, rows: &[Value]) -> Result<()> {
    let batches: Vec<(Values, Values)> = rows.chunks(BATCH).map(columns).collect();
    let start = Instant::now();
    let mut metric = M::new(M::Options::from_json(options)?)?;
    for (predictions, references) in &batches {
        metric.update(Pairs::new(predictions, references)?)?;
    }
    let scores = metric.compute();
    let seconds = start.elapsed().as_secs_f64();
    let first = &scores.as_slice()[0];
    println!(
        "{:16} {options:48} {:12.0} examples/s  {} {:.6}",
        M::ID,
        rows.len() as f64 / seconds,
        first.name,
        first.value
    );
    Ok(())
}

fn columns(rows: &[Value]) -> (Values, Values) {
    let numbers = rows.iter().any(|row| row["prediction"].is_array());
    let kind = match numbers {
        true => ValueKind::Numbers,
        false => ValueKind::Text,
    };
    let (mut predictions, mut references) = (Values::new(kind), Values::new(kind));
    for row in rows {
        if let Some(list) = row["prediction"].as_array() {
            let list: Vec<f64> = list.iter().filter_map(Value::as_f64).collect();
            predictions.push_numbers(&list);
            references.push_numbers(&[]);
        } else {
            predictions.push_text(row["prediction"].as_str().unwrap_or_default());
            let texts = row["references"].as_array().map_or(&[][..], Vec::as_slice);
            references.push_texts(texts.iter().filter_map(Value::as_str));
        }
    }
    (predictions, references)
}
