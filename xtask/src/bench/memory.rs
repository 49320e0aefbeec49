//! Peak memory with data files of 2 GB: what the example `large_file` of tenon-core prints.

use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::Findings;
use crate::cargo::{cargo, show};
use crate::prerequisites;

/// Formats whose memory is measured.
const FORMATS: [&str; 2] = ["jsonl", "parquet"];
/// Size of each file.
const GIGABYTES: u64 = 2;

/// Writes and reads a file of each format.
///
/// # Errors
/// There is too little space, or the example fails.
pub fn measure() -> Result<Findings> {
    prerequisites::disk_space(&std::env::temp_dir(), (GIGABYTES + 1) * 1_000_000_000)?;
    let (mut text, mut all) = (String::new(), serde_json::Map::new());
    for format in FORMATS {
        let mut command = cargo();
        let example = [
            "run",
            "--release",
            "-p",
            "tenon-core",
            "--example",
            "large_file",
            "--",
        ];
        command.args(example).args([format, &GIGABYTES.to_string()]);
        let shown = show(&command);
        let output = command.stderr(Stdio::inherit()).output();
        let output = output.with_context(|| format!("starting `{shown}`"))?;
        ensure!(
            output.status.success(),
            "`{shown}` failed ({})",
            output.status
        );
        let said = String::from_utf8_lossy(&output.stdout);
        text += &format!("```console\n$ {shown}\n{}\n```\n", said.trim_end());
        all.insert(format.to_owned(), json!(said.lines().collect::<Vec<_>>()));
    }
    Ok(Findings {
        text,
        json: Value::Object(all),
    })
}
