//! How long release builds take, and what a change to one plugin builds again.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::Path;
use std::process::Stdio;
use std::time::{Instant, SystemTime};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde_json::json;

use super::Findings;
use super::figures::table;
use crate::cargo::{cargo, plugins, repository, show};
use crate::setup::{self, From};

/// The plugin that needs no libtorch.
const METRICS: &str = "tenon-classification-metrics";
/// A file of another plugin, which is touched as if it had been changed.
const CHANGED: (&str, &str) = ("tenon-lora", "plugins/peft/lora/src/lib.rs");

/// Builds in `folder`, emptied before: a metric plugin alone; the host and every plugin; the same
/// after a change to one plugin.
///
/// # Errors
/// A build fails, or the change built another package too.
pub fn measure(folder: &Path) -> Result<Findings> {
    setup::setup(&repository(), From::Auto)?;
    let (names, _) = plugins()?;
    let mut all = vec!["tenon"];
    all.extend(names.iter().map(String::as_str));
    let empty = || -> Result<()> {
        if folder.exists() {
            fs::remove_dir_all(folder).with_context(|| format!("removing {}", folder.display()))?;
        }
        Ok(())
    };
    empty()?;
    let metrics = build(folder, &[METRICS])?;
    empty()?;
    let whole = build(folder, &all)?;
    let (package, file) = CHANGED;
    let path = repository().join(file);
    let touched = File::options().append(true).open(&path);
    let touched = touched.and_then(|file| file.set_modified(SystemTime::now()));
    touched.with_context(|| format!("touching {}", path.display()))?;
    let change = build(folder, &all)?;
    ensure!(
        change.built.iter().eq([package]),
        "a change of {file} built {:?}, not {package} alone",
        change.built
    );
    empty()?;
    let row = |what: String, build: &Build| {
        vec![
            what,
            format!("{:.1}", build.seconds),
            build.built.len().to_string(),
        ]
    };
    let rows = [
        row(format!("`{METRICS}` alone, from nothing"), &metrics),
        row("host and all plugins, from nothing".to_owned(), &whole),
        row(format!("the same after a change in `{package}`"), &change),
    ];
    Ok(Findings {
        text: table(&["release build", "seconds", "packages built"], &rows),
        json: json!({
            "metrics_alone_s": metrics.seconds,
            "whole_s": whole.seconds,
            "change_s": change.seconds,
            "change_built": change.built,
        }),
    })
}

/// A build that was made.
struct Build {
    seconds: f64,
    /// Packages that were compiled.
    built: BTreeSet<String>,
}

fn build(folder: &Path, packages: &[&str]) -> Result<Build> {
    let mut command = cargo();
    command.args([
        "build",
        "--release",
        "--message-format",
        "json-render-diagnostics",
    ]);
    command.arg("--target-dir").arg(folder);
    for package in packages {
        command.args(["--package", package]);
    }
    let shown = show(&command);
    let began = Instant::now();
    let output = command.stderr(Stdio::inherit()).output();
    let seconds = began.elapsed().as_secs_f64();
    let output = output.with_context(|| format!("starting `{shown}`"))?;
    ensure!(
        output.status.success(),
        "`{shown}` failed ({})",
        output.status
    );
    Ok(Build {
        seconds,
        built: built(&String::from_utf8_lossy(&output.stdout)),
    })
}

/// A line of cargo's that tells of something compiled.
#[derive(Deserialize)]
struct Artifact {
    package_id: String,
    fresh: bool,
}

/// Names of the packages that cargo's messages say were compiled.
fn built(messages: &str) -> BTreeSet<String> {
    let artifacts = messages
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok());
    let compiled = artifacts.filter(|artifact: &Artifact| !artifact.fresh);
    compiled
        .map(|artifact| name(&artifact.package_id))
        .collect()
}

/// The name in a package id: `…#NAME@VERSION`, or `…/NAME#VERSION` where the folder says it.
fn name(id: &str) -> String {
    let (place, end) = id.rsplit_once('#').unwrap_or(("", id));
    match end.split_once('@') {
        Some((name, _)) => name,
        None => place.rsplit('/').next().unwrap_or(place),
    }
    .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_compiled_counts() {
        let messages = r#"
{"reason":"compiler-artifact","package_id":"registry+https://example.org/index#serde@1.0.1","fresh":true}
{"reason":"compiler-artifact","package_id":"path+file:///w/plugins/peft/lora#tenon-lora@0.1.0","fresh":false}
{"reason":"build-script-executed","package_id":"path+file:///w/plugin-api#0.1.0"}
{"reason":"compiler-artifact","package_id":"path+file:///w/xtask#0.1.0","fresh":false}
{"reason":"build-finished","success":true}
"#;
        let found: Vec<String> = built(messages).into_iter().collect();
        assert_eq!(found, ["tenon-lora", "xtask"]);
    }
}
