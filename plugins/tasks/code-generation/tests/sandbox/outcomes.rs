//! How programs end, one at a time and many at once.

use std::time::{Duration, Instant};

use tenon_code_generation::sandbox::{Exit, Outcome, Program, Sandbox, Settings};

use crate::{check, isolated, limits, run};

#[test]
fn a_program_that_ends_well_passes() {
    if let Some(run) = check("print(sum(range(10)))", "passed") {
        assert_eq!(run.stdout, "45\n");
        assert!(run.cpu.is_some_and(|cpu| !cpu.is_zero()), "{run:?}");
        assert!(
            run.peak_memory.is_some_and(|peak| peak > 1 << 20),
            "{run:?}"
        );
    }
}

#[test]
fn failures_come_with_their_last_lines() {
    let Some(sandbox) = isolated() else { return };
    let cases = [
        ("assert 1 == 2, 'no'", Exit::Code(1), "AssertionError: no"),
        ("def f(:\n", Exit::Code(1), "SyntaxError"),
        ("raise SystemExit(3)", Exit::Code(3), ""),
        ("import os; os.abort()", Exit::Signal(6), ""),
        (
            "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
            Exit::Signal(9),
            "",
        ),
        ("import ctypes; ctypes.string_at(0)", Exit::Signal(11), ""),
    ];
    for (source, expected, words) in cases {
        match run(&sandbox, source).outcome {
            Outcome::Failed { exit, last_lines } => {
                assert_eq!(exit, expected, "{source}: {last_lines}");
                assert!(last_lines.contains(words), "{source}: {last_lines}");
            }
            other => panic!("{source}: {other:?}"),
        }
    }
}

#[test]
fn only_the_status_of_success_passes() {
    let Some(sandbox) = isolated() else { return };
    let program = |source: &str| Program {
        source: source.to_owned(),
        success: 77,
    };
    let outcome = |source: &str| {
        sandbox
            .run(&program(source))
            .expect("a run")
            .outcome
            .passed()
    };
    assert!(outcome("import os; os._exit(77)"));
    assert!(!outcome("import sys; sys.exit(0)"));
}

#[test]
fn many_run_at_once_in_the_order_given() {
    let Some(sandbox) = isolated() else { return };
    let programs: Vec<_> = (0..24)
        .map(|index| Program::new(format!("import time; time.sleep(0.2); print({index})")))
        .collect();
    let start = Instant::now();
    let runs = sandbox.run_all(&programs, 12, &|_| true).expect("runs");
    let printed: Vec<_> = runs
        .iter()
        .map(|run| run.stdout.trim().to_owned())
        .collect();
    let expected: Vec<_> = (0..24).map(|index| index.to_string()).collect();
    assert_eq!(printed, expected);
    assert!(
        start.elapsed() < Duration::from_secs(4),
        "{:?}",
        start.elapsed()
    );

    let few = sandbox.run_all(&programs, 2, &|_| false).expect("runs");
    assert!(few.len() <= 2, "{}", few.len());
}

#[test]
fn another_interpreter_runs_what_it_reads() {
    if isolated().is_none() {
        return;
    }
    let sandbox = Sandbox::new(Settings {
        command: vec!["sh".to_owned(), "-e".to_owned()],
        limits: limits(),
        ..Settings::default()
    })
    .expect("a sandbox");
    assert_eq!(run(&sandbox, "echo $((6 * 7))").stdout, "42\n");
    assert!(!run(&sandbox, "false; true").outcome.passed());
}

#[test]
fn a_command_that_is_not_there_is_told() {
    let new = |command: &[&str], readable: &[&str]| {
        let error = Sandbox::new(Settings {
            command: command.iter().map(|word| (*word).to_owned()).collect(),
            readable: readable.iter().map(Into::into).collect(),
            ..Settings::default()
        });
        let error = error.expect_err("it is not there");
        let source = std::error::Error::source(&error).map(ToString::to_string);
        format!(
            "{error}{}",
            source
                .map(|source| format!(": {source}"))
                .unwrap_or_default()
        )
    };
    let all = [
        new(&[], &[]),
        new(&["python9"], &[]),
        new(&["/no/python3"], &[]),
        new(&["sh"], &["/no/folder"]),
        new(&["sh"], &["relative"]),
        new(&["sh"], &["/"]),
    ];
    insta::assert_snapshot!("commands_and_folders_that_are_not_there", all.join("\n"));
}
