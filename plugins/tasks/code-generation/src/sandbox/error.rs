//! What can go wrong with a sandbox itself; what a program does wrong is an outcome.

use std::io;

/// Why a sandbox cannot be had, or broke.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// No command was given.
    #[error("the command that runs programs is empty")]
    NoCommand,
    /// The interpreter is not there.
    #[error("`{command}` is not on the PATH")]
    NoInterpreter {
        /// The command as it was written.
        command: String,
    },
    /// The system does not isolate programs.
    #[error("programs cannot be isolated on this system: {step}")]
    NotIsolated {
        /// What failed.
        step: &'static str,
        /// Why, as the system says it.
        #[source]
        source: io::Error,
    },
    /// The interpreter does not run in the sandbox.
    #[error("`{command}` does not start in the sandbox: {said}")]
    NotStarted {
        /// The command as it was written.
        command: String,
        /// Its last words.
        said: String,
    },
    /// Something else of the system.
    #[error("{what}")]
    Io {
        /// What was being done.
        what: &'static str,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
}

impl SandboxError {
    /// For `map_err`: what was being done.
    pub(super) fn io(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { what, source }
    }
}
