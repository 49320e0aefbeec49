//! Why a plugin cannot be used, said so that its user or its author can mend it.

use std::fmt;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::manifest::ApiVersion;

/// Why a plugin cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Problem {
    /// A place that the user named is not there.
    #[error("there is no such file or folder (named by {by})")]
    Missing {
        /// Who named it.
        by: String,
    },
    /// The file or folder cannot be read.
    #[error("it cannot be read: {reason}")]
    Unreadable {
        /// What the system says.
        reason: String,
    },
    /// The file is not a library.
    #[error("it is not a library of this platform: {found}")]
    NotALibrary {
        /// What it is instead, as far as can be said.
        found: String,
    },
    /// The library is for other machines.
    #[error("it was built for {found}, this program runs on {ours}")]
    OtherArchitecture {
        /// What it was built for.
        found: String,
        /// Where this program runs.
        ours: String,
    },
    /// The library is no plugin. Reported only where the user named the file itself.
    #[error("it is a library, but no tenon plugin: it carries no manifest")]
    NoManifest,
    /// The manifest cannot be understood.
    #[error("its manifest cannot be understood: {fault}")]
    BadManifest {
        /// What is wrong with it.
        fault: String,
    },
    /// It was built against another libtorch, and two of them in one process abort.
    #[error("it was built against libtorch {built_for}, this program uses {ours}")]
    ForeignLibtorch {
        /// Its libtorch.
        built_for: String,
        /// Ours.
        ours: String,
    },
    /// It was built against a later plugin API.
    #[error("it was built against plugin API {api}, this program knows {ours}")]
    TooNew {
        /// Its API.
        api: ApiVersion,
        /// Ours.
        ours: ApiVersion,
    },
    /// It was built against a plugin API that is no longer served.
    #[error("it was built against plugin API {api}, this program opens plugins from {oldest} on")]
    TooOld {
        /// Its API.
        api: ApiVersion,
        /// The earliest that is served.
        oldest: ApiVersion,
    },
    /// A panic in it would end the whole program.
    #[error("it was built with `panic = \"abort\"`, so a panic in it would end the program")]
    PanicAbort,
    /// The run file lists the plugins that may be opened, and this one is not among them.
    #[error("`[plugins] allow` of the run file does not name it")]
    NotAllowed {
        /// SHA-256 of the file, for whoever wants to allow it.
        sha256: String,
    },
    /// It is allowed, but only as another file.
    #[error("its SHA-256 is {found}, `[plugins] allow` of the run file wants {expected}")]
    HashMismatch {
        /// What the run file has.
        expected: String,
        /// What the file has.
        found: String,
    },
    /// Another file brings a plugin of the same name.
    #[error("{} brings a plugin of the same name{}", path.display(), if *chosen { ", which is used instead" } else { "" })]
    DuplicateOf {
        /// The other file.
        path: PathBuf,
        /// Whether the other one was chosen; otherwise neither can be used.
        chosen: bool,
    },
    /// The file is not the one that was looked at before.
    #[error("its file changed while this program was running")]
    Changed,
    /// The dynamic linker refuses it.
    #[error("it cannot be opened: {reason}")]
    Open {
        /// What the linker says.
        reason: String,
    },
    /// An initialiser of it did not return in time.
    #[error("opening it did not end within {seconds} s: an initialiser of it hangs")]
    Hangs {
        /// How long was waited.
        seconds: u64,
    },
    /// Its table is not laid out as ours.
    #[error("its types (plugin API {api}) differ from this program's (plugin API {ours}): {first}")]
    Layout {
        /// Its API.
        api: ApiVersion,
        /// Ours.
        ours: ApiVersion,
        /// The first difference, in one line.
        first: String,
        /// Everything that differs.
        dump: String,
    },
    /// Its table is damaged, or it refused to start.
    #[error("{reason}")]
    Start {
        /// What it says.
        reason: String,
    },
}

impl Problem {
    /// A word for scripts and tests.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Missing { .. } => "missing",
            Self::Unreadable { .. } => "unreadable",
            Self::NotALibrary { .. } => "not-a-library",
            Self::OtherArchitecture { .. } => "other-architecture",
            Self::NoManifest => "no-manifest",
            Self::BadManifest { .. } => "bad-manifest",
            Self::ForeignLibtorch { .. } => "foreign-libtorch",
            Self::TooNew { .. } => "too-new",
            Self::TooOld { .. } => "too-old",
            Self::PanicAbort => "panic-abort",
            Self::NotAllowed { .. } => "not-allowed",
            Self::HashMismatch { .. } => "hash-mismatch",
            Self::DuplicateOf { .. } => "duplicate",
            Self::Changed => "changed",
            Self::Open { .. } => "open",
            Self::Hangs { .. } => "hangs",
            Self::Layout { .. } => "layout",
            Self::Start { .. } => "start",
        }
    }

    /// What can be done about it.
    #[must_use]
    pub fn help(&self, plugin: &str) -> Option<String> {
        Some(match self {
            Self::NotALibrary { .. } => "build or copy it again, or remove the file".to_owned(),
            Self::OtherArchitecture { .. } => "get or build it for this platform".to_owned(),
            Self::BadManifest { .. } => "build it again with the present plugin API".to_owned(),
            Self::ForeignLibtorch { ours, .. } => {
                format!("build it against libtorch {ours}, or get the release of {plugin} that is")
            }
            Self::TooNew { api, .. } => {
                format!("update tenon, or get a release of {plugin} for an API before {api}")
            }
            Self::TooOld { oldest, .. } => {
                format!("update {plugin}, or build it against plugin API {oldest} or later")
            }
            Self::PanicAbort => "build it with `panic = \"unwind\"` in its profile".to_owned(),
            Self::NotAllowed { sha256 } => format!(
                "if you trust it, add {{ name = \"{plugin}\", sha256 = \"{sha256}\" }} to the list"
            ),
            Self::HashMismatch { .. } => {
                "if you trust the new file, put its SHA-256 into the run file".to_owned()
            }
            Self::DuplicateOf {
                chosen: false,
                path,
            } => format!(
                "remove one, or choose in the run file: `[plugins] prefer.{plugin} = {:?}`",
                path.display().to_string()
            ),
            Self::Changed => "run the command again".to_owned(),
            Self::Hangs { .. } => {
                format!(
                    "set {} if it only needs more time",
                    super::open::TIMEOUT_VARIABLE
                )
            }
            Self::Layout { .. } => "build it again with the present plugin API".to_owned(),
            _ => return None,
        })
    }
}

/// A plugin that cannot be used, with its name and place.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub struct PluginError {
    /// Name of the plugin, or of the file where it has none.
    pub plugin: String,
    /// Its file.
    pub path: PathBuf,
    /// Why it cannot be used.
    pub problem: Problem,
}

impl PluginError {
    pub(super) fn new(plugin: &str, path: &Path, problem: Problem) -> Self {
        Self {
            plugin: plugin.to_owned(),
            path: path.to_owned(),
            problem,
        }
    }

    /// What is wrong, in one line without help.
    #[must_use]
    pub fn line(&self) -> String {
        let Self {
            plugin,
            path,
            problem,
        } = self;
        format!("plugin {plugin} ({}): {problem}", path.display())
    }
}

impl fmt::Display for PluginError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.line())?;
        match self.problem.help(&self.plugin) {
            Some(help) => write!(f, "\n  help: {help}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_say_what_is_wrong_and_what_to_do() {
        let api = |minor| ApiVersion { major: 0, minor };
        let text = |text: &str| text.to_owned();
        let problems = [
            Problem::Missing {
                by: text("--plugin-dir"),
            },
            Problem::Unreadable {
                reason: text("permission denied"),
            },
            Problem::NotALibrary {
                found: text("a text file"),
            },
            Problem::OtherArchitecture {
                found: text("AArch64"),
                ours: text("x86-64"),
            },
            Problem::NoManifest,
            Problem::BadManifest {
                fault: text("missing field `api`"),
            },
            Problem::ForeignLibtorch {
                built_for: text("2.10.0"),
                ours: text("2.11.0"),
            },
            Problem::TooNew {
                api: api(9),
                ours: api(4),
            },
            Problem::TooOld {
                api: api(1),
                oldest: api(2),
            },
            Problem::PanicAbort,
            Problem::NotAllowed {
                sha256: text("ab12"),
            },
            Problem::HashMismatch {
                expected: text("ab12"),
                found: text("cd34"),
            },
            Problem::DuplicateOf {
                path: "/b/liblora.so".into(),
                chosen: false,
            },
            Problem::DuplicateOf {
                path: "/b/liblora.so".into(),
                chosen: true,
            },
            Problem::Changed,
            Problem::Open {
                reason: text("undefined symbol: x"),
            },
            Problem::Hangs { seconds: 10 },
            Problem::Layout {
                api: api(3),
                ours: api(4),
                first: text("start.cancelled.result: u32 instead of bool"),
                dump: String::new(),
            },
            Problem::Start {
                reason: text("its start failed: no licence"),
            },
        ];
        let lines = problems.map(|problem| {
            let code = problem.code();
            let error = PluginError::new("lora", Path::new("/a/liblora.so"), problem);
            format!("[{code}] {error}")
        });
        insta::assert_snapshot!(lines.join("\n"));
    }
}
