//! What is not resumed, and what is left alone.

use std::fs;

use super::desk::Desk;
use super::files::{assert_same, copy, files, result};
use super::running::{Moment, Running};

/// Trains `NAME` until it is interrupted after its checkpoint of step 6.
pub fn interrupt(desk: &Desk, name: &str, changes: &[(&str, &str)]) -> String {
    let file = desk.run_file(name, changes);
    let command = desk.command(&["train", &file]);
    let mut running = Running::start(command, &desk.run(name));
    assert!(running.reach(Moment::Checkpoint(6)));
    running.signal("INT");
    let outcome = running.end();
    assert_eq!(outcome.code, Some(130), "{}", outcome.stderr);
    file
}

#[test]
fn a_finished_run() {
    let desk = Desk::new();
    let file = desk.run_file("done", &[("train.epochs", "1")]);
    desk.succeed(&["train", &file]);
    let before = files(&desk.run("done"));
    for arguments in [
        &["train", &file][..],
        &["train", &file, "--resume"],
        &["train", "--resume", "runs/done"],
        &["train", "runs/done"],
    ] {
        insta::allow_duplicates! {
            insta::assert_snapshot!(desk.fail(1, arguments).replace("./", ""), @"error: runs/done: this run is finished; --overwrite starts it anew, another run.name keeps both");
        }
    }
    assert_same("refused", &files(&desk.run("done")), &before);
    insta::assert_snapshot!(desk.fail(1, &["train", &file, "--resume", "--set", "run.name=none"]), @"error: runs/none: there is no run to resume");
}

#[test]
fn other_settings() {
    let desk = Desk::new();
    let file = desk.run_file("whole", &[]);
    desk.succeed(&["train", &file]);
    let file = interrupt(&desk, "other", &[]);
    let before = files(&desk.run("other"));
    let other = [
        "--set",
        "train.learning_rate=0.1",
        "--set",
        "train.warmup_steps=2",
    ];
    for command in [&["train", &file][..], &["train", "--resume", "runs/other"]] {
        insta::allow_duplicates! {
            insta::assert_snapshot!(desk.fail(1, &[command, &other].concat()), @r"
            error: runs/other: this run began with other settings, and cannot be continued with these
              train.learning_rate = 0.005, now 0.1
              train.warmup_ratio = 0.0, now absent
              train.warmup_steps absent, now 2
              help: give the new run another run.name, or delete the old one with --overwrite
            ");
        }
    }
    // Nothing was written meanwhile, so that the run goes on as it was.
    assert_same("refused", &files(&desk.run("other")), &before);
    // Where it lies and how much is kept may change.
    fs::rename(desk.run("other"), desk.path("moved")).expect("moved");
    desk.succeed(&[
        "train",
        "--resume",
        "moved",
        "--set",
        "train.keep_checkpoints=2",
    ]);
    assert_same(
        "moved",
        &result(&desk.path("moved")),
        &result(&desk.run("whole")),
    );
}

#[test]
fn other_data() {
    let desk = Desk::new();
    interrupt(&desk, "data", &[]);
    let before = files(&desk.run("data"));
    let text = fs::read_to_string(desk.path("train.jsonl")).expect("the data");
    desk.write("train.jsonl", &text.replacen("the ", "the film ", 3));
    let error = desk.fail(1, &["train", "--resume", "runs/data"]);
    assert!(error.contains("made with other data"), "{error}");
    let mut after = files(&desk.run("data"));
    after.retain(|name, _| before.contains_key(name));
    assert_same("refused", &after, &before);
}

#[test]
fn a_folder_in_which_another_process_trains() {
    let desk = Desk::new();
    let file = desk.run_file("busy", &[]);
    let mut running = Running::start(desk.command(&["train", &file]), &desk.run("busy"));
    assert!(running.reach(Moment::Checkpoint(4)));
    running.signal("STOP");
    let busy = "runs/busy: another process is training in this folder";
    for how in ["--resume", "--overwrite"] {
        let error = desk.fail(1, &["train", &file, how]);
        assert!(error.contains(busy), "{how}: {error}");
    }
    running.signal("CONT");
    let outcome = running.end();
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
}

/// `tenon evaluate` once cleared up after a crash, and took the checkpoint away that a live run
/// was writing.
#[test]
fn evaluation_leaves_a_run_in_training_alone() {
    let desk = Desk::new();
    let file = desk.run_file("alive", &[]);
    let mut running = Running::start(desk.command(&["train", &file]), &desk.run("alive"));
    assert!(running.reach(Moment::Checkpoint(2)));
    loop {
        running.signal("STOP");
        if running.is_saving() {
            break;
        }
        running.signal("CONT");
        std::thread::sleep(std::time::Duration::from_micros(200));
    }
    desk.succeed(&["evaluate", "runs/alive"]);
    assert!(running.is_saving());
    running.signal("CONT");
    let outcome = running.end();
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
}

#[test]
fn an_earlier_run_stays_until_the_new_one_can_start() {
    let desk = Desk::new();
    let file = desk.run_file("kept", &[("train.epochs", "1")]);
    desk.succeed(&["train", &file]);
    let before = files(&desk.run("kept"));
    desk.write(
        "broken.jsonl",
        "{\"sentence\": \"fine\", \"sentiment\": \"positive\"}\n{\"sent\n",
    );
    let broken = ["--overwrite", "--set", "data.test=broken.jsonl"];
    let error = desk.fail(1, &[&["train", &*file], &broken[..]].concat());
    assert!(error.contains("broken.jsonl:2"), "{error}");
    assert_same("kept", &files(&desk.run("kept")), &before);

    desk.succeed(&["train", &file, "--overwrite"]);
    assert_eq!(fs::read_dir(desk.path("runs")).expect("runs").count(), 1);
}

#[test]
fn what_is_no_run_is_not_overwritten() {
    let desk = Desk::new();
    let file = desk.run_file("thesis", &[("train.epochs", "1")]);
    let chapter = desk.run("thesis").join("chapter.txt");
    fs::create_dir_all(desk.run("thesis")).expect("a folder");
    fs::write(&chapter, "years of work").expect("a file");
    insta::assert_snapshot!(desk.fail(1, &["train", &file, "--overwrite"]), @"error: runs/thesis: --overwrite deletes only folders of runs, which this is not");
    assert!(chapter.is_file());

    // A run that was killed while it wrote its first files left these.
    fs::remove_file(&chapter).expect("removed");
    fs::write(desk.run("thesis").join("plugins.lock"), "").expect("a file");
    fs::write(desk.run("thesis").join(".writing-x"), "").expect("a file");
    desk.succeed(&["train", &file, "--overwrite"]);
    result(&desk.run("thesis"));
}

/// A copy of a run is a run.
#[test]
fn a_copied_run_goes_on_where_it_lies() {
    let desk = Desk::new();
    let file = desk.run_file("whole", &[]);
    desk.succeed(&["train", &file]);
    interrupt(&desk, "first", &[]);
    copy(&desk.run("first"), &desk.path("copies/second"));
    desk.succeed(&["train", "--resume", "copies/second"]);
    let whole = result(&desk.run("whole"));
    assert_same("second", &result(&desk.path("copies/second")), &whole);
}
