//! A list of named steps, each timed, with a summary at the end.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// How a step ended.
enum Outcome {
    /// As it should; perhaps with a remark.
    Passed(Option<String>),
    /// With this error.
    Failed,
    /// Not tried, because the one before failed or the caller asked so.
    Skipped(&'static str),
}

/// Runs steps in turn, and none after one that failed.
pub struct Steps {
    done: Vec<(&'static str, Outcome, Duration)>,
    failure: Option<anyhow::Error>,
}

impl Steps {
    /// No step yet.
    pub fn new() -> Self {
        Self {
            done: Vec::new(),
            failure: None,
        }
    }

    /// Runs `step` under the title `name`, unless one before it failed.
    ///
    /// A step may return a remark for the summary.
    pub fn run(&mut self, name: &'static str, step: impl FnOnce() -> Result<Option<String>>) {
        if self.failure.is_some() {
            return self.skip(name, "not reached");
        }
        eprintln!("── {name}");
        let start = Instant::now();
        let outcome = match step() {
            Ok(remark) => Outcome::Passed(remark),
            Err(error) => {
                self.failure = Some(error);
                Outcome::Failed
            }
        };
        self.done.push((name, outcome, start.elapsed()));
    }

    /// Notes that the step `name` was left out, and why.
    pub fn skip(&mut self, name: &'static str, why: &'static str) {
        self.done
            .push((name, Outcome::Skipped(why), Duration::ZERO));
    }

    /// Prints the summary.
    ///
    /// # Errors
    /// The error of the step that failed, after its name.
    pub fn finish(self) -> Result<()> {
        eprintln!("\n{}", self.summary());
        let failed = self
            .done
            .iter()
            .find(|(_, outcome, _)| matches!(outcome, Outcome::Failed));
        match (self.failure, failed) {
            (Some(error), Some((name, _, _))) => bail!(error.context(format!("step `{name}`"))),
            _ => Ok(()),
        }
    }

    /// One line for each step.
    fn summary(&self) -> String {
        let width = self
            .done
            .iter()
            .map(|(name, _, _)| name.len())
            .max()
            .unwrap_or_default();
        let lines = self.done.iter().map(|(name, outcome, time)| {
            let seconds = format!("{:.1} s", time.as_secs_f64());
            match outcome {
                Outcome::Passed(None) => format!("  ok      {name:width$}  {seconds}"),
                Outcome::Passed(Some(remark)) => {
                    format!("  ok      {name:width$}  {seconds}  ({remark})")
                }
                Outcome::Failed => format!("  FAILED  {name:width$}  {seconds}"),
                Outcome::Skipped(why) => format!("  -       {name:width$}  {why}"),
            }
        });
        lines.collect::<Vec<_>>().join("\n")
    }
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    #[test]
    fn nothing_runs_after_a_failure_and_the_summary_says_so() {
        let mut steps = Steps::new();
        let mut reached = false;
        steps.run("format", || Ok(None));
        steps.run("arrows", || Ok(Some("14 packages".into())));
        steps.skip("deny", "left out by --skip");
        steps.run("clippy", || Err(anyhow!("a warning")));
        steps.run("tests", || {
            reached = true;
            Ok(None)
        });
        assert!(!reached);
        let expected = "  ok      format  0.0 s\n  \
                          ok      arrows  0.0 s  (14 packages)\n  \
                          -       deny    left out by --skip\n  \
                          FAILED  clippy  0.0 s\n  \
                          -       tests   not reached";
        assert_eq!(steps.summary(), expected);
        let error = steps.finish().expect_err("a step failed");
        assert_eq!(format!("{error:#}"), "step `clippy`: a warning");
    }

    #[test]
    fn all_passing_is_no_error() {
        let mut steps = Steps::new();
        steps.run("format", || Ok(None));
        steps.finish().expect("no step failed");
    }
}
