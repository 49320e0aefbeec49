//! Where a value came from.

use std::fmt;

use serde::Serialize;

/// What set a value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Origin {
    /// Nothing: it is the default of the key or of the component's option.
    Default,
    /// A file.
    File {
        /// The file, as the user names it.
        file: String,
        /// Line, from 1.
        line: u32,
        /// Character in the line, from 1.
        column: u32,
    },
    /// An environment variable.
    Env {
        /// Name of the variable.
        name: String,
        /// The key that it sets.
        key: String,
        /// The text of the variable.
        value: String,
    },
    /// `--set key=value`.
    Set {
        /// The key that it sets.
        key: String,
        /// The text after `=`.
        value: String,
    },
}

impl Origin {
    /// A place in a file.
    pub(super) fn file(file: &str, (line, column): (u32, u32)) -> Self {
        Self::File {
            file: file.to_owned(),
            line,
            column,
        }
    }

    /// The text from which the value at `key` was read, where it is the whole text of a variable
    /// or of `--set`.
    pub(super) fn raw(&self, at: &str) -> Option<&str> {
        match self {
            Self::Env { key, value, .. } | Self::Set { key, value } if key == at => Some(value),
            _ => None,
        }
    }
}

/// `configs/spam.toml:31:10`, `TENON_TRAIN__EPOCHS`, `--set train.epochs=1` or `default`.
impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { file, line, column } => write!(f, "{file}:{line}:{column}"),
            Self::Env { name, .. } => f.write_str(name),
            Self::Set { key, value } => write!(f, "--set {key}={value}"),
        }
    }
}
