//! Ctrl-C and the termination signal: the run saves and says how to go on; a second one ends it.

use super::desk::Desk;
use super::files::{assert_same, result};
use super::running::{Moment, Running};

/// More rows than can be encoded, or trained on in one step, while a test waits.
fn many_rows(desk: &Desk, times: usize) -> &'static str {
    desk.take_rows("movie-train.jsonl", "rows.jsonl", 1100);
    let rows = std::fs::read_to_string(desk.path("rows.jsonl")).expect("rows");
    desk.write("many.jsonl", &rows.repeat(times));
    "\"many.jsonl\""
}

#[test]
fn it_saves_and_says_how_to_go_on() {
    let desk = Desk::new();
    let file = desk.run_file("whole", &[]);
    desk.succeed(&["train", &file]);
    let whole = result(&desk.run("whole"));
    for signal in ["INT", "TERM"] {
        let file = desk.run_file(signal, &[]);
        let run = desk.run(signal);
        // Set on the command line: what it says must not ask for it again.
        let elsewhere = format!("run.output_dir={:?}", desk.path("runs"));
        let command = desk.command(&["train", &file, "--set", &elsewhere]);
        let mut running = Running::start(command, &run);
        assert!(running.reach(Moment::Lines(5)));
        // `timeout` signals twice: the program, then its group.
        running.signal(signal);
        running.signal(signal);
        let outcome = running.end();
        let stderr = desk.shown(&outcome.stderr);
        assert_eq!(outcome.code, Some(130), "{stderr}");
        let last = stderr.lines().last().unwrap_or_default();
        let (stopped, command) = last.split_once("; to go on: tenon ").expect(last);
        assert!(stopped.starts_with("stopped after step "), "{last}");
        assert!(stopped.ends_with(" of 21"), "{last}");
        assert_eq!(command, format!("train --resume FOLDER/runs/{signal}"));
        let step = stopped.split(' ').nth(3).unwrap_or_default();
        let saved = run.join(format!("checkpoints/step-{step:0>8}/state.json"));
        assert!(saved.is_file(), "{last}: {} is not there", saved.display());

        let run_name = run.display().to_string();
        desk.succeed(&["train", "--resume", &run_name]);
        assert_same(signal, &result(&run), &whole);
    }
}

#[test]
fn a_second_one_ends_it_at_once() {
    let desk = Desk::new();
    let changes = [
        ("data.train", many_rows(&desk, 60)),
        ("data.validation", ""),
        ("train.eval_every", ""),
        ("train.select_best", ""),
        // One step, which takes long.
        ("train.gradient_accumulation_steps", "100000"),
    ];
    let file = desk.run_file("twice", &changes);
    let run = desk.run("twice");
    let mut running = Running::start(desk.command(&["train", &file]), &run);
    // Its log is made, so the step has begun or is about to.
    running.until(|| run.join("metrics.jsonl").is_file());
    running.signal("INT");
    // Sooner it would be the same wish.
    std::thread::sleep(std::time::Duration::from_millis(400));
    running.signal("INT");
    let outcome = running.end();
    assert_eq!(outcome.code, Some(130), "{}", outcome.stderr);
    assert!(!outcome.stderr.contains("stopped"), "{}", outcome.stderr);
    assert!(!run.join("checkpoints/step-00000001").exists());
}

#[test]
fn before_the_training_there_is_nothing_to_go_on_with() {
    let desk = Desk::new();
    let file = desk.run_file("early", &[("data.train", many_rows(&desk, 60))]);
    let run = desk.run("early");
    let mut running = Running::start(desk.command(&["train", &file]), &run);
    // The cache of the encoded rows is being written.
    running.until(|| std::fs::read_dir(desk.path("cache/data")).is_ok());
    running.signal("INT");
    let outcome = running.end();
    assert_eq!(outcome.code, Some(130), "{}", outcome.stderr);
    assert_eq!(outcome.stderr, "stopped before the training began\n");
    assert!(!run.exists());
}

/// As `tenon train … 2>&1 | head -1`, which once ended the run with its first line.
#[test]
fn it_goes_on_when_whoever_read_it_is_gone() {
    let desk = Desk::new();
    let file = desk.run_file("unread", &[]);
    let mut running = Running::start(desk.command(&["train", &file]), &desk.run("unread"));
    running.hang_up();
    assert_eq!(running.end().code, Some(0));
    assert!(desk.run("unread").join("summary.json").is_file());
}

/// Products that libtorch generates do not outlive a signal, so none may come to a thread that computes them.
#[cfg(target_os = "linux")]
#[test]
fn a_thread_of_its_own_takes_it() {
    let desk = Desk::new();
    let file = desk.run_file("threads", &[]);
    let mut running = Running::start(desk.command(&["train", &file]), &desk.run("threads"));
    assert!(running.reach(Moment::Lines(5)));
    let threads = format!("/proc/{}/task", running.id());
    let mut taking = Vec::new();
    let mut count = 0;
    for thread in std::fs::read_dir(threads).expect("its threads") {
        let thread = thread.expect("a thread").path();
        let read = |file: &str| std::fs::read_to_string(thread.join(file)).unwrap_or_default();
        let status = read("status");
        let mask = status.lines().find_map(|line| line.strip_prefix("SigBlk:"));
        let Some(mask) = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()) else {
            continue; // It has ended.
        };
        count += 1;
        for (name, number) in [("INT", 2), ("TERM", 15)] {
            if mask & (1 << (number - 1)) == 0 {
                taking.push(format!("{}: {name}", read("comm").trim()));
            }
        }
    }
    assert!(count > 2, "{count} threads");
    assert_eq!(taking, ["signals: INT", "signals: TERM"]);
    running.signal("INT");
    assert_eq!(running.end().code, Some(130));
}

#[test]
fn the_help_tells_the_exit_code() {
    let help = Desk::new().succeed(&["--help"]).stdout;
    let told = "130  stopped by Ctrl-C; a training run can be resumed";
    assert!(help.contains(told), "{help}");
}
