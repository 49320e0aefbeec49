//! The built binary, with a small BERT and a slice of the movie reviews, in a folder of its own.

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;
use tenon_tests::{binary, repository};

/// The settings of a run, as dotted keys. A test says what it has otherwise.
///
/// Each part of what a resumed run has to restore is in it: dropout, a window of batches that is
/// short at the end of an epoch, losses that lie between two log entries, an evaluation on another
/// rhythm than the checkpoints, the best state, a learning rate that changes.
const RUN: [(&str, &str); 23] = [
    ("run.seed", "3"),
    ("run.device", "\"cpu\""),
    ("run.threads", "1"),
    ("model.use", "\"bert\""),
    ("model.pretrained", "FIXTURES/bert/gelu"),
    ("tokenizer.path", "FIXTURES/runs/tokenizer.json"),
    ("task.use", "\"classification\""),
    ("task.text", "\"sentence\""),
    ("task.label", "\"sentiment\""),
    ("data.train", "\"train.jsonl\""),
    ("data.validation", "{ split = 0.2, stratify = true }"),
    ("data.test", "\"test.jsonl\""),
    (
        "metrics",
        "[{ use = \"accuracy\" }, { use = \"f1\", average = \"macro\" }]",
    ),
    (
        "peft",
        "{ use = \"lora\", r = 4, lora_dropout = 0.1, target_sites = [\"query\", \"value\"] }",
    ),
    ("train.epochs", "3"),
    ("train.batch_size", "4"),
    ("train.gradient_accumulation_steps", "2"),
    ("train.learning_rate", "5e-3"),
    ("train.weight_decay", "0.01"),
    ("train.log_every", "3"),
    ("train.eval_every", "3"),
    ("train.save_every", "2"),
    ("train.select_best", "\"accuracy\""),
];

/// A folder with data and run files; what the commands write goes there too.
pub struct Desk {
    folder: TempDir,
    home: PathBuf,
}

/// What a command did.
pub struct Outcome {
    /// Its exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl From<Output> for Outcome {
    fn from(output: Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self {
            code: output.status.code(),
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
        }
    }
}

impl Desk {
    /// A folder with 70 reviews to train on and 20 to test on.
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let desk = Self {
            home: folder.path().to_owned(),
            folder,
        };
        for (from, to, rows) in [
            ("movie-train.jsonl", "train.jsonl", 70),
            ("movie-test.jsonl", "test.jsonl", 20),
        ] {
            desk.take_rows(from, to, rows);
        }
        desk
    }

    /// The folder of this repository in its place: what is written goes to a folder of its own all
    /// the same.
    pub fn at_the_repository() -> Self {
        Self {
            folder: tempfile::tempdir().expect("a folder"),
            home: repository(),
        }
    }

    /// Writes the first rows of a file of `tests/fixtures/cls`.
    pub fn take_rows(&self, from: &str, to: &str, rows: usize) {
        let path = repository().join("tests/fixtures/cls").join(from);
        let text = fs::read_to_string(path).expect("a fixture");
        let rows: String = text.split_inclusive('\n').take(rows).collect();
        self.write(to, &rows);
    }

    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, text).expect("a file");
        path
    }

    /// A path in the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The folder of a run of that name.
    pub fn run(&self, name: &str) -> PathBuf {
        self.path("runs").join(name)
    }

    /// Writes `NAME.toml`, a run of the small BERT with these settings otherwise; an empty value
    /// leaves the setting out. Returns the name of the file.
    pub fn run_file(&self, name: &str, changes: &[(&str, &str)]) -> String {
        let fixtures = repository().join("tests/fixtures");
        let path = |value: &str| match value.strip_prefix("FIXTURES/") {
            Some(rest) => format!("{:?}", fixtures.join(rest)),
            None => value.to_owned(),
        };
        let changed = |key: &str| changes.iter().find(|(changed, _)| *changed == key);
        let kept = RUN.iter().filter(|(key, _)| changed(key).is_none());
        let lines = kept.chain(changes).filter(|(_, value)| !value.is_empty());
        let text: String = lines
            .map(|(key, value)| format!("{key} = {}\n", path(value)))
            .collect();
        let file = format!("{name}.toml");
        self.write(&file, &text);
        file
    }

    /// The command, to be started. It finds nothing of the user's: no variables, no caches.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary());
        self.surround(&mut command);
        command.args(arguments);
        command
    }

    /// The command, started by a shell after `setting` up what it will have to cope with.
    #[cfg(unix)]
    pub fn command_after(&self, setting: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new("sh");
        self.surround(&mut command);
        command.args(["-c", &format!("{setting}; exec \"$0\" \"$@\"")]);
        command.arg(binary()).args(arguments);
        command
    }

    fn surround(&self, command: &mut Command) {
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("TENON_") {
                command.env_remove(name);
            }
        }
        command
            .current_dir(&self.home)
            .env("HOME", self.folder.path())
            .env("TENON_CACHE", self.path("cache"))
            .env_remove("XDG_DATA_HOME")
            // Tests run beside each other, and waiting threads would take each other's time.
            .env("OMP_NUM_THREADS", "1")
            .env("GOMP_SPINCOUNT", "1000")
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
    }

    /// Runs `tenon`.
    pub fn tenon(&self, arguments: &[&str]) -> Outcome {
        let output = self.command(arguments).output();
        output.expect("the program runs").into()
    }

    /// Runs `tenon` with this on its standard input.
    pub fn feed(&self, input: &str, arguments: &[&str]) -> Outcome {
        let mut command = self.command(arguments);
        let mut child = command.stdin(Stdio::piped()).spawn().expect("it starts");
        let mut stdin = child.stdin.take().expect("a pipe");
        stdin.write_all(input.as_bytes()).expect("it reads");
        drop(stdin);
        child.wait_with_output().expect("output").into()
    }

    /// Runs `tenon`, which must succeed.
    pub fn succeed(&self, arguments: &[&str]) -> Outcome {
        let outcome = self.tenon(arguments);
        let Outcome { code, stderr, .. } = &outcome;
        assert_eq!(*code, Some(0), "tenon {}: {stderr}", arguments.join(" "));
        outcome
    }

    /// Runs `tenon`, which must fail with this code, and returns what it says, with `FOLDER` for
    /// the path of this folder.
    pub fn fail(&self, code: i32, arguments: &[&str]) -> String {
        let outcome = self.tenon(arguments);
        let (found, stderr) = (outcome.code, outcome.stderr);
        assert_eq!(found, Some(code), "tenon {}: {stderr}", arguments.join(" "));
        self.shown(&stderr)
    }

    /// A text with `FOLDER` for the path of this folder.
    pub fn shown(&self, text: &str) -> String {
        text.replace(&*self.folder.path().to_string_lossy(), "FOLDER")
    }
}
