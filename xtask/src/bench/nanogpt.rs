//! Tiny Shakespeare, character by character, at the CPU setting of nanoGPT's README: `configs/shakespeare-gpt.toml`
//! against nanoGPT's own loop, which a checkout brings.

use std::path::Path;
use std::time::Instant;

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
const SCRIPT: &str = "xtask/bench/peer_nanogpt.py";
/// The run file, in the repository.
const RUN_FILE: &str = "configs/shakespeare-gpt.toml";
/// Name of the run.
const NAME: &str = "shakespeare-gpt";
/// Steps, unless `--max-steps` says otherwise.
const STEPS: u32 = 2000;

/// What one run of either side measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Run {
    tokens: u64,
    /// Of training, without evaluation.
    tokens_per_s: f64,
    /// From start to end of the process.
    seconds: f64,
    peak_rss_mib: f64,
    /// In nats a character.
    validation_loss: f64,
}

/// Trains with either side, in turn, after a short run of each that brings the files into memory.
///
/// # Errors
/// Text or checkout is missing, a run fails, or the sides trained on another number of tokens.
pub fn measure(options: &Options, built: &Built, peer: &Peer) -> Result<Findings> {
    let folder = folder(&repository()).join("nanogpt");
    let (text, checkout) = (options.text()?, options.nanogpt()?);
    run(peer.script(SCRIPT).arg("make").arg(&folder).arg(text))?;
    let steps = options.max_steps.unwrap_or(STEPS);
    of_tenon(built, &folder, 2, 0)?;
    of_nanogpt(peer, &folder, &checkout, 2)?;
    let both = Both::measure(
        options.seeds,
        peer,
        |side, seed| {
            let run = match side {
                Some(peer) => of_nanogpt(peer, &folder, &checkout, steps)?,
                None => of_tenon(built, &folder, steps, seed)?,
            };
            Ok((run, Value::Null))
        },
        |run| {
            format!(
                "{:>7.0} tokens/s in training, {:>6.1} s in all, {:>5.0} MiB, validation loss {:.4}",
                run.tokens_per_s, run.seconds, run.peak_rss_mib, run.validation_loss
            )
        },
    )?;
    same_work(&both.ours, &both.peers)?;
    Ok(Findings {
        text: compare(&both, steps),
        json: json!({"runs": both.raw}),
    })
}

fn of_tenon(built: &Built, folder: &Path, steps: u32, seed: u32) -> Result<Run> {
    let mut command = ours::shell(&built.program("tenon"));
    command.args(["train", RUN_FILE, "--overwrite"]);
    let part = |name: &str| folder.join(name).display().to_string();
    let runs = ours::run_folder(NAME);
    let runs = runs.parent().context("a folder of runs")?;
    for set in [
        format!("run.name={NAME}"),
        format!("run.output_dir={}", runs.display()),
        format!("run.seed={}", 1337 + seed),
        "run.device=cpu".to_owned(),
        "run.threads=2".to_owned(),
        format!("data.train={}", part("train.txt")),
        format!("data.validation={}", part("validation.txt")),
        "data.cache=false".to_owned(),
        format!("train.max_steps={steps}"),
    ] {
        command.args(["--set", &set]);
    }
    let began = Instant::now();
    let summary = ours::summary(&mut command, NAME)?;
    let seconds = began.elapsed().as_secs_f64();
    Ok(Run {
        tokens: number(&summary, "/training/tokens")? as u64,
        tokens_per_s: number(&summary, "/training/tokens_per_second")?,
        seconds,
        peak_rss_mib: number(&summary, "/peak_memory_bytes")? / f64::from(1 << 20),
        validation_loss: number(&summary, "/scores/validation/loss")?,
    })
}

fn of_nanogpt(peer: &Peer, folder: &Path, checkout: &Path, steps: u32) -> Result<Run> {
    let mut command = peer.script(SCRIPT);
    command.arg("run").arg(folder).arg(checkout);
    command.args(["--max-iters", &steps.to_string()]);
    let figures = ours::answer(&mut command)?;
    Run::deserialize(&figures).context("reading the figures of nanoGPT")
}

/// Checks that both trained on about as many tokens: nanoGPT takes a step more, and the blocks at
/// the end of an epoch are fewer here.
fn same_work(ours: &[Run], peers: &[Run]) -> Result<()> {
    for (our, peer) in ours.iter().zip(peers) {
        let ratio = our.tokens as f64 / peer.tokens as f64;
        // A run of a few steps, to see that the bench works, differs by the one step.
        let far = (0.01_f64).max(800.0 / peer.tokens as f64);
        ensure!(
            (ratio - 1.0).abs() < far,
            "the two sides did not do the same work\n  tenon:   {} tokens\n  nanoGPT: {} tokens",
            our.tokens,
            peer.tokens
        );
    }
    Ok(())
}

/// The table, and what was done.
fn compare(both: &Both<Run>, steps: u32) -> String {
    let head = [
        "median (lowest–highest)",
        "tenon",
        "nanoGPT",
        "ratio",
        "goal",
    ];
    let mut loss = both.row("validation loss, nats a character", "", 3, |run| {
        run.validation_loss
    });
    // A ratio of losses says nothing; the goal is one of ours alone.
    loss[3..].clone_from_slice(&[String::new(), "≤ 1.88".to_owned()]);
    let rows = [
        both.row("training, tokens/s", "≥ 1.3 ×", 0, |run| {
            run.tokens_per_s
        }),
        both.row("command, start to end, s", "≤ 1.00 ×", 1, |run| {
            run.seconds
        }),
        both.row("peak memory, MiB", "", 0, |run| run.peak_rss_mib),
        loss,
    ];
    let tokens = |runs: &[Run]| runs.first().map_or(0, |run| run.tokens);
    table(&head, &rows)
        + &format!(
            "\nEach run: {steps} steps; {} and {} tokens; runs of each side, in turn: {}.\n",
            tokens(&both.ours),
            tokens(&both.peers),
            both.ours.len()
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(tokens: u64, speed: f64) -> Run {
        Run {
            tokens,
            tokens_per_s: speed,
            seconds: 60.0,
            peak_rss_mib: 500.0,
            validation_loss: 1.76,
        }
    }

    #[test]
    fn about_as_many_tokens_are_the_same_work() {
        let peers = [run(1_536_768, 1.0)];
        same_work(&[run(1_535_000, 2.0)], &peers).expect("a step and a few blocks less");
        same_work(&[run(1536, 2.0)], &[run(2304, 1.0)]).expect("two steps and three");
        let error = same_work(&[run(1_500_000, 2.0)], &peers).expect_err("fewer");
        assert!(
            error.to_string().contains("tenon:   1500000 tokens"),
            "{error}"
        );
    }

    #[test]
    fn medians_are_compared() {
        let both = Both::of(vec![run(10, 300.0), run(10, 400.0)], vec![run(11, 100.0)]);
        let text = compare(&both, 2000);
        for line in [
            "| training, tokens/s | 350 (300–400) | 100 | 3.50 × | ≥ 1.3 × |",
            "| command, start to end, s | 60.0 (60.0–60.0) | 60.0 | 1.00 × | ≤ 1.00 × |",
            "| validation loss, nats a character | 1.760 (1.760–1.760) | 1.760 |  | ≤ 1.88 |",
            "2000 steps; 10 and 11 tokens; runs of each side, in turn: 2",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
    }
}
