//! Programs that use without end what there is.

use tenon_code_generation::sandbox::Isolation;

use crate::{check, isolated, left_behind_by, run, sandbox};

#[test]
fn sleeping_and_spinning_run_out_of_time() {
    check("import time; time.sleep(1000)", "timed out");
    check("while True: pass", "timed out");
}

#[test]
fn ignoring_every_signal_does_not_help() {
    let source = "
import signal, time
for number in range(1, 65):
    try:
        signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError):
        pass
while True:
    time.sleep(1)
";
    check(source, "timed out");
}

#[test]
fn forking_without_end_is_limited_and_leaves_nothing() {
    let source = "
import os, time
while True:
    try:
        os.fork()
    except OSError:
        time.sleep(0.01)
";
    if let Some(left) = left_behind_by(source, "timed out") {
        assert_eq!(left, 0);
    }
    let threads = "
import threading, time
for _ in range(1000):
    threading.Thread(target=time.sleep, args=(100,), daemon=True).start()
";
    check(
        threads,
        "failed with status 1: RuntimeError: can't start new thread",
    );
}

#[test]
fn daemons_end_with_their_program() {
    let source = "
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        for fd in range(3):
            os.close(fd)
        time.sleep(1000)
    os._exit(0)
os.wait()
";
    if let Some(left) = left_behind_by(source, "passed") {
        assert_eq!(left, 0);
    }
}

#[test]
fn allocating_without_end_runs_out_of_memory() {
    check(
        "data = []\nwhile True: data.append(bytearray(1 << 20))",
        "out of memory",
    );
    check("data = bytearray(1 << 33)", "out of memory");
    // Each process stays below its limit; the sum does not.
    let many = "
import os, time
for _ in range(8):
    if os.fork() == 0:
        data = bytearray(os.urandom(1 << 20) * 100)
        time.sleep(100)
time.sleep(100)
";
    check(many, "out of memory");
    // Memory that no process's own limit counts.
    let shared = "
import mmap
for _ in range(64):
    data = mmap.mmap(-1, 16 << 20)
    for page in range(0, len(data), 4096):
        data[page] = 1
    globals().setdefault('all', []).append(data)
";
    check(shared, "out of memory");
}

#[test]
fn writing_gigabytes_fills_the_files_of_the_run_only() {
    let one = "
with open('/tmp/big', 'wb') as file:
    while True: file.write(bytes(1 << 20))
";
    check(one, "file limit");
    let many = "
for index in range(1 << 20):
    with open(f'/tmp/{index}', 'wb') as file: file.write(bytes(1 << 20))
";
    check(many, "file limit");
    let shared = "
from multiprocessing import shared_memory
while True: shared_memory.SharedMemory(create=True, size=1 << 20).buf[:] = bytes(1 << 20)
";
    if let Some(sandbox) = isolated() {
        assert!(!run(&sandbox, shared).outcome.passed());
    }
}

#[test]
fn printing_without_end_is_cut() {
    let run = check("while True: print('x' * 1000)", "output limit");
    if let Some(run) = run {
        assert!(run.stdout.len() <= 16 << 10);
    }
    check(
        "import sys\nwhile True: sys.stderr.write('x' * 1000)",
        "output limit",
    );
    check("print('x' * (1 << 20))", "output limit");
}

#[test]
fn closing_the_output_changes_nothing() {
    check("import os; os.close(1); os.close(2)", "passed");
    check(
        "import os, time; os.close(1); os.close(2); time.sleep(1000)",
        "timed out",
    );
    check(
        "import os; os.closerange(0, 1000); os._exit(4)",
        "failed with status 4",
    );
}

#[test]
fn without_isolation_the_limits_that_are_left_hold() {
    let sandbox = sandbox(Isolation::None).expect("it was allowed");
    let cases = [
        ("print(1)", "passed"),
        ("assert False", "failed with status 1: AssertionError"),
        ("import time; time.sleep(1000)", "timed out"),
        ("while True: print('x' * 1000)", "output limit"),
        #[cfg(target_os = "linux")]
        ("data = bytearray(1 << 30)", "out of memory"),
        #[cfg(target_os = "linux")]
        ("open('big', 'wb').write(bytes(9 << 20))", "file limit"),
        // What left its group may hold the output open.
        (
            "import os, time\nif os.fork() == 0:\n    os.setsid(); time.sleep(5)",
            "passed",
        ),
    ];
    for (source, expected) in cases {
        let run = run(&sandbox, source);
        let found = run.outcome.to_string();
        assert!(
            found.starts_with(expected),
            "{source}\nexpected {expected}, found {run:#?}"
        );
    }
}
