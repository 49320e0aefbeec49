//! Every run file in `configs/` passes `tenon check` of the built program with the plugins in the
//! box, under each of its profiles; and every base passes with what its head says to add.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A model folder that is always there, in place of one that the demo fetches.
const MODEL: &str = "model.pretrained=\"tests/fixtures/bert/gelu\"";
/// Data that is always there, in place of what the user brings.
const STAND_INS: [(&str, &str); 9] = [
    (
        "debian-synopsis-t5.toml",
        "data.train=\"tests/fixtures/sum/debian-synopsis.jsonl\"",
    ),
    (
        "multi30k-en-de.toml",
        "data.train=\"tests/fixtures/mt/udhr-en-de.tsv\"",
    ),
    (
        "multi30k-en-de.toml",
        "data.validation=\"tests/fixtures/mt/udhr-en-de.tsv\"",
    ),
    (
        "shakespeare-gpt.toml",
        "data.train=\"tests/fixtures/lm/hamlet.txt\"",
    ),
    (
        "shakespeare-gpt.toml",
        "data.validation=\"tests/fixtures/lm/hamlet.txt\"",
    ),
    (
        "sst2-prompt.toml",
        "data.train=\"tests/fixtures/cls/movie-train.jsonl\"",
    ),
    (
        "sst2-prompt.toml",
        "data.validation=\"tests/fixtures/cls/movie-train.jsonl\"",
    ),
    (
        "sst2-prompt.toml",
        "data.test=\"tests/fixtures/cls/movie-train.jsonl\"",
    ),
    (
        "squad-minilm.toml",
        "data.train=\"tests/fixtures/qa/joints.json\"",
    ),
];
/// Data with a text and a label.
const DATA: [&str; 2] = [
    "data.train=\"tests/fixtures/cls/movie-train.jsonl\"",
    "task.label=\"sentiment\"",
];

fn repository() -> &'static Path {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().expect("the workspace")
}

fn program() -> PathBuf {
    let test = std::env::current_exe().expect("this program");
    let deps = test.parent().expect("its folder");
    let folder = deps.parent().expect("the folder above");
    let program = folder.join(format!("tenon{}", std::env::consts::EXE_SUFFIX));
    assert!(
        program.is_file(),
        "{} is not built; `cargo xtask test` builds it",
        program.display()
    );
    program
}

/// Checks a run file; panics with what the program says of it.
fn check(file: &Path, options: &[&str]) {
    let mut command = Command::new(program());
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("TENON_") {
            command.env_remove(name);
        }
    }
    let output = command
        .current_dir(repository())
        .args(["check", "--quiet"])
        .arg(file)
        .args(options)
        .output()
        .expect("the program runs");
    assert!(
        output.status.success(),
        "{} {options:?}:\n{}",
        file.display(),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// The run files of a folder of `configs/`, with their text.
fn run_files(folder: &str) -> Vec<(PathBuf, String)> {
    let entries = fs::read_dir(repository().join(folder)).expect("a folder");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let files = paths.filter(|path| path.extension().is_some_and(|end| end == "toml"));
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).expect("a run file");
        (path, text)
    };
    files.map(read).collect()
}

/// Names of the profiles in a run file.
fn profiles(text: &str) -> BTreeSet<&str> {
    let tables = text
        .lines()
        .filter_map(|line| line.strip_prefix("[profile."));
    tables
        .filter_map(|rest| rest.split(['.', ']']).next())
        .collect()
}

#[test]
fn run_files_pass_the_check() {
    let mut checks = 0;
    for (path, text) in run_files("configs") {
        let name = path.file_name().expect("a name").to_string_lossy();
        let head: Vec<&str> = text
            .lines()
            .take_while(|line| line.starts_with('#'))
            .collect();
        let head = head.join("\n");
        let runs = |command: &&str| head.contains(&format!("tenon {command} configs/{name}"));
        assert!(
            ["train", "evaluate"].iter().any(runs),
            "{name} does not begin with the command that runs it"
        );
        let stand_ins = STAND_INS.iter().filter(|(file, _)| *file == name);
        let data = stand_ins.flat_map(|(_, data)| ["--set", *data]);
        let options: Vec<&str> = ["--set", MODEL].into_iter().chain(data).collect();
        check(&path, &options);
        checks += 1;
        for profile in profiles(&text) {
            check(&path, &[&options[..], &["--profile", profile]].concat());
            checks += 1;
        }
    }
    assert!(checks >= 2, "only {checks} checks were made");
}

#[test]
fn bases_pass_with_what_their_head_adds() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("configs");
    fs::create_dir_all(folder.join("base")).expect("a folder");
    let mut checks = 0;
    for (path, text) in run_files("configs/base") {
        let name = path.file_name().expect("a name");
        fs::copy(&path, folder.join("base").join(name)).expect("a copy");
        // The run file that its comment shows.
        let shown: Vec<&str> = text
            .lines()
            .filter_map(|line| line.strip_prefix("#   "))
            .collect();
        assert!(!shown.is_empty(), "{} shows no use of it", path.display());
        let file = folder.join(name);
        fs::write(&file, shown.join("\n")).expect("a run file");
        check(&file, &["--set", MODEL, "--set", DATA[0], "--set", DATA[1]]);
        checks += 1;
    }
    assert!(checks > 0, "no base was checked");
}
