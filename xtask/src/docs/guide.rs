//! The crate of the plugin guide: built and tested as a stranger's, outside of the workspace.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::cargo::{cargo, run};

/// Its manifest.
const MANIFEST: &str = "docs/guide/exact-match/Cargo.toml";
/// Where it is built; the guide's commands name it too.
const TARGET: &str = "target/guide";

/// Builds the library that the guide inspects, and runs the crate's tests. With `locked`, its
/// `Cargo.lock` must be up to date. Tells how long the build took: in a fresh clone, from nothing.
///
/// # Errors
/// A build or a test fails.
pub fn build(locked: bool) -> Result<Duration> {
    let start = Instant::now();
    let mut built = Duration::ZERO;
    for command in ["build", "test"] {
        let mut cargo = cargo();
        cargo.args([command, "--quiet", "--manifest-path", MANIFEST]);
        cargo.args(["--target-dir", TARGET]);
        if locked {
            cargo.arg("--locked");
        }
        run(&mut cargo).context(
            "the plugin guide's crate (where only its Cargo.lock is out of date, `cargo xtask docs` mends it)",
        )?;
        if command == "build" {
            built = start.elapsed();
        }
    }
    Ok(built)
}
