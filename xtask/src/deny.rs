//! cargo-deny: installed on demand, and what of it works without a network.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::cache::Cache;
use crate::cargo::{cargo, from_shell, run};
use crate::platform::Os;

/// The version that the configuration in `deny.toml` is written for.
const VERSION: &str = "0.20.2";
/// How long the advisory database may take to come.
const PATIENCE: Duration = Duration::from_secs(90);

/// Checks licences, sources and bans always, advisories when their database can be had. Returns
/// a remark on what was covered.
///
/// # Errors
/// cargo-deny cannot be installed, or objects.
pub fn deny(cache: &Cache) -> Result<String> {
    let program = installed(cache)?;
    let deny = |args: &[&str]| {
        let mut command = from_shell(&program);
        command.args(args);
        command
    };
    run(&mut deny(&["check", "bans", "licenses", "sources"]))?;
    if fetch_advisories(&mut deny(&["fetch", "db"])) {
        run(&mut deny(&["check", "--disable-fetch", "advisories"]))?;
        return Ok("licences, sources, bans, advisories".into());
    }
    let remark = "advisories NOT checked: their database cannot be reached";
    eprintln!("warning: {remark}");
    Ok(remark.into())
}

/// Whether `fetch` brings the advisory database here, within [`PATIENCE`].
fn fetch_advisories(fetch: &mut Command) -> bool {
    fetch.env("GIT_TERMINAL_PROMPT", "0");
    fetch
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let Ok(mut child) = fetch.spawn() else {
        return false;
    };
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        match child.try_wait() {
            Ok(Some(status)) => return status.success(),
            Ok(None) => thread::sleep(Duration::from_millis(50)),
            Err(_) => break,
        }
    }
    // A firewall that swallows packets: git would wait for minutes.
    let _ = child.kill();
    let _ = child.wait();
    false
}

/// cargo-deny of the right version: from `PATH`, the cache, or built into the cache.
fn installed(cache: &Cache) -> Result<PathBuf> {
    let on_path = PathBuf::from("cargo-deny");
    if is_right(&on_path) {
        return Ok(on_path);
    }
    let root = cache.tools().join(format!("cargo-deny-{VERSION}"));
    let program = root.join("bin").join(Os::HERE.program("cargo-deny"));
    if is_right(&program) {
        return Ok(program);
    }
    eprintln!(
        "installing cargo-deny {VERSION} into {} (some minutes, once)",
        root.display()
    );
    // Unoptimised: it runs for seconds, and builds in half the time.
    let mut install = cargo();
    install
        .args(["install", "--quiet", "--locked", "--debug", "--root"])
        .arg(&root);
    install.arg(format!("cargo-deny@{VERSION}"));
    run(&mut install).context("cargo-deny checks licences and advisories; it must be installed")?;
    Ok(program)
}

fn is_right(program: &Path) -> bool {
    let output = Command::new(program).arg("--version").output();
    output.is_ok_and(|output| {
        String::from_utf8_lossy(&output.stdout)
            .split_whitespace()
            .last()
            == Some(VERSION)
    })
}
