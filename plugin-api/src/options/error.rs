//! What is wrong with a table of options.

/// One fault in a table of options: where and what.
///
/// Shown as `path: message`, or the message alone when the whole table is at
/// fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{}{message}", path, if path.is_empty() { "" } else { ": " })]
pub struct OptionsError {
    path: String,
    message: String,
}

impl OptionsError {
    /// A fault of the value at `path` (`optimizer.betas[1]`; empty for the
    /// whole table). `message` says what was expected and what was found.
    /// Also for what only the component can know, such as two options that
    /// contradict each other.
    pub fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            message: message.into(),
        }
    }

    /// The key at fault, from the options table down; empty for the whole.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// What was expected and what was found.
    pub fn message(&self) -> &str {
        &self.message
    }
}
