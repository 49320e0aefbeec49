//! Real programs that do harm, and what becomes of them.
//!
//! Where the system does not isolate programs, each test holds the sandbox to its refusal instead.

#![cfg(unix)]

use std::fs;
use std::io::ErrorKind;
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::process::Command;
use std::time::{Duration, Instant};

use tenon_code_generation::sandbox::{
    Exit, Isolation, Limits, Outcome, Program, Run, Sandbox, SandboxError, Settings,
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
fn secrets_are_not_there() {
    let Some(sandbox) = isolated() else { return };
    let secret = tempfile::NamedTempFile::new().expect("a file");
    let here = std::env::current_dir().expect("a folder");
    let paths = [
        secret.path().to_owned(),
        here.join("Cargo.toml"),
        "/etc/passwd".into(),
        "/etc/shadow".into(),
        "/root/.bashrc".into(),
        "/proc/1/environ".into(),
        "/proc/1/mem".into(),
        "/proc/1/root/etc/passwd".into(),
        "/sys/kernel".into(),
        "/dev/mem".into(),
    ];
    for path in paths {
        let source = format!(
            "import os\npath = {path:?}\nos.listdir(path) if os.path.isdir(path) else open(path, 'rb').read(1)"
        );
        let run = run(&sandbox, &source);
        assert!(
            run.stderr.contains("Error: [Errno"),
            "{}: {run:?}",
            path.display()
        );
    }
    let environment = "import os; print(sorted(os.environ), os.listdir(os.path.expanduser('~')))";
    let run = run(&sandbox, environment);
    insta::assert_snapshot!("the_environment_of_a_program", run.stdout.trim());
}

#[test]
fn files_of_the_host_cannot_be_changed() {
    let Some(sandbox) = isolated() else { return };
    for path in [
        "/usr/here",
        "/here",
        "/program/main",
        "/dev/here",
        "/proc/here",
    ] {
        let run = run(&sandbox, &format!("open({path:?}, 'w')"));
        assert!(run.stderr.contains("Error: [Errno"), "{path}: {run:?}");
    }
    let remove = "import os, sys; sys.exit(os.system('rm -rf /usr/bin /program') != 0)";
    let run = run(&sandbox, remove);
    assert!(run.stderr.contains("Read-only file system"), "{run:?}");
    assert!(fs::exists("/usr/bin").expect("an answer"));
}

#[test]
fn files_that_are_left_behind_are_gone() {
    let Some(sandbox) = isolated() else { return };
    let name = format!("tenon-left-{}", std::process::id());
    let write =
        format!("import os; open('/tmp/{name}', 'w').write('x'); print(os.listdir('/tmp'))");
    assert!(run(&sandbox, &write).stdout.contains(&name));
    assert!(!fs::exists(format!("/tmp/{name}")).expect("an answer"));
    assert_eq!(
        run(&sandbox, "import os; print(os.listdir('/tmp'))").stdout,
        "[]\n"
    );
}

#[test]
fn there_is_no_network() {
    let Some(sandbox) = isolated() else { return };
    let server = TcpListener::bind("127.0.0.1:0").expect("a port");
    server.set_nonblocking(true).expect("a socket");
    let port = server.local_addr().expect("an address").port();
    let connect = format!("import socket; socket.create_connection(('127.0.0.1', {port}), 1)");
    assert!(!run(&sandbox, &connect).outcome.passed());
    let nobody = server.accept().expect_err("nobody came");
    assert_eq!(nobody.kind(), ErrorKind::WouldBlock);

    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("socket");
    let _local = UnixListener::bind(&path).expect("a socket");
    let connect = format!("import socket; socket.socket(socket.AF_UNIX).connect({path:?})");
    assert!(!run(&sandbox, &connect).outcome.passed());

    for family in ["AF_NETLINK", "AF_PACKET", "AF_VSOCK", "AF_ALG"] {
        let kind = "socket.SOCK_SEQPACKET if name == 'AF_ALG' else socket.SOCK_DGRAM";
        let open = format!(
            "import socket; name = '{family}'; socket.socket(getattr(socket, name), {kind})"
        );
        let run = run(&sandbox, &open);
        assert!(
            run.stderr.contains("Operation not permitted"),
            "{family}: {run:?}"
        );
    }
    // A program may still talk to itself.
    check("import asyncio; asyncio.run(asyncio.sleep(0.01))", "passed");
}

#[test]
fn others_can_be_neither_killed_nor_traced() {
    let Some(sandbox) = isolated() else { return };
    let mut victim = Command::new("sleep").arg("60").spawn().expect("a process");
    let kill = format!(
        "
import os, signal
for process in [{}, {}, *range(2, 400)]:
    if process != os.getpid():
        try:
            os.kill(process, signal.SIGKILL)
        except ProcessLookupError:
            pass
print('done')
os.kill(-1, signal.SIGKILL)
",
        victim.id(),
        std::process::id()
    );
    assert_eq!(run(&sandbox, &kill).stdout, "done\n");
    let first = run(&sandbox, "import os; os.kill(1, 9); print('still here')");
    assert!(
        !first.outcome.passed() || first.stdout == "still here\n",
        "{first:?}"
    );
    assert!(
        victim.try_wait().expect("a state").is_none(),
        "it was killed"
    );
    victim.kill().expect("a signal");
    victim.wait().expect("an end");

    // ptrace, process_vm_readv, unshare, setns, memfd_create, clone3 with new namespaces
    let calls = if cfg!(target_arch = "x86_64") {
        [101, 310, 272, 308, 319]
    } else {
        [117, 270, 97, 268, 279]
    };
    for call in calls {
        let source = format!(
            "
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
assert libc.syscall({call}, 0x10000000, 1, 0, 0, 0, 0) == -1
assert ctypes.get_errno() == 1, ctypes.get_errno()
"
        );
        let run = run(&sandbox, &source);
        assert!(run.outcome.passed(), "call {call}: {run:?}");
    }
}

#[test]
fn programs_have_no_privilege() {
    let source = "
import os
status = dict(line.split(':', 1) for line in open('/proc/self/status'))
for name in ['CapInh', 'CapPrm', 'CapEff', 'CapAmb']:
    assert int(status[name], 16) == 0, (name, status[name])
assert status['NoNewPrivs'].strip() == '1' and status['Seccomp'].strip() == '2'
assert os.getuid() != 0 and os.geteuid() != 0
";
    let Some(sandbox) = isolated() else { return };
    let run = run(&sandbox, source);
    // Without a /proc there is nothing to read.
    let no_proc = run.stderr.contains("FileNotFoundError");
    assert!(run.outcome.passed() || no_proc, "{run:?}");
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
fn a_folder_can_be_shown_read_only() {
    if isolated().is_none() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("data"), "seen").expect("a file");
    readable_by_all(folder.path());
    let sandbox = Sandbox::new(Settings {
        limits: limits(),
        readable: vec![folder.path().to_owned()],
        ..Settings::default()
    })
    .expect("a sandbox");
    let path = folder.path().join("data");
    assert_eq!(
        run(&sandbox, &format!("print(open({path:?}).read())")).stdout,
        "seen\n"
    );
    let write = run(&sandbox, &format!("open({path:?}, 'w')"));
    assert!(write.stderr.contains("Error: [Errno"), "{write:?}");
}

fn readable_by_all(folder: &std::path::Path) {
    use std::os::unix::fs::PermissionsExt;
    let all = fs::Permissions::from_mode(0o755);
    fs::set_permissions(folder, all).expect("permissions");
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

#[test]
fn where_namespaces_are_forbidden_it_refuses() {
    if !others_isolate() {
        return; // every other test shows the refusal
    }
    let this = std::env::current_exe().expect("a path");
    let forbid = "echo 0 > /proc/sys/user/max_user_namespaces && exec \"$0\" \"$@\"";
    let test = ["--exact", "a_program_that_ends_well_passes", "--nocapture"];
    let tried = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", forbid])
        .arg(this)
        .args(test)
        .output()
        .expect("util-linux");
    let said = String::from_utf8_lossy(&tried.stderr);
    let refused = "programs cannot be isolated on this system: making namespaces";
    // The test itself then finds that other programs cannot isolate either.
    assert!(said.contains(refused), "{said}");
    assert!(tried.status.success(), "{said}");
}
