//! Pins: which plugin files a run used, kept in its folder and verified when it goes on.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::manifest::kind_name;
use super::problem::PluginError;
use super::{Entry, Registry};
use crate::config::{Kind, RunSettings};

/// The plugin files that a run used.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pins {
    /// One a plugin, sorted by name.
    #[serde(rename = "plugin", default)]
    pub plugins: Vec<Pin>,
}

/// One plugin file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pin {
    /// Name of the plugin.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The plugin API that it was built against.
    pub api: String,
    /// The file, absent where the plugin is part of the program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
    /// SHA-256 of the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// What of it the run used, as `kind id`.
    pub components: Vec<String>,
}

/// Why pins cannot be taken or read.
#[derive(Debug, Error)]
pub enum PinsError {
    /// A plugin that a run uses is not usable.
    #[error(transparent)]
    Plugin(#[from] PluginError),
    /// The file cannot be read.
    #[error("{}: the plugins that the run used cannot be read: {reason}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The present plugins are others.
    #[error("{}", changed(changes))]
    Changed {
        /// One a plugin.
        changes: Vec<Change>,
    },
}

/// How a plugin differs from its pin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The pin.
    pub pin: Pin,
    /// What there is now; `None`: no such plugin, or it cannot be used.
    pub now: Option<Pin>,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Pin { name, version, .. } = &self.pin;
        let Some(now) = &self.now else {
            return write!(f, "{name} {version} is gone");
        };
        if now.version != *version {
            return write!(f, "{name} {version} is now {}", now.version);
        }
        let short = |pin: &Pin| match &pin.sha256 {
            Some(hash) => format!("sha256 {}…", hash.get(..12).unwrap_or(hash)),
            None => "part of the program".to_owned(),
        };
        let (before, after) = (short(&self.pin), short(now));
        write!(
            f,
            "{name} {version} is another file ({before}, now {after})"
        )
    }
}

fn changed(changes: &[Change]) -> String {
    let mut text = "plugins changed since the run began:".to_owned();
    for change in changes {
        text.push_str(&format!("\n  {change}"));
    }
    text.push_str(
        "\n  help: put the earlier files back, or go on with the present ones: --allow-changed-plugins",
    );
    text
}

impl Pins {
    /// The pins as text, for a file in the run folder.
    ///
    /// # Errors
    /// A path is not UTF-8.
    pub fn to_toml(&self) -> Result<String, toml::ser::Error> {
        let head = "# The plugin files that this run used; resuming it verifies them.\n\n";
        Ok(format!("{head}{}", toml::to_string(self)?))
    }

    /// Reads pins from a file.
    ///
    /// # Errors
    /// The file is not there, or holds no pins.
    pub fn load(path: &Path) -> Result<Self, PinsError> {
        let unreadable = |reason: String| PinsError::Unreadable {
            path: path.to_owned(),
            reason,
        };
        let text = std::fs::read_to_string(path);
        let text = text.map_err(|error| unreadable(super::file::plain(&error)))?;
        toml::from_str(&text).map_err(|error| unreadable(error.message().to_owned()))
    }

    /// Whether `now` are the same files.
    ///
    /// # Errors
    /// [`PinsError::Changed`] with everything that differs. A plugin that only one of them has is
    /// a change only where it is missing now.
    pub fn verify(&self, now: &Self) -> Result<(), PinsError> {
        let same =
            |before: &Pin, now: &Pin| before.version == now.version && before.sha256 == now.sha256;
        let mut changes = Vec::new();
        for pin in &self.plugins {
            let present = now.plugins.iter().find(|now| now.name == pin.name);
            if !present.is_some_and(|now| same(pin, now)) {
                changes.push(Change {
                    pin: pin.clone(),
                    now: present.cloned(),
                });
            }
        }
        match changes.is_empty() {
            true => Ok(()),
            false => Err(PinsError::Changed { changes }),
        }
    }
}

/// The components that a run's settings name: kind, plugin, id.
#[must_use]
pub fn used(settings: &RunSettings) -> Vec<(Kind, &str, &str)> {
    let mut used = vec![
        (Kind::Model, &settings.model.component),
        (Kind::Task, &settings.task),
    ];
    used.extend(settings.peft.iter().map(|peft| (Kind::Peft, peft)));
    let metrics = settings.metrics.iter();
    used.extend(metrics.map(|metric| (Kind::Metric, &metric.component)));
    let processors = settings.processors.iter();
    used.extend(processors.map(|processor| (Kind::Processor, processor)));
    used.into_iter()
        .map(|(kind, found)| (kind, found.plugin.as_str(), found.id.as_str()))
        .collect()
}

impl Registry {
    /// Pins of the plugins that bring these components, as [`used`] gives them.
    ///
    /// # Errors
    /// One of them is not there or cannot be used.
    pub fn pins<'a>(
        &self,
        used: impl IntoIterator<Item = (Kind, &'a str, &'a str)>,
    ) -> Result<Pins, PinsError> {
        let mut plugins: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for (kind, plugin, id) in used {
            let components = plugins.entry(plugin).or_default();
            let component = format!("{} {id}", kind_name(kind));
            if !components.contains(&component) {
                components.push(component);
            }
        }
        let pin = |(plugin, components)| Ok(self.usable(plugin)?.pin(components)?);
        let plugins = plugins.into_iter().map(pin);
        Ok(Pins {
            plugins: plugins.collect::<Result<_, PinsError>>()?,
        })
    }
}

impl Entry {
    fn pin(&self, components: Vec<String>) -> Result<Pin, PluginError> {
        let file = !self.is_linked();
        let manifest = self.manifest();
        Ok(Pin {
            name: self.name().to_owned(),
            version: manifest.map_or_else(String::new, |manifest| manifest.version.clone()),
            api: manifest.map_or_else(String::new, |manifest| manifest.api.to_string()),
            path: file.then(|| self.path().to_owned()),
            sha256: file.then(|| self.sha256()).transpose()?,
            components,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pin(name: &str, version: &str, sha256: Option<&str>) -> Pin {
        Pin {
            name: name.to_owned(),
            version: version.to_owned(),
            api: "0.1".to_owned(),
            path: sha256.map(|_| format!("/plugins/lib{name}.so").into()),
            sha256: sha256.map(str::to_owned),
            components: vec![format!("metric {name}")],
        }
    }

    #[test]
    fn pins_survive_their_file() {
        let pins = Pins {
            plugins: vec![pin("a", "1.0.0", Some("00ff")), pin("b", "2.0.0", None)],
        };
        let text = pins.to_toml().expect("UTF-8");
        assert_eq!(toml::from_str::<Pins>(&text).expect("pins"), pins);
        insta::assert_snapshot!(text);
    }

    #[test]
    fn every_changed_plugin_is_named() {
        let before = Pins {
            plugins: vec![
                pin("gone", "1.0.0", Some("01")),
                pin("linked", "1.0.0", None),
                pin("rebuilt", "1.0.0", Some("0123456789abcdef")),
                pin("same", "1.0.0", Some("02")),
                pin("updated", "1.0.0", Some("03")),
            ],
        };
        let now = Pins {
            plugins: vec![
                pin("linked", "1.0.0", Some("04")),
                pin("new", "1.0.0", Some("05")),
                pin("rebuilt", "1.0.0", Some("fedcba9876543210")),
                pin("same", "1.0.0", Some("02")),
                pin("updated", "1.1.0", Some("06")),
            ],
        };
        assert!(before.verify(&before).is_ok());
        let error = before.verify(&now).expect_err("four of them changed");
        insta::assert_snapshot!(error);
    }
}
