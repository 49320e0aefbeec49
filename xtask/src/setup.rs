//! `cargo xtask setup`: finds or fetches libtorch and tells cargo where it is.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use crate::cache::Cache;
use crate::cargo_config::{self, FlagsTable};
use crate::libtorch::{Libtorch, VERSION, download, python};
use crate::platform::Os;
use crate::prerequisites;

/// Where to take libtorch from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum From {
    /// What is configured already, else LIBTORCH, else Python, else a download
    Auto,
    /// The folder that the variable LIBTORCH names
    Env,
    /// A Python environment that has torch
    Python,
    /// The package index, through pip, into the per-user cache
    Download,
}

/// Makes `repository` build against libtorch; returns which one. Quick when nothing is to do.
///
/// # Errors
/// A prerequisite is missing, LIBTORCH names an unusable folder, or the download fails.
pub fn setup(repository: &Path, from: From) -> Result<Libtorch> {
    let file = cargo_config::path(repository);
    let configured = cargo_config::configured(&file);
    let libtorch = find(from, configured.as_deref())?;
    let table = cargo_config::flags_table(repository);
    if cargo_config::write(&file, &libtorch, table)? {
        println!("recorded in {}", file.display());
        warn_about_hidden_flags(&libtorch, table);
    }
    Ok(libtorch)
}

fn find(from: From, configured: Option<&Path>) -> Result<Libtorch> {
    // cargo exports the configured folder to what it runs: that is no choice of the user's.
    let exported = std::env::var_os("LIBTORCH")
        .map(PathBuf::from)
        .filter(|path| !path.as_os_str().is_empty() && Some(path.as_path()) != configured);
    if let (From::Auto | From::Env, Some(root)) = (from, &exported) {
        return match Libtorch::inspect(root) {
            Ok(libtorch) => Ok(libtorch),
            Err(defect) => bail!(
                "LIBTORCH={} is no usable libtorch: {defect}\n  Unset LIBTORCH and run the \
                 command again: it then finds or fetches libtorch {VERSION} itself",
                root.display()
            ),
        };
    }
    if let (From::Auto, Some(root)) = (from, configured) {
        match Libtorch::inspect(root) {
            Ok(libtorch) => return Ok(libtorch),
            Err(defect) => println!("{} is no longer usable: {defect}", root.display()),
        }
    }
    if from == From::Env {
        bail!("LIBTORCH is not set, or names what is configured already");
    }
    prerequisites::cxx()?;
    if from != From::Download
        && let Some(libtorch) = in_python()
    {
        return Ok(libtorch);
    }
    if from == From::Python {
        bail!(
            "no Python environment has torch {VERSION}; activate one, or run \
             `cargo xtask setup` without --from to fetch it"
        );
    }
    let cache = Cache::open()?;
    match download::cached(&cache) {
        Some(libtorch) => Ok(libtorch),
        None => download::obtain(&cache),
    }
}

/// libtorch of a Python environment; says why another torch will not do.
fn in_python() -> Option<Libtorch> {
    let search = python::search();
    if search.found.is_none() {
        for (folder, defect) in &search.refused {
            println!("not using the torch in {}: {defect}", folder.display());
        }
    }
    search.found
}

/// Says what keeps the run path from the binaries, if anything does.
fn warn_about_hidden_flags(libtorch: &Libtorch, table: FlagsTable) {
    let lib = libtorch.lib();
    if Os::HERE.rpath_flags(&lib).is_empty() {
        println!(
            "note: add {} to PATH, so that programs find libtorch",
            lib.display()
        );
    } else if std::env::var_os("RUSTFLAGS").is_some() {
        println!(
            "note: RUSTFLAGS is set, and cargo then ignores the flags in .cargo/: move its \
             content to `build.rustflags` in your own cargo configuration"
        );
    } else if table == FlagsTable::Target {
        println!("note: the flags join the target.*.rustflags of your own cargo configuration");
    }
}
