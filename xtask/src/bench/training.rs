//! Training and evaluation against transformers and peft, turn and turn about.

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::figures::{mean, range, table};
use super::ours::{self, Built};
use super::peer::Peer;
use super::turns::Both;
use super::{Findings, Options};

/// What one run of either side measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Run {
    seed: u64,
    steps: u64,
    train_examples: u64,
    trainable_parameters: u64,
    eval_examples: u64,
    train_examples_per_s: f64,
    eval_examples_per_s: f64,
    first_step_s: f64,
    peak_rss_mib: f64,
    accuracy: f64,
    /// The peer's speed without its first ten steps.
    steady_examples_per_s: Option<f64>,
}

/// Runs both sides with each seed, after a run of each that is not counted: it brings the files
/// into memory.
///
/// # Errors
/// A run fails, or the sides did not do the same work.
pub fn measure(options: &Options, built: &Built, peer: &Peer) -> Result<Findings> {
    let warm_up = Options {
        max_steps: Some(2),
        ..options.clone()
    };
    one(&warm_up, built, None, 0)?;
    one(&warm_up, built, Some(peer), 0)?;
    let one = |side: Option<&Peer>, seed| one(options, built, side, seed);
    let both = Both::measure(options.seeds, peer, one, describe)?;
    same_work(&both)?;
    Ok(Findings {
        text: compare(&both),
        json: json!({"runs": both.raw}),
    })
}

/// A run of the peer, or of tenon without one; with all that it tells.
fn one(options: &Options, built: &Built, side: Option<&Peer>, seed: u32) -> Result<(Run, Value)> {
    let Some(peer) = side else {
        let mut command = ours::training(built, "tenon", options, seed);
        let summary = ours::summary(&mut command, "tenon")?;
        return Ok((Run::of_summary(&summary)?, summary));
    };
    let figures = peer.train(options, seed)?;
    let run = Run::deserialize(&figures).context("reading the figures of the peer")?;
    Ok((run, figures))
}

impl Run {
    /// From the `summary.json` of a run.
    fn of_summary(summary: &Value) -> Result<Self> {
        let number = |place: &str| {
            let found = summary.pointer(place).and_then(Value::as_f64);
            found.with_context(|| format!("summary.json has no number at {place}"))
        };
        let count = |place: &str| number(place).map(|value| value as u64);
        Ok(Self {
            seed: count("/seed")?,
            steps: count("/training/steps")?,
            train_examples: count("/training/examples")?,
            trainable_parameters: count("/parameters/trainable")?,
            eval_examples: count("/scores/validation/examples")?,
            train_examples_per_s: number("/training/examples_per_second")?,
            eval_examples_per_s: number("/scores/validation/examples_per_second")?,
            first_step_s: number("/training/seconds_to_first_step")?,
            peak_rss_mib: number("/peak_memory_bytes")? / f64::from(1 << 20),
            accuracy: number("/scores/validation/scores/0/value")?,
            steady_examples_per_s: None,
        })
    }
}

fn describe(run: &Run) -> String {
    format!(
        "{:>6.1} examples/s in training, {:>6.1} in evaluation, {:>5.2} s to the first \
         step, {:>6.0} MiB, accuracy {:.4}",
        run.train_examples_per_s,
        run.eval_examples_per_s,
        run.first_step_s,
        run.peak_rss_mib,
        run.accuracy
    )
}

/// Checks that every run did the same.
fn same_work(both: &Both<Run>) -> Result<()> {
    for (our, peer) in both.ours.iter().zip(&both.peers) {
        let work = |run: &Run| {
            format!(
                "seed {}: {} steps over {} examples, {} trainable parameters, {} examples evaluated",
                run.seed,
                run.steps,
                run.train_examples,
                run.trainable_parameters,
                run.eval_examples
            )
        };
        ensure!(
            work(our) == work(peer),
            "the two sides did not do the same work\n  tenon: {}\n  peer:  {}",
            work(our),
            work(peer)
        );
    }
    Ok(())
}

/// The table, and what was done.
fn compare(both: &Both<Run>) -> String {
    let accuracy = |runs: &[Run]| {
        let values: Vec<f64> = runs.iter().map(|run| run.accuracy).collect();
        format!("{:.4} ({})", mean(&values), range(&values, 4))
    };
    let rows = [
        both.row("training, examples/s", "≥ 1.5 ×", 1, |run| {
            run.train_examples_per_s
        }),
        both.row("the same, peer without its first 10 steps", "", 1, |run| {
            run.steady_examples_per_s
                .unwrap_or(run.train_examples_per_s)
        }),
        both.row("evaluation, examples/s", "≥ 1.5 ×", 1, |run| {
            run.eval_examples_per_s
        }),
        both.row("command to end of first step, s", "≤ 0.20 ×", 2, |run| {
            run.first_step_s
        }),
        both.row("peak memory, MiB", "≤ 0.50 ×", 0, |run| run.peak_rss_mib),
        vec![
            "validation accuracy, mean".to_owned(),
            accuracy(&both.ours),
            accuracy(&both.peers),
            String::new(),
            "equal within noise".to_owned(),
        ],
    ];
    let head = [
        "median (lowest–highest)",
        "tenon",
        "transformers + peft",
        "ratio",
        "goal",
    ];
    let ours = &both.ours;
    let did = ours.first().map_or_else(String::new, |run| {
        format!(
            "\nEach run: {} steps over {} examples, {} trainable parameters, {} examples evaluated; \
             {} seeds, the sides in turn.\n",
            run.steps, run.train_examples, run.trainable_parameters, run.eval_examples, ours.len()
        )
    });
    table(&head, &rows) + &did
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(seed: u64, speed: f64) -> Run {
        Run {
            seed,
            steps: 217,
            train_examples: 6920,
            trainable_parameters: 74_498,
            eval_examples: 872,
            train_examples_per_s: speed,
            eval_examples_per_s: speed * 2.0,
            first_step_s: 1.0,
            peak_rss_mib: 700.0,
            accuracy: 0.84,
            steady_examples_per_s: None,
        }
    }

    #[test]
    fn a_summary_and_the_peers_figures_are_read_alike() {
        let summary = json!({
            "seed": 2, "parameters": {"trainable": 74_498},
            "training": {"steps": 217, "examples": 6920, "examples_per_second": 200.5, "seconds_to_first_step": 0.5},
            "scores": {"validation": {"examples": 872, "examples_per_second": 401.0, "scores": [{"value": 0.84}]}},
            "peak_memory_bytes": 734_003_200_u64,
        });
        let expected = Run {
            first_step_s: 0.5,
            ..run(2, 200.5)
        };
        assert_eq!(Run::of_summary(&summary).expect("a summary"), expected);
        let error = Run::of_summary(&json!({"seed": 2})).expect_err("no summary");
        assert_eq!(
            error.to_string(),
            "summary.json has no number at /training/steps"
        );
        let figures = serde_json::to_value(&expected).expect("figures");
        assert_eq!(Run::deserialize(&figures).expect("figures"), expected);
    }

    #[test]
    fn other_work_is_no_comparison() {
        let runs = |speed: f64| vec![run(0, speed), run(1, speed)];
        let mut both = Both::of(runs(2.0), runs(1.0));
        same_work(&both).expect("the same, at another speed");
        both.peers[1].steps = 216;
        let error = same_work(&both).expect_err("a step less");
        assert!(
            error.to_string().contains("peer:  seed 1: 216 steps"),
            "{error}"
        );
    }

    #[test]
    fn medians_are_compared() {
        let text = compare(&Both::of(
            vec![run(0, 300.0), run(1, 310.0), run(2, 500.0)],
            vec![run(0, 155.0)],
        ));
        let line = "| training, examples/s | 310.0 (300.0–500.0) | 155.0 | 2.00 × | ≥ 1.5 × |";
        assert!(text.contains(line), "{text}");
        assert!(text.contains("217 steps over 6920 examples"), "{text}");
    }
}
