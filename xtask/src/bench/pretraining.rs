//! Training of a new GPT-2 of 124 million parameters against transformers' `Trainer`, with the same weights, text,
//! blocks and batches: tokens a second of the steps after the first ones, in float32 on two threads.
//!
//! Each block is trained on once, in orders that differ. That both sides do the same work is seen before, where they
//! learn nothing (a learning rate of 0): there the mean loss is one of weights, tokens and targets alone.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::figures::table;
use super::ours::{self, Built, number};
use super::peer::Peer;
use super::turns::Both;
use super::{Findings, Options, folder};
use crate::cargo::{repository, run};

/// The peer's script, in the repository.
const SCRIPT: &str = "xtask/bench/peer_pretrain.py";
/// The run file, in the repository.
const RUN_FILE: &str = "xtask/bench/gpt2-pretraining.toml";
/// Name of the run.
const NAME: &str = "gpt2-pretraining";
/// Tokens of a block.
const BLOCK: usize = 512;
/// Blocks of a step.
const BATCH: usize = 4;
/// Steps that are not counted, before those that are.
const UNCOUNTED: usize = 2;
/// Steps that are counted, unless `--max-steps` says otherwise.
const COUNTED: usize = 6;
/// How far apart the mean losses may be that are to be the same.
const TOLERANCE: f64 = 1e-4;

/// What one run of either side measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Run {
    steps: u64,
    tokens: u64,
    parameters: u64,
    tokens_per_s: f64,
    /// Mean of all steps.
    loss: f64,
    peak_rss_mib: f64,
}

/// One training of either side.
#[derive(Clone, Copy)]
struct Training {
    steps: usize,
    seed: u32,
    /// Whether it learns.
    learns: bool,
}

impl Training {
    fn new(steps: usize, seed: u32) -> Self {
        Self {
            steps,
            seed,
            learns: true,
        }
    }

    fn without_learning(steps: usize) -> Self {
        Self {
            learns: false,
            ..Self::new(steps, 0)
        }
    }
}

/// Runs both sides without learning, and then as often as asked for, in turn.
///
/// # Errors
/// The text is missing or too short, a run fails, or the sides did not do the same work.
pub fn measure(options: &Options, built: &Built, peer: &Peer) -> Result<Findings> {
    let steps = UNCOUNTED + options.max_steps.map_or(COUNTED, |steps| steps as usize);
    let folder = folder(&repository()).join("pretraining");
    fs::create_dir_all(&folder).with_context(|| format!("creating {}", folder.display()))?;
    // Each character is a token, and the last one is a target only.
    let characters = steps * BATCH * BLOCK + 1;
    let mut make = peer.script(SCRIPT);
    make.arg("make").arg(&folder).arg(options.text()?);
    run(make.args(["--characters", &characters.to_string()]))?;
    let one = |side: Option<&Peer>, training: Training| match side {
        Some(peer) => of_peer(peer, &folder, training),
        None => of_tenon(built, training),
    };
    let still = Training::without_learning(steps);
    let before = (one(None, still)?, one(Some(peer), still)?);
    same_losses(&before.0, &before.1)?;
    let both = Both::measure(
        options.seeds,
        peer,
        |side, seed| Ok((one(side, Training::new(steps, seed))?, Value::Null)),
        |run| {
            format!(
                "{:>6.1} tokens/s, {:>6.0} MiB, mean loss {:.3}",
                run.tokens_per_s, run.peak_rss_mib, run.loss
            )
        },
    )?;
    for (our, peer) in both.ours.iter().zip(&both.peers) {
        same_work(our, peer)?;
    }
    Ok(Findings {
        text: compare(&both, &before),
        json: json!({"without_learning": [before.0, before.1], "runs": both.raw}),
    })
}

fn of_tenon(built: &Built, training: Training) -> Result<Run> {
    let mut command = ours::shell(&built.program("tenon"));
    command.args(["train", RUN_FILE, "--overwrite"]);
    let mut sets = vec![
        format!("run.seed={}", training.seed),
        format!("task.block_size={BLOCK}"),
        format!("train.batch_size={BATCH}"),
    ];
    if !training.learns {
        sets.push("train.learning_rate=0".to_owned());
    }
    for set in sets {
        command.args(["--set", &set]);
    }
    let summary = ours::summary(&mut command, NAME)?;
    let run_folder = ours::run_folder(NAME);
    let path = run_folder.join("events.jsonl");
    let events =
        fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    let ends = step_ends(&events).with_context(|| path.display().to_string())?;
    ensure!(
        ends.len() == training.steps,
        "{}: {} steps instead of {}",
        path.display(),
        ends.len(),
        training.steps
    );
    // Two gigabytes of checkpoint and result.
    fs::remove_dir_all(&run_folder)
        .with_context(|| format!("removing {}", run_folder.display()))?;
    let seconds = ends[training.steps - 1] - ends[UNCOUNTED - 1];
    let counted = (training.steps - UNCOUNTED) * BATCH * BLOCK;
    let count = |place: &str| number(&summary, place).map(|value| value as u64);
    Ok(Run {
        steps: count("/training/steps")?,
        tokens: count("/training/tokens")?,
        parameters: count("/parameters/trainable")?,
        tokens_per_s: counted as f64 / seconds,
        loss: number(&summary, "/training/loss")?,
        peak_rss_mib: number(&summary, "/peak_memory_bytes")? / f64::from(1 << 20),
    })
}

/// When each step ended, in seconds, as `events.jsonl` tells.
fn step_ends(events: &str) -> Result<Vec<f64>> {
    let mut ends = Vec::new();
    for line in events.lines() {
        let event: Value = serde_json::from_str(line).with_context(|| line.to_owned())?;
        if event["event"] == "step" {
            ends.push(number(&event, "/time")?);
        }
    }
    Ok(ends)
}

fn of_peer(peer: &Peer, folder: &Path, training: Training) -> Result<Run> {
    let mut command = peer.script(SCRIPT);
    command.arg("run").arg(folder);
    for (name, value) in [
        ("--block", BLOCK),
        ("--batch", BATCH),
        ("--steps", training.steps),
        ("--uncounted", UNCOUNTED),
        ("--seed", training.seed as usize),
    ] {
        command.args([name, &value.to_string()]);
    }
    if !training.learns {
        command.args(["--learning-rate", "0"]);
    }
    let figures = ours::answer(&mut command)?;
    Run::deserialize(&figures).context("reading the figures of the peer")
}

/// Checks that both took as many steps over as many tokens with as many parameters.
fn same_work(our: &Run, peer: &Run) -> Result<()> {
    let work = |run: &Run| {
        format!(
            "{} steps over {} tokens, {} parameters trained",
            run.steps, run.tokens, run.parameters
        )
    };
    ensure!(
        work(our) == work(peer),
        "the two sides did not do the same work\n  tenon: {}\n  peer:  {}",
        work(our),
        work(peer)
    );
    Ok(())
}

/// Checks that both, which learned nothing, found the same losses over the same work.
fn same_losses(our: &Run, peer: &Run) -> Result<()> {
    same_work(our, peer)?;
    ensure!(
        (our.loss - peer.loss).abs() <= TOLERANCE,
        "without learning, the mean loss is {} here and {} at the peer: they do not train on the same",
        our.loss,
        peer.loss
    );
    Ok(())
}

/// The table, and what was done.
fn compare(both: &Both<Run>, before: &(Run, Run)) -> String {
    let head = [
        "median (lowest–highest)",
        "tenon",
        "transformers",
        "ratio",
        "goal",
    ];
    let rows = [
        both.row("training, tokens/s", "≥ 1.2 ×", 1, |run| {
            run.tokens_per_s
        }),
        both.row("peak memory, MiB", "", 0, |run| run.peak_rss_mib),
    ];
    let (our, peer) = before;
    table(&head, &rows)
        + &format!(
            "\nEach run: {} steps of {BATCH} blocks of {BLOCK} tokens, the first {UNCOUNTED} not counted, {} \
             parameters; runs of each side, in turn: {}. Mean loss over the same blocks without learning: {:.6} and \
             {:.6}; with it, in the last run: {:.2} and {:.2}.\n",
            our.steps,
            our.parameters,
            both.ours.len(),
            our.loss,
            peer.loss,
            both.ours.last().map_or(f64::NAN, |run| run.loss),
            both.peers.last().map_or(f64::NAN, |run| run.loss),
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(speed: f64) -> Run {
        Run {
            steps: 8,
            tokens: 16_384,
            parameters: 124_439_808,
            tokens_per_s: speed,
            loss: 10.8,
            peak_rss_mib: 4000.0,
        }
    }

    #[test]
    fn ends_of_steps_are_read() {
        let events = "{\"event\":\"started\",\"time\":1.0}\n{\"event\":\"step\",\"step\":1,\"time\":2.5}\n\
                      {\"event\":\"evaluation\",\"time\":3.0}\n{\"event\":\"step\",\"step\":2,\"time\":4.0}\n";
        let found = step_ends(events).expect("two steps");
        assert!(found.len() == 2 && found[1] - found[0] == 1.5, "{found:?}");
        let error = step_ends("{\"event\":\"step\"}\n").expect_err("no time");
        assert!(error.to_string().contains("no number at /time"), "{error}");
    }

    #[test]
    fn other_work_is_no_comparison() {
        same_work(&run(1.0), &run(2.0)).expect("the same");
        let other = Run {
            tokens: 16_352,
            ..run(1.0)
        };
        let error = same_work(&run(1.0), &other).expect_err("fewer tokens");
        assert!(
            error
                .to_string()
                .contains("peer:  8 steps over 16352 tokens"),
            "{error}"
        );
    }

    #[test]
    fn other_tokens_are_no_comparison() {
        let with = |loss: f64| Run { loss, ..run(1.0) };
        same_losses(&with(10.81428), &with(10.81429)).expect("the same but for rounding");
        let error = same_losses(&with(10.81), &with(10.82)).expect_err("other tokens");
        assert!(
            error
                .to_string()
                .contains("10.81 here and 10.82 at the peer"),
            "{error}"
        );
    }

    #[test]
    fn medians_are_compared() {
        let before = (run(1.0), run(1.0));
        let both = Both::of(vec![run(240.0), run(250.0), run(300.0)], vec![run(200.0)]);
        let text = compare(&both, &before);
        let line = "| training, tokens/s | 250.0 (240.0–300.0) | 200.0 | 1.25 × | ≥ 1.2 × |";
        assert!(text.contains(line), "{text}");
        assert!(text.contains("8 steps of 4 blocks of 512 tokens"), "{text}");
        assert!(
            text.contains("without learning: 10.800000 and 10.800000"),
            "{text}"
        );
    }
}
