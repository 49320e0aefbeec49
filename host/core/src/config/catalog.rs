//! What the check needs of others: the components that are installed, and the columns of data.

use std::path::Path;

use serde_json::Value;

use crate::data::FormatOptions;

/// The installed components.
pub trait Catalog {
    /// Finds a component by its short name or by `plugin::component`.
    ///
    /// # Errors
    /// That there is none, or more than one.
    fn lookup(&self, kind: Kind, name: &str) -> Result<ComponentInfo, LookupError>;

    /// All components of a kind, sorted by id.
    fn components(&self, kind: Kind) -> Vec<ComponentInfo>;
}

/// Looks into data files without reading them whole.
pub trait Probe {
    /// The names of the columns of a file, or of the files of a folder.
    ///
    /// # Errors
    /// Why they cannot be read, as one line.
    fn columns(&self, path: &Path, format: &FormatOptions) -> Result<Vec<String>, String>;
}

impl<F: Fn(&Path, &FormatOptions) -> Result<Vec<String>, String>> Probe for F {
    fn columns(&self, path: &Path, format: &FormatOptions) -> Result<Vec<String>, String> {
        self(path, format)
    }
}

/// Kinds of components that a run file names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A model.
    Model,
    /// A task.
    Task,
    /// A method of parameter-efficient fine-tuning.
    Peft,
    /// A metric.
    Metric,
    /// A processor of the scores of the next token.
    Processor,
}

impl Kind {
    /// `model`, `task`, `PEFT method`, `metric` or `processor`.
    pub fn noun(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Task => "task",
            Self::Peft => "PEFT method",
            Self::Metric => "metric",
            Self::Processor => "processor",
        }
    }
}

/// A component, as its plugin's manifest describes it.
#[derive(Clone, Debug)]
pub struct ComponentInfo {
    /// Name of the plugin.
    pub plugin: String,
    /// Short name.
    pub id: String,
    /// One line on what it is.
    pub doc: String,
    /// JSON Schema of its options.
    pub schema: Value,
    /// The whole entry of the manifest.
    pub extra: Value,
}

impl ComponentInfo {
    /// `plugin::component`.
    pub fn full_name(&self) -> String {
        format!("{}::{}", self.plugin, self.id)
    }
}

/// Why a component was not found.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LookupError {
    /// No plugin brings one of this name.
    #[error("not found")]
    NotFound {
        /// The names of those that are installed.
        installed: Vec<String>,
        /// Why a plugin that might bring it is not available: broken, not allowed, …
        reason: Option<String>,
    },
    /// Several plugins bring one of this name.
    #[error("ambiguous")]
    Ambiguous {
        /// Their full names.
        candidates: Vec<String>,
    },
}
