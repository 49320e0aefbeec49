//! What a run tells: bars or lines for people, JSON lines for programs.
//!
//! `metrics.jsonl` holds only what is a function of the run (no times), so an interrupted and
//! resumed run leaves the same bytes as an unbroken one. `events.jsonl` holds the same entries
//! with times and speeds, and grows over all parts of a run.

use std::fs::{File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tch::Tensor;
use tenon_core::folder::RunFolder;

use crate::evaluate::Evaluation;
use crate::services::{self, Bar};
use crate::summary;

/// Writes a run's logs and draws its progress.
pub struct Reporter {
    metrics: File,
    metrics_path: PathBuf,
    events: File,
    bar: Option<Bar>,
    total: u64,
    first_step: u64,
    began: Instant,
    first_done: Option<f64>,
    window: Window,
    learning_rate: f64,
    grad_norm: Option<Tensor>,
    quiet: bool,
}

/// What was consumed since the last log entry.
struct Window {
    began: Instant,
    examples: u64,
    tokens: u64,
}

impl Reporter {
    /// The logs in a run folder, from their beginning.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn new(folder: &RunFolder, fresh: bool, quiet: bool) -> Result<Self> {
        let metrics = open(&folder.metrics(), fresh)?;
        let events = open(&folder.events(), fresh)?;
        Ok(Self {
            metrics,
            metrics_path: folder.metrics(),
            events,
            bar: None,
            total: 0,
            first_step: 0,
            began: Instant::now(),
            first_done: None,
            window: Window::new(),
            learning_rate: 0.0,
            grad_norm: None,
            quiet,
        })
    }

    /// Goes on behind the first `bytes` of the log: what a killed run wrote after its checkpoint
    /// will be written again.
    ///
    /// # Errors
    /// The log is shorter, so it is not that of the checkpoint.
    pub fn resume(&mut self, bytes: u64, step: u64) -> Result<()> {
        let path = self.metrics_path.display();
        let len = self
            .metrics
            .metadata()
            .with_context(|| format!("reading {path}"))?
            .len();
        ensure!(
            len >= bytes,
            "{path}: has {len} bytes, but the checkpoint was made after {bytes}"
        );
        self.metrics
            .set_len(bytes)
            .with_context(|| format!("cutting {path}"))?;
        self.metrics
            .seek(SeekFrom::End(0))
            .with_context(|| format!("reading {path}"))?;
        self.event(&json!({"event": "resumed", "step": step}))?;
        self.say(&format!("resuming after step {step}"));
        Ok(())
    }

    /// Starts the bar of the training.
    pub fn begin(&mut self, total: u64, done: u64) {
        (self.total, self.first_step) = (total, done);
        self.began = Instant::now();
        self.window = Window::new();
        let bar = services::bar("training", "steps", total);
        bar.set(done);
        self.bar = Some(bar);
    }

    /// Counts what a batch held.
    pub fn consumed(&mut self, examples: u64, tokens: u64) {
        self.window.examples += examples;
        self.window.tokens += tokens;
    }

    /// Notes an optimizer step.
    pub fn stepped(&mut self, learning_rate: f64, grad_norm: Tensor) {
        self.learning_rate = learning_rate;
        self.grad_norm = Some(grad_norm);
        self.first_done
            .get_or_insert_with(|| self.began.elapsed().as_secs_f64());
        if let Some(bar) = &self.bar {
            bar.advance(1);
        }
    }

    /// Norm of the gradient of the latest step, before it was clipped; 0 before the first.
    ///
    /// # Errors
    /// libtorch fails.
    pub fn grad_norm(&self) -> Result<f64> {
        Ok(match &self.grad_norm {
            Some(norm) => norm.f_double_value(&[])?,
            None => 0.0,
        })
    }

    /// The step after which this part of the run began.
    pub fn first_step(&self) -> u64 {
        self.first_step
    }

    /// Seconds from the start of training to the end of its first step.
    pub fn first_step_seconds(&self) -> Option<f64> {
        self.first_done
    }

    /// Seconds from the start of the process to the end of its first step: what a user waits for.
    /// `None` where the system does not tell when a process began.
    pub fn seconds_to_first_step(&self) -> Option<f64> {
        let since = self.began.elapsed().as_secs_f64() - self.first_done?;
        Some(summary::process_age()? - since)
    }

    /// Writes a log entry for a step.
    ///
    /// # Errors
    /// The disk is full.
    pub fn log_step(&mut self, step: u64, epoch: f64, loss: f64) -> Result<()> {
        let norm = self.grad_norm()?;
        let mut entry = json!({
            "step": step,
            "epoch": epoch,
            "loss": loss,
            "learning_rate": self.learning_rate,
            "grad_norm": norm,
        });
        write_line(&mut self.metrics, &self.metrics_path, &entry)?;
        let seconds = self.window.began.elapsed().as_secs_f64().max(1e-9);
        let (examples, tokens) = (
            self.window.examples as f64 / seconds,
            self.window.tokens as f64 / seconds,
        );
        if let Value::Object(entry) = &mut entry {
            entry.insert("event".into(), "step".into());
            entry.insert("examples_per_second".into(), examples.into());
            entry.insert("tokens_per_second".into(), tokens.into());
        }
        self.event(&entry)?;
        self.window = Window::new();
        let text = format!(
            "loss {loss:.4}  lr {:.2e}  {:.0} tokens/s",
            self.learning_rate, tokens
        );
        match &self.bar {
            Some(bar) if services::interactive() => bar.message(text),
            _ => self.say(&format!(
                "step {step}/{}  {text}  {}",
                self.total,
                self.remaining(step)
            )),
        }
        Ok(())
    }

    /// Writes a log entry for an evaluation.
    ///
    /// # Errors
    /// The disk is full.
    pub fn log_evaluation(
        &mut self,
        split: &str,
        step: u64,
        found: &Evaluation,
        best: bool,
    ) -> Result<()> {
        let scores: serde_json::Map<_, _> = found
            .scores
            .iter()
            .map(|named| {
                (
                    format!("{}.{}", named.metric, named.score.name),
                    json!(named.score.value),
                )
            })
            .collect();
        let mut entry = json!({"step": step, "split": split, "loss": found.loss, "scores": scores, "best": best});
        write_line(&mut self.metrics, &self.metrics_path, &entry)?;
        if let Value::Object(entry) = &mut entry {
            entry.insert("event".into(), "evaluation".into());
            entry.insert("seconds".into(), found.seconds.into());
        }
        self.event(&entry)?;
        let mark = if best { "  (best so far)" } else { "" };
        self.say(&format!(
            "{split} after step {step}: {}{mark}",
            found.line()
        ));
        self.window = Window::new();
        Ok(())
    }

    /// Writes an entry to `events.jsonl`.
    ///
    /// # Errors
    /// The disk is full.
    pub fn event(&mut self, entry: &Value) -> Result<()> {
        let mut entry = entry.clone();
        if let Value::Object(entry) = &mut entry {
            let now = std::time::SystemTime::now()
                .duration_since(std::time::UNIX_EPOCH)
                .unwrap_or_default();
            entry.insert("time".into(), now.as_secs_f64().into());
        }
        write_line(&mut self.events, Path::new("events.jsonl"), &entry)
    }

    /// Makes the log durable; returns its length in bytes.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn sync(&mut self) -> Result<u64> {
        let path = self.metrics_path.display();
        self.metrics
            .sync_data()
            .with_context(|| format!("writing {path}"))?;
        self.metrics
            .stream_position()
            .with_context(|| format!("writing {path}"))
    }

    /// Prints a line for people.
    pub fn say(&self, line: &str) {
        if !self.quiet {
            services::say(line);
        }
    }

    /// Takes the bar away.
    pub fn end(&mut self) {
        self.bar = None;
    }

    fn remaining(&self, step: u64) -> String {
        let done = (step - self.first_step).max(1);
        let seconds = self.began.elapsed().as_secs_f64() / done as f64 * (self.total - step) as f64;
        let left = Duration::from_secs_f64(seconds.max(0.0));
        format!("{} left", indicatif::HumanDuration(left))
    }
}

impl Window {
    fn new() -> Self {
        Self {
            began: Instant::now(),
            examples: 0,
            tokens: 0,
        }
    }
}

fn open(path: &Path, fresh: bool) -> Result<File> {
    let mut options = OpenOptions::new();
    options.create(true).read(true).write(true).truncate(fresh);
    let mut file = options
        .open(path)
        .with_context(|| format!("opening {}", path.display()))?;
    file.seek(SeekFrom::End(0))
        .with_context(|| format!("opening {}", path.display()))?;
    Ok(file)
}

fn write_line(file: &mut File, path: &Path, entry: &Value) -> Result<()> {
    let mut line = serde_json::to_vec(entry)?;
    line.push(b'\n');
    file.write_all(&line)
        .with_context(|| format!("writing {}", path.display()))
}
