//! `summary.json`, and the table that evaluation prints.

use std::fmt::Write as _;
use std::time::Instant;

use anyhow::Result;
use serde_json::{Map, Value, json};
use tch::Device;

use crate::evaluate::Evaluation;
use crate::session::Session;

/// Seconds of each phase of a command.
pub struct Phases {
    began: Instant,
    last: Instant,
    seconds: Map<String, Value>,
}

impl Phases {
    /// Starts the clock.
    pub fn start() -> Self {
        let now = Instant::now();
        Self {
            began: now,
            last: now,
            seconds: Map::new(),
        }
    }

    /// Ends a phase; the next one begins.
    pub fn end(&mut self, phase: &str) {
        let now = Instant::now();
        self.seconds
            .insert(phase.to_owned(), json!((now - self.last).as_secs_f64()));
        self.last = now;
    }
}

/// A summary.
pub struct Summary(Value);

impl Summary {
    /// The summary as JSON.
    ///
    /// # Errors
    /// Never in practice: all keys are text.
    pub fn to_string_pretty(&self) -> Result<String> {
        Ok(format!("{}\n", serde_json::to_string_pretty(&self.0)?))
    }
}

/// The summary of a run.
pub fn run(
    session: &Session,
    training: Value,
    scores: Map<String, Value>,
    phases: &Phases,
) -> Summary {
    let (trainable, all) = session.parameters();
    Summary(json!({
        "run": session.settings.run.name,
        "seed": session.settings.run.seed,
        "tenon": env!("CARGO_PKG_VERSION"),
        "device": device_name(session.device),
        "threads": tch::get_num_threads(),
        "parameters": {"trainable": trainable, "total": all},
        "training": training,
        "scores": scores,
        "peak_memory_bytes": peak_memory(),
        "seconds": phases.seconds,
        "total_seconds": phases.began.elapsed().as_secs_f64(),
    }))
}

/// An evaluation as JSON.
pub fn evaluation(found: &Evaluation) -> Value {
    let seconds = found.seconds.max(1e-9);
    let mut summary = json!({
        "loss": found.loss,
        "scores": found.scores,
        "examples": found.examples,
        "seconds": found.seconds,
        "examples_per_second": found.examples as f64 / seconds,
        "tokens_per_second": found.tokens as f64 / seconds,
    });
    if found.records > 0 {
        summary["records"] = json!(found.records);
    }
    if found.written > 0 {
        summary["written_tokens"] = json!(found.written);
        let seconds = found.writing_seconds.max(1e-9);
        summary["written_tokens_per_second"] = json!(found.written as f64 / seconds);
    }
    summary
}

/// An evaluation as a table for people.
pub fn table(split: &str, found: &Evaluation) -> String {
    let (count, noun) = match found.examples {
        0 => (found.records, "records"),
        examples => (examples, "examples"),
    };
    let mut text = format!("{split}: {count} {noun} in {:.2} s\n", found.seconds);
    if found.written > 0 {
        let speed = found.written as f64 / found.writing_seconds.max(1e-9);
        let _ = writeln!(
            text,
            "  {} tokens written, {speed:.0} a second",
            found.written
        );
    }
    let mut row = |name: &str, value: f64, unit: &str| {
        // Writing to a string does not fail.
        let _ = writeln!(text, "  {name:<24} {value:>10.6} {unit}");
    };
    if let Some(loss) = found.loss {
        row("loss", loss, "");
    }
    for named in &found.scores {
        row(&named.score.name, named.score.value, &named.score.unit);
    }
    for named in &found.scores {
        if let Some(detail) = &named.score.detail {
            let _ = writeln!(text, "  {}: {detail}", named.score.name);
        }
    }
    text
}

/// A device as users write it.
pub fn device_name(device: Device) -> String {
    match device {
        Device::Cpu => "cpu".to_owned(),
        Device::Cuda(index) => format!("cuda:{index}"),
        other => format!("{other:?}").to_lowercase(),
    }
}

/// The most memory that the process held at once, in bytes; `None` where the system does not tell.
pub fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// Seconds since this process was started, by the kernel's record (in steps of 10 ms); `None` where
/// the system does not tell.
pub fn process_age() -> Option<f64> {
    // Clock ticks of `/proc` in a second: 100 on every Linux, whatever the kernel counts in.
    const TICKS: f64 = 100.0;
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The name of the program may hold spaces and parentheses; the fields follow its last one.
    let (_, fields) = stat.rsplit_once(')')?;
    let started: f64 = fields.split_whitespace().nth(19)?.parse().ok()?;
    let uptime = std::fs::read_to_string("/proc/uptime").ok()?;
    let now: f64 = uptime.split_whitespace().next()?.parse().ok()?;
    Some(now - started / TICKS)
}
