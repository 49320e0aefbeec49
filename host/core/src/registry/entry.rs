//! One plugin that was found: where it lies, what it says of itself, what is wrong with it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use super::file::{self, Stamp};
use super::manifest::{ApiVersion, Manifest, plugin_name};
use super::open::{self, Opened};
use super::problem::{PluginError, Problem};
use super::search::PlaceOrigin;
use crate::config::AllowedPlugin;

/// The libtorch of this program; plugins that were built against another are refused.
pub const LIBTORCH: &str = "2.11.0";

/// A plugin that was found, usable or not.
pub struct Entry {
    name: String,
    pub(super) path: PathBuf,
    pub(super) origin: PlaceOrigin,
    pub(super) manifest: Option<Manifest>,
    pub(super) problem: Option<Problem>,
    stamp: Option<Stamp>,
    sha256: OnceLock<Result<String, String>>,
    pub(super) opened: OnceLock<Result<Opened, Problem>>,
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry")
            .field("name", &self.name())
            .field("path", &self.path)
            .field("problem", &self.problem)
            .finish_non_exhaustive()
    }
}

impl Entry {
    /// A file or folder that brings no plugin.
    pub(super) fn broken(path: &Path, origin: PlaceOrigin, problem: Problem) -> Self {
        Self {
            name: name_of_file(path),
            path: path.to_owned(),
            origin,
            manifest: None,
            problem: Some(problem),
            stamp: None,
            sha256: OnceLock::new(),
            opened: OnceLock::new(),
        }
    }

    /// A plugin whose manifest was read.
    pub(super) fn found(
        path: &Path,
        origin: PlaceOrigin,
        stamp: Option<Stamp>,
        manifest: Manifest,
    ) -> Self {
        Self {
            name: manifest.name().to_owned(),
            problem: mismatch(&manifest),
            manifest: Some(manifest),
            stamp,
            ..Self::broken(path, origin, Problem::NoManifest)
        }
    }

    /// Name of the plugin; of its file where the manifest cannot be read.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its file; the program's where it is part of the program.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Who named the place where it was found.
    #[must_use]
    pub fn origin(&self) -> PlaceOrigin {
        self.origin
    }

    /// Whether it is part of the program.
    #[must_use]
    pub fn is_linked(&self) -> bool {
        self.origin == PlaceOrigin::Linked
    }

    /// What it says of itself, as far as it can be read.
    #[must_use]
    pub fn manifest(&self) -> Option<&Manifest> {
        self.manifest.as_ref()
    }

    /// Why it cannot be used.
    #[must_use]
    pub fn problem(&self) -> Option<&Problem> {
        let opened = || self.opened.get()?.as_ref().err();
        self.problem.as_ref().or_else(opened)
    }

    /// The same as an error.
    #[must_use]
    pub fn error(&self) -> Option<PluginError> {
        self.problem().map(|problem| self.fail(problem.clone()))
    }

    /// Bytes of its file.
    #[must_use]
    pub fn size(&self) -> Option<u64> {
        self.stamp.map(|stamp| stamp.len)
    }

    /// SHA-256 of its file; computed when it is first asked for.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn sha256(&self) -> Result<String, PluginError> {
        let hash = || file::sha256(&self.path).map_err(|error| file::plain(&error));
        let hash = self.sha256.get_or_init(hash).clone();
        hash.map_err(|reason| self.fail(Problem::Unreadable { reason }))
    }

    /// Opens it, once; later calls give the same answer.
    ///
    /// # Errors
    /// It cannot be used.
    pub fn open(&self) -> Result<Opened, PluginError> {
        if let Some(problem) = &self.problem {
            return Err(self.fail(problem.clone()));
        }
        let opened = self.opened.get_or_init(|| self.open_now());
        opened.clone().map_err(|problem| self.fail(problem))
    }

    /// How long opening it took, if it was opened.
    #[must_use]
    pub fn opened(&self) -> Option<Opened> {
        self.opened.get()?.as_ref().ok().copied()
    }

    fn open_now(&self) -> Result<Opened, Problem> {
        let manifest = self.manifest.as_ref().ok_or(Problem::NoManifest)?;
        if Stamp::of(&self.path).ok() != self.stamp {
            return Err(Problem::Changed);
        }
        let opened = open::open(&self.path, manifest)?;
        match opened.plugin.manifest().trim_end() == manifest.text {
            true => Ok(opened),
            false => Err(Problem::Changed),
        }
    }

    /// Holds it against the list of the plugins that may be opened.
    pub(super) fn judge(&mut self, allowed: &[AllowedPlugin]) {
        if self.manifest.is_none() || self.problem.is_some() {
            return;
        }
        let name = self.name();
        let named: Vec<_> = allowed.iter().filter(|entry| entry.name == name).collect();
        if named.iter().any(|entry| entry.sha256.is_none()) {
            return;
        }
        let found = match self.sha256() {
            Ok(found) => found,
            Err(error) => return self.problem = Some(error.problem),
        };
        let hashes: Vec<&str> = named
            .iter()
            .filter_map(|entry| entry.sha256.as_deref())
            .collect();
        self.problem = match hashes.first() {
            None => Some(Problem::NotAllowed { sha256: found }),
            _ if hashes.contains(&found.as_str()) => None,
            Some(_) => Some(Problem::HashMismatch {
                expected: hashes.join(" or "),
                found,
            }),
        };
    }

    pub(super) fn fail(&self, problem: Problem) -> PluginError {
        PluginError::new(self.name(), &self.path, problem)
    }
}

/// Name of the plugin that cargo would have built into this file.
fn name_of_file(path: &Path) -> String {
    let stem = path
        .file_stem()
        .unwrap_or(path.as_os_str())
        .to_string_lossy();
    let package = stem
        .strip_prefix(std::env::consts::DLL_PREFIX)
        .unwrap_or(&stem)
        .replace('_', "-");
    plugin_name(&package).to_owned()
}

/// What in a manifest forbids opening the plugin in this program.
fn mismatch(manifest: &Manifest) -> Option<Problem> {
    let (api, ours) = (manifest.api, ApiVersion::ours());
    if api > ours {
        return Some(Problem::TooNew { api, ours });
    }
    let oldest = ours.oldest();
    if api < oldest {
        return Some(Problem::TooOld { api, oldest });
    }
    if !manifest.unwinds {
        return Some(Problem::PanicAbort);
    }
    // `2.11.0+cu130` is another package of the same libtorch.
    let torch = manifest.torch.as_deref()?;
    (torch.split('+').next() != Some(LIBTORCH)).then(|| Problem::ForeignLibtorch {
        built_for: torch.to_owned(),
        ours: LIBTORCH.to_owned(),
    })
}
