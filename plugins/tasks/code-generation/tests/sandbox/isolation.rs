//! What programs can reach of the host: nothing.

use std::fs;
use std::io::ErrorKind;
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::process::Command;

use tenon_code_generation::sandbox::{Sandbox, Settings};

use crate::{check, isolated, limits, others_isolate, run};

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
fn where_namespaces_are_forbidden_it_refuses() {
    if !others_isolate() {
        return; // every other test shows the refusal
    }
    let this = std::env::current_exe().expect("a path");
    let forbid = "echo 0 > /proc/sys/user/max_user_namespaces && exec \"$0\" \"$@\"";
    let test = [
        "--exact",
        "outcomes::a_program_that_ends_well_passes",
        "--nocapture",
    ];
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
