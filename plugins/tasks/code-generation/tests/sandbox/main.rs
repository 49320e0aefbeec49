//! Real programs that do harm, and what becomes of them.
//!
//! Where the system does not isolate programs, each test holds the sandbox to its refusal instead.

#![cfg(unix)]

mod isolation;
mod limits;
mod outcomes;

use std::fs;
use std::process::Command;
use std::time::Duration;

use tenon_code_generation::sandbox::{
    Isolation, Limits, Program, Run, Sandbox, SandboxError, Settings,
};

fn limits() -> Limits {
    Limits {
        time: Duration::from_secs(3),
        memory: 256 << 20,
        files: 8 << 20,
        output: 256 << 10,
        processes: 16,
        ..Limits::default()
    }
}

fn sandbox(isolation: Isolation) -> Result<Sandbox, SandboxError> {
    Sandbox::new(Settings {
        limits: limits(),
        isolation,
        ..Settings::default()
    })
}

/// The sandbox, or nothing after it refused where it must.
fn isolated() -> Option<Sandbox> {
    match sandbox(Isolation::Full) {
        Ok(sandbox) => Some(sandbox),
        Err(error) => {
            assert!(
                matches!(error, SandboxError::NotIsolated { .. }),
                "{error:?}"
            );
            assert!(!others_isolate(), "other programs isolate here: {error:?}");
            eprintln!("{error}: only the refusal was tested");
            None
        }
    }
}

/// Whether util-linux makes the namespaces that the sandbox needs.
fn others_isolate() -> bool {
    let namespaces = [
        "--user",
        "--map-root-user",
        "--mount",
        "--net",
        "--pid",
        "--ipc",
        "--fork",
    ];
    let tried = Command::new("unshare")
        .args(namespaces)
        .arg("true")
        .output();
    tried.is_ok_and(|tried| tried.status.success())
}

fn run(sandbox: &Sandbox, source: &str) -> Run {
    let run = sandbox
        .run(&Program::new(source))
        .expect("the sandbox holds");
    assert!(run.time < limits().time + Duration::from_secs(2), "{run:?}");
    run
}

/// Runs `source` in the sandbox; its outcome must begin with `expected`.
fn check(source: &str, expected: &str) -> Option<Run> {
    let sandbox = isolated()?;
    let run = run(&sandbox, source);
    let found = run.outcome.to_string();
    assert!(
        found.starts_with(expected),
        "{source}\nexpected {expected}, found {run:#?}"
    );
    Some(run)
}

/// Runs `source` under a mark that no other process has; gives how many have it afterwards.
fn left_behind_by(source: &str, expected: &str) -> Option<usize> {
    isolated()?;
    let mark = format!("mark-{:?}", std::thread::current().id());
    let sandbox = Sandbox::new(Settings {
        command: ["python3", "-X", &mark].map(str::to_owned).to_vec(),
        limits: limits(),
        ..Settings::default()
    })
    .expect("a sandbox");
    let run = run(&sandbox, source);
    assert_eq!(run.outcome.to_string(), expected, "{run:?}");
    Some(alive(&mark))
}

/// Processes of the host's whose command line holds `word`.
fn alive(word: &str) -> usize {
    let processes = fs::read_dir("/proc").expect("a /proc").flatten();
    let command = |entry: fs::DirEntry| fs::read(entry.path().join("cmdline")).unwrap_or_default();
    processes
        .map(command)
        .filter(|line| line.windows(word.len()).any(|part| part == word.as_bytes()))
        .count()
}
