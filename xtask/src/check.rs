//! `cargo xtask check`: what CI holds against every change, quickest to fail first.

use anyhow::Result;

use crate::cache::Cache;
use crate::cargo::{cargo, repository, run, xtask_build};
use crate::setup::{self, From};
use crate::test::{self, ALL_BUT_XTASK};
use crate::{arrows, deny, docs, steps::Steps};

/// One of the checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Step {
    /// rustfmt would change nothing
    Format,
    /// The packages depend on each other only as the architecture says
    Arrows,
    /// clippy has no warning, tests included
    Clippy,
    /// The documents say what the code does, and the plugin guide's crate passes its tests
    Docs,
    /// Licences, sources and duplicate crates; advisories when their database is reachable
    Deny,
    /// Every test
    Tests,
}

/// Runs the checks but for those in `skip`; or only those in `only`, if it names any.
///
/// # Errors
/// The first check that fails; the summary lists all.
pub fn check(only: &[Step], skip: &[Step]) -> Result<()> {
    let mut steps = Steps::new();
    let mut step = |step: Step, name, action: fn() -> Result<Option<String>>| {
        if skip.contains(&step) {
            steps.skip(name, "left out by --skip");
        } else if !only.is_empty() && !only.contains(&step) {
            steps.skip(name, "left out by --only");
        } else {
            steps.run(name, action);
        }
    };
    step(Step::Format, "format", || {
        run(cargo().args(["fmt", "--all", "--check"]))?;
        Ok(None)
    });
    step(Step::Arrows, "arrows", || arrows().map(Some));
    step(Step::Clippy, "clippy", || {
        setup::setup(&repository(), From::Auto)?;
        let deny_warnings = ["--", "-D", "warnings"];
        let xtask = ["clippy", "--package", "xtask", "--all-targets", "--locked"];
        run(cargo().args(xtask).args(xtask_build()).args(deny_warnings))?;
        let all = ["clippy", "--all-targets", "--locked"];
        run(cargo().args(all).args(ALL_BUT_XTASK).args(deny_warnings))?;
        Ok(None)
    });
    step(Step::Docs, "docs", || docs::docs(true, None).map(Some));
    step(Step::Deny, "deny", || deny::deny(&Cache::open()?).map(Some));
    step(Step::Tests, "tests", || {
        test::test(&[])?;
        Ok(None)
    });
    steps.finish()
}

/// Holds the arrows; says what was covered.
///
/// # Errors
/// A broken arrow.
pub fn arrows() -> Result<String> {
    let report = arrows::check(&repository())?;
    Ok(format!(
        "{} packages, {} dependencies, no broken arrow",
        report.packages, report.edges
    ))
}
