//! Damaged checkpoints, a full disk, a loss that is no number: a clear error, and nothing is lost.

use std::fs;

use super::desk::Desk;
use super::files::{assert_same, copy, files, result, tensors};
use super::refused::interrupt;

/// The latest checkpoint of a run.
fn latest(desk: &Desk, name: &str) -> std::path::PathBuf {
    let folder = fs::read_dir(desk.run(name).join("checkpoints")).expect("checkpoints");
    let paths = folder.map(|entry| entry.expect("an entry").path());
    let steps = paths.filter(|path| path.to_string_lossy().contains("/step-"));
    steps.max().expect("a checkpoint")
}

#[test]
fn a_truncated_checkpoint_is_named() {
    let desk = Desk::new();
    let file = desk.run_file("whole", &[]);
    desk.succeed(&["train", &file]);
    let whole = result(&desk.run("whole"));
    interrupt(&desk, "sound", &[]);
    for (number, (broken, complaint)) in [
        ("trainable.safetensors", "not a whole safetensors file"),
        ("optimizer.safetensors", "not a whole safetensors file"),
        ("state.json", "EOF while parsing"),
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("damaged-{number}");
        copy(&desk.run("sound"), &desk.run(&name));
        let checkpoint = latest(&desk, &name);
        let path = checkpoint.join(broken);
        let bytes = fs::read(&path).expect("a checkpoint's file");
        fs::write(&path, &bytes[..bytes.len() / 2]).expect("a file");
        let before = files(&desk.run(&name));
        let run = desk.run(&name).display().to_string();
        let error = desk.fail(1, &["train", "--resume", &run]);
        let (path, checkpoint_shown) = (
            desk.shown(&path.to_string_lossy()),
            desk.shown(&checkpoint.to_string_lossy()),
        );
        for part in [
            &*format!("resuming from {checkpoint_shown}; if it is damaged, delete that folder"),
            &*format!("reading {path}"),
            complaint,
        ] {
            assert!(error.contains(part), "{broken}: no {part:?} in {error}");
        }
        assert_same(broken, &files(&desk.run(&name)), &before);

        // As it says: without the damaged one, it goes on from the one before.
        fs::remove_dir_all(checkpoint).expect("removed");
        desk.succeed(&["train", "--resume", &run]);
        assert_same(broken, &result(&desk.run(&name)), &whole);
    }
}

#[test]
fn a_full_disk_leaves_the_checkpoints_that_there_are() {
    let desk = Desk::new();
    // All parameters are trained, so that checkpoints are the largest files.
    let changes = [("peft", "")];
    let file = desk.run_file("whole", &changes);
    desk.succeed(&["train", &file]);
    let whole = result(&desk.run("whole"));

    interrupt(&desk, "full", &changes);
    let run = desk.run("full");
    let before = files(&run.join("checkpoints"));
    // No file may be larger than 32 or 64 KiB, as the shell counts: writing beyond it fails.
    let setting = "trap '' XFSZ; ulimit -f 64";
    let mut command = desk.command_after(setting, &["train", "--resume", "runs/full"]);
    let output = command.output().expect("the program runs");
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains("error: writing the "), "{error}");
    assert!(error.contains("File too large"), "{error}");
    assert_same("full", &files(&run.join("checkpoints")), &before);

    desk.succeed(&["train", "--resume", "runs/full"]);
    assert_same("full", &result(&run), &whole);
}

/// Also where the log would not have told for long: what is saved can be gone on from.
#[test]
fn a_run_that_diverges_keeps_its_last_sound_checkpoint() {
    let desk = Desk::new();
    let changes = [
        ("train.learning_rate", "1e30"),
        ("train.log_every", "1000"),
        ("train.eval_every", "\"never\""),
        ("train.save_every", "1"),
    ];
    let file = desk.run_file("diverges", &changes);
    let error = desk.fail(1, &["train", &file]);
    let told = error.contains("is NaN at step 2; the last checkpoint is untouched")
        || error.contains("is inf at step 2; the last checkpoint is untouched");
    assert!(told, "{error}");
    let checkpoint = latest(&desk, "diverges");
    assert!(
        checkpoint.ends_with("step-00000001"),
        "{}",
        checkpoint.display()
    );
    let weights = tensors(&checkpoint.join("trainable.safetensors"));
    assert!(weights.values().flatten().all(|value| value.is_finite()));
}
