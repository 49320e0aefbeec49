//! `cargo xtask test`: every test, with the plugins built and the model in place that they open.

use std::path::PathBuf;

use anyhow::Result;

use crate::cache::Cache;
use crate::cargo::{cargo, plugins, repository, run, xtask_build};
use crate::model;
use crate::setup::{self, From};

/// Sets up and fetches the model of the quick start if need be, builds the host and the plugins, and
/// runs the tests.
///
/// Without `args`, all of them; otherwise `args` go to `cargo test` (`-p PACKAGE`, a filter, …).
///
/// # Errors
/// Set-up, the build or a test fails.
pub fn test(args: &[String]) -> Result<()> {
    setup::setup(&repository(), From::Auto)?;
    if args.is_empty() {
        // Its own build, which is there already, and quick to fail.
        run(cargo()
            .args(["test", "--package", "xtask"])
            .args(xtask_build()))?;
        model::obtain(&repository(), &Cache::open()?)?;
        build()?;
        // One run tells all that fails.
        return run(cargo().args(["test", "--no-fail-fast"]).args(ALL_BUT_XTASK));
    }
    if args
        .iter()
        .any(|arg| arg == "xtask" || arg == "--package=xtask" || arg == "-pxtask")
    {
        return run(cargo().arg("test").args(xtask_build()).args(args));
    }
    model::obtain(&repository(), &Cache::open()?)?;
    run(cargo().arg("build").args(ALL_BUT_XTASK))?;
    let chosen = |arg: &String| {
        ["-p", "--package", "--workspace", "--all"]
            .iter()
            .any(|flag| arg.starts_with(flag))
    };
    let mut command = cargo();
    command.arg("test");
    if !args.iter().take_while(|arg| *arg != "--").any(chosen) {
        command.args(ALL_BUT_XTASK);
    }
    run(command.args(args))
}

/// Builds everything as the tests need it, and returns the folder with the host and the plugins.
///
/// # Errors
/// Set-up or the build fails.
pub fn build() -> Result<PathBuf> {
    setup::setup(&repository(), From::Auto)?;
    // With the tests' own dependencies, or features would differ and build twice.
    run(cargo().args(["build", "--all-targets"]).args(ALL_BUT_XTASK))?;
    let (_, target) = plugins()?;
    Ok(target.join("debug"))
}

/// xtask has flags of its own; compiled with everyone's, it would be built twice.
pub const ALL_BUT_XTASK: [&str; 3] = ["--workspace", "--exclude", "xtask"];
