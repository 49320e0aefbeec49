//! A run that is killed at any moment and resumed ends as if it had never been killed: the same
//! log, weights, optimizer state and scores, byte for byte.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::desk::Desk;
use super::files::{Files, assert_same, json, result};
use super::running::{Moment, Running};

/// Draws the moments; seeded, so that a failure can be looked at again.
struct Random(u64);

impl Random {
    /// SplitMix64 (Steele et al. 2014).
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    fn time(&mut self, longest: Duration) -> Duration {
        longest.mul_f64(self.below(1000) as f64 / 1000.0)
    }
}

/// A run that is not killed.
struct Whole {
    result: Files,
    took: Duration,
    last: u64,
    lines: usize,
}

fn whole(desk: &Desk, changes: &[(&str, &str)]) -> Whole {
    let file = desk.run_file("whole", changes);
    let began = Instant::now();
    desk.succeed(&["train", &file]);
    let took = began.elapsed();
    let run = desk.run("whole");
    let log = std::fs::read_to_string(run.join("metrics.jsonl")).expect("a log");
    let steps = &json(&run.join("summary.json"))["training"]["steps"];
    Whole {
        result: result(&run),
        took,
        last: steps.as_u64().expect("a number of steps"),
        lines: log.lines().count(),
    }
}

/// Trains `NAME`, killing it at these moments, each of the part of the run that follows the one
/// before; then to its end. Answers how often it was killed.
fn train_killed(desk: &Desk, name: &str, changes: &[(&str, &str)], moments: &[Moment]) -> usize {
    let (file, run) = (desk.run_file(name, changes), desk.run(name));
    let folder = run.display().to_string();
    // Examples are encoded anew, so that it is killed in the midst of that, too.
    let cache = desk.path(&format!("cache-{name}"));
    let start = |part: usize| {
        let arguments: &[&str] = match (run.join("run.toml").is_file(), part % 3) {
            (true, 0) => &["train", "--resume", &folder],
            (true, 1) => &["train", &file, "--resume"],
            _ => &["train", &file],
        };
        let mut command = desk.command(arguments);
        command.env("TENON_CACHE", &cache);
        Running::start(command, &run)
    };
    let mut kills = 0;
    for (part, moment) in moments.iter().enumerate() {
        let mut running = start(part);
        if running.reach(*moment) {
            running.kill();
            kills += 1;
        } else {
            let outcome = running.end();
            assert_eq!(outcome.code, Some(0), "{name}: {}", outcome.stderr);
        }
        if run.join("summary.json").is_file() {
            return kills;
        }
    }
    let outcome = start(moments.len()).end();
    assert_eq!(outcome.code, Some(0), "{name}: {}", outcome.stderr);
    kills
}

/// Trains once for each list of moments, two at a time, and compares; answers how often runs were
/// killed for the first of their moments.
fn check(desk: &Desk, changes: &[(&str, &str)], whole: &Whole, cases: &[Vec<Moment>]) -> Vec<bool> {
    let (next, killed) = (AtomicUsize::new(0), Mutex::new(vec![false; cases.len()]));
    let work = || {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some(moments) = cases.get(number) else {
                break;
            };
            let name = format!("killed-{number}");
            let kills = train_killed(desk, &name, changes, moments);
            let what = format!("{name}, killed {kills} times at {moments:?}");
            assert_same(&what, &result(&desk.run(&name)), &whole.result);
            killed.lock().unwrap_or_else(PoisonError::into_inner)[number] = kills > 0;
        }
    };
    thread::scope(|scope| {
        let workers = [scope.spawn(work), scope.spawn(work)];
        for worker in workers {
            if let Err(panic) = worker.join() {
                std::panic::resume_unwind(panic);
            }
        }
    });
    killed.into_inner().unwrap_or_else(PoisonError::into_inner)
}

#[test]
fn a_run_killed_at_any_moment_ends_as_if_it_never_was() {
    let desk = Desk::new();
    let whole = whole(&desk, &[]);
    let mut random = Random(20);
    let mut cases: Vec<Vec<Moment>> = Vec::new();
    for _ in 0..10 {
        cases.push(vec![Moment::Time(random.time(whole.took))]);
    }
    for _ in 0..5 {
        cases.push(vec![Moment::Lines(1 + random.below(whole.lines))]);
    }
    // The files of the run itself come first, then a folder for each checkpoint.
    for _ in 0..8 {
        cases.push(vec![Moment::Writing(1 + random.below(12))]);
    }
    for _ in 0..3 {
        cases.push(vec![Moment::Exporting(whole.last)]);
    }
    for _ in 0..3 {
        let time = random.time(whole.took);
        let (lines, writing) = (random.below(whole.lines), random.below(3));
        cases.push(vec![
            Moment::Time(time),
            Moment::Lines(1 + lines),
            Moment::Writing(1 + writing),
        ]);
    }
    let killed = check(&desk, &[], &whole, &cases);
    let kills = killed.iter().filter(|killed| **killed).count();
    assert!(
        kills >= 20,
        "only {kills} runs were killed before they ended"
    );
    for kind in [0..10, 10..15, 15..23, 23..26, 26..29] {
        assert!(
            killed[kind.clone()].contains(&true),
            "{:?} never came",
            &cases[kind]
        );
    }
}

#[test]
fn two_threads_give_the_same_bits_too() {
    let desk = Desk::new();
    desk.take_rows("movie-train.jsonl", "train.jsonl", 400);
    // Batches that are large enough for the kernels to be shared out.
    let changes = [
        ("run.threads", "2"),
        ("train.batch_size", "64"),
        ("train.gradient_accumulation_steps", "1"),
    ];
    let whole = whole(&desk, &changes);
    let mut random = Random(21);
    let mut cases = Vec::new();
    for _ in 0..4 {
        cases.push(vec![
            Moment::Lines(1 + random.below(whole.lines)),
            Moment::Writing(2),
        ]);
    }
    let killed = check(&desk, &changes, &whole, &cases);
    assert!(killed.iter().all(|killed| *killed), "{killed:?}");
}

/// Such a run is over; when it was killed before its result was written, it once took the steps
/// that it had been spared.
#[test]
fn a_run_out_of_patience_stays_so() {
    let desk = Desk::new();
    let changes = [("train.eval_every", "1"), ("train.patience", "2")];
    let whole = whole(&desk, &changes);
    let summary = json(&desk.run("whole").join("summary.json"));
    assert_eq!(summary["training"]["ended"], "early-stopped");
    assert!(whole.last < 21, "it took all steps");
    let cases = vec![vec![Moment::Exporting(whole.last)]; 3];
    let killed = check(&desk, &changes, &whole, &cases);
    assert!(killed.contains(&true), "never killed");
}
