//! Progress of long transfers: a bar on a terminal, two plain lines elsewhere.

use std::time::{Duration, Instant};

use indicatif::{DecimalBytes, ProgressBar, ProgressStyle};

/// The progress of one transfer.
pub struct Progress {
    bar: ProgressBar,
    what: String,
    started: Instant,
}

impl Progress {
    /// Starts to show `what` (such as `fetching torch 2.11.0`), of `total` bytes.
    pub fn start(what: String, total: u64) -> Self {
        let bar = ProgressBar::new(total);
        let template = "  {msg} {wide_bar} {decimal_bytes}/{decimal_total_bytes}, {decimal_bytes_per_sec}, {eta} left";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.set_message(what.clone());
        bar.enable_steady_tick(Duration::from_millis(200));
        if bar.is_hidden() {
            eprintln!("  {what} ({})", DecimalBytes(total));
        }
        Self {
            bar,
            what,
            started: Instant::now(),
        }
    }

    /// Says that `bytes` are there already.
    pub fn resume_at(&self, bytes: u64) {
        self.bar.set_position(bytes);
        self.bar.reset_eta();
    }

    /// Adds `bytes`.
    pub fn add(&self, bytes: u64) {
        self.bar.inc(bytes);
    }

    /// Prints a line that stays above the bar.
    pub fn note(&self, line: &str) {
        self.bar.suspend(|| eprintln!("  {line}"));
    }

    /// Ends with a line that says how long it took.
    pub fn finish(self) {
        self.bar.finish_and_clear();
        eprintln!(
            "  {}: done in {:.1} s",
            self.what,
            self.started.elapsed().as_secs_f64()
        );
    }
}
