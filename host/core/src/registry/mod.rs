//! The registry: which plugins there are, what they bring, and opening those that are needed.
//!
//! A [`Registry`] is made by [`Registry::scan`], which reads manifests and opens nothing. It
//! answers what a run file may name (it is a [`Catalog`](crate::config::Catalog)) and opens the
//! plugins that a run names. What cannot be used stays in it with its [`Problem`], so that only a
//! run that needs it fails, and with a reason.

mod entry;
mod file;
mod lookup;
pub mod manifest;
mod open;
mod pins;
mod problem;
mod scan;
mod search;
mod segments;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use tenon_plugin_api::host::Plugin;

pub use entry::{Entry, LIBTORCH};
pub use lookup::explain;
pub use manifest::{ApiVersion, Component, Manifest};
pub use open::{
    ADAPTED_WAITING, Engine, EngineError, Opened, TIMEOUT_VARIABLE, end_on_broken_pipe, leave,
    open_part_of_libtorch,
};
pub use pins::{Change, Pin, Pins, PinsError, used};
pub use problem::{PluginError, Problem};
pub use search::{PATH_VARIABLE, Place, PlaceOrigin, Search, Surroundings};

/// The plugins that were found.
#[derive(Debug, Default)]
pub struct Registry {
    entries: Vec<Entry>,
    /// `[plugins] prefer` of the run file.
    prefer: BTreeMap<String, String>,
}

impl Registry {
    /// Every plugin that was found, usable or not, in the order of discovery.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Adds a plugin that is linked into this program: `registry.add_linked(Plugin::linked(…)?)`.
    /// It goes before files of the same name.
    ///
    /// # Errors
    /// Its manifest cannot be understood, which a test of the program would have found.
    pub fn add_linked(&mut self, plugin: Plugin) -> Result<(), PluginError> {
        let program = std::env::current_exe().unwrap_or_default();
        let manifest = Manifest::parse(plugin.manifest().trim_end()).map_err(|fault| {
            let problem = Problem::BadManifest { fault };
            PluginError::new("linked", &program, problem)
        })?;
        for entry in &mut self.entries {
            if entry.manifest.is_some() && entry.name() == manifest.name() {
                entry.problem = Some(Problem::DuplicateOf {
                    path: program.clone(),
                    chosen: true,
                });
            }
        }
        let entry = Entry::found(&program, PlaceOrigin::Linked, None, manifest);
        let opened = Opened {
            plugin,
            load_time: std::time::Duration::ZERO,
        };
        // A cell that was made in the line before is empty.
        let _ = entry.opened.set(Ok(opened));
        self.entries.insert(0, entry);
        Ok(())
    }

    /// Opens the plugin of this name, once; later calls give the same one.
    ///
    /// # Errors
    /// There is none, or it cannot be used.
    pub fn open(&self, plugin: &str) -> Result<Plugin, PluginError> {
        self.usable(plugin)?.open().map(|opened| opened.plugin)
    }

    /// The plugin of this name.
    ///
    /// # Errors
    /// There is none, or it cannot be used.
    pub fn usable(&self, plugin: &str) -> Result<&Entry, PluginError> {
        let named = || self.entries.iter().filter(|entry| entry.name() == plugin);
        if let Some(entry) = named().find(|entry| entry.problem().is_none()) {
            return Ok(entry);
        }
        let missing = || {
            let by = "the run".to_owned();
            PluginError::new(plugin, "".as_ref(), Problem::Missing { by })
        };
        Err(named().find_map(Entry::error).unwrap_or_else(missing))
    }
}
