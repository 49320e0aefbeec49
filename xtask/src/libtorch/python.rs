//! Python on this machine: an interpreter for pip, and an environment that may hold torch.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::libtorch::{Defect, Libtorch};
use crate::platform::Os;

/// Prints where torch lies without importing it, which would take seconds.
const FIND_TORCH: &str = "
import importlib.util, os
spec = importlib.util.find_spec('torch')
if spec and spec.origin:
    print(os.path.dirname(spec.origin))
";

/// A Python 3 interpreter that runs.
#[derive(Debug, Clone)]
pub struct Python {
    /// Path or name by which it is started.
    pub program: PathBuf,
}

impl Python {
    /// The interpreters to ask, best first: the active environments', then those on `PATH`.
    pub fn candidates() -> Vec<Self> {
        let active = ["VIRTUAL_ENV", "CONDA_PREFIX"]
            .into_iter()
            .filter_map(|variable| {
                let prefix = std::env::var_os(variable)?;
                Some(Os::HERE.python_in(Path::new(&prefix)))
            });
        let on_path = Os::HERE.python_names().iter().map(PathBuf::from);
        active
            .chain(on_path)
            .map(|program| Self { program })
            .collect()
    }

    /// The first candidate that runs and is Python 3.
    pub fn find() -> Option<Self> {
        let is_python_3 = "import sys; sys.exit(sys.version_info < (3, 8))";
        Self::candidates().into_iter().find(|python| {
            let mut command = python.command();
            command
                .args(["-c", is_python_3])
                .stdout(Stdio::null())
                .stderr(Stdio::null());
            command.status().is_ok_and(|status| status.success())
        })
    }

    /// A command that starts this interpreter, away from any terminal input.
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.stdin(Stdio::null());
        command
    }

    /// Whether `python -m pip` works.
    pub fn has_pip(&self) -> bool {
        let mut command = self.command();
        command
            .args(["-m", "pip", "--version"])
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    }

    /// The folder of the `torch` package that this interpreter would import.
    fn torch(&self) -> Option<PathBuf> {
        let output = self.command().args(["-c", FIND_TORCH]).output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        let folder = text.trim();
        if folder.is_empty() {
            None
        } else {
            Some(PathBuf::from(folder))
        }
    }
}

/// What the Python environments hold: a usable libtorch, or the torch packages that are not.
pub struct Search {
    /// The first usable one.
    pub found: Option<Libtorch>,
    /// Folders with another torch, and what is wrong with each.
    pub refused: Vec<(PathBuf, Defect)>,
}

/// Looks for torch in every candidate environment.
pub fn search() -> Search {
    let mut refused: Vec<(PathBuf, Defect)> = Vec::new();
    for python in Python::candidates() {
        let Some(folder) = python.torch() else {
            continue;
        };
        match Libtorch::inspect(&folder) {
            Ok(libtorch) => {
                return Search {
                    found: Some(libtorch),
                    refused,
                };
            }
            Err(defect) if refused.iter().all(|(known, _)| *known != folder) => {
                refused.push((folder, defect));
            }
            Err(_) => {}
        }
    }
    Search {
        found: None,
        refused,
    }
}
