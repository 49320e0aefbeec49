//! Commands that do not compute, by the clock on the wall, with their files in memory.

use std::process::Stdio;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::Findings;
use super::figures::{median, range, table};
use super::ours::{self, Built};
use crate::cargo::show;

/// The commands, and the milliseconds within which each should answer.
const COMMANDS: [(&[&str], &str); 4] = [
    (&["--help"], "< 50"),
    (&["check", "configs/quickstart.toml"], "< 50"),
    (&["plugin", "list"], "< 50"),
    // It computes the hash of the file.
    (&["plugin", "inspect", "lora"], ""),
];
/// Calls of each that count, and calls before them.
const CALLS: usize = 40;
const WARM_UP: usize = 5;

/// Times each command.
///
/// # Errors
/// One of them fails.
pub fn measure(built: &Built) -> Result<Findings> {
    let mut rows = Vec::new();
    let mut all = serde_json::Map::new();
    for (arguments, goal) in COMMANDS {
        let mut seconds = Vec::new();
        for call in 0..WARM_UP + CALLS {
            let taken = time(built, arguments)?;
            if call >= WARM_UP {
                seconds.push(taken * 1e3);
            }
        }
        let name = format!("tenon {}", arguments.join(" "));
        rows.push(vec![
            format!("`{name}`"),
            format!("{:.1}", median(&seconds)),
            range(&seconds, 1),
            goal.to_owned(),
        ]);
        all.insert(name, json!(seconds));
    }
    let head = ["milliseconds", "median", "lowest–highest", "goal"];
    Ok(Findings {
        text: table(&head, &rows),
        json: Value::Object(all),
    })
}

/// Seconds from start to end of a call.
fn time(built: &Built, arguments: &[&str]) -> Result<f64> {
    let mut command = ours::shell(&built.program("tenon"));
    command.args(arguments).stdin(Stdio::null());
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let began = Instant::now();
    let status = command.status();
    let taken = began.elapsed().as_secs_f64();
    let status = status.with_context(|| format!("starting `{}`", show(&command)))?;
    ensure!(status.success(), "`{}` failed ({status})", show(&command));
    Ok(taken)
}
