//! What of the host's files a program sees: the system's libraries and its interpreter.

use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::error::SandboxError;

/// The program that runs candidates, and the folders that it needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interpreter {
    /// Where it is.
    pub program: PathBuf,
    /// What it needs besides the system's files.
    pub needs: Vec<PathBuf>,
}

/// Asks a Python where it lives; a launcher such as pyenv's or a virtual environment's is asked for
/// what it launches.
const WHERE: &str = "import sys; print(sys.executable, sys.prefix, sys.base_prefix, sep='\\n')";

impl Interpreter {
    /// Finds the interpreter `command`, a name on the PATH or a path.
    ///
    /// # Errors
    /// There is none.
    pub fn find(command: &str) -> Result<Self, SandboxError> {
        let absent = || SandboxError::NoInterpreter {
            command: command.to_owned(),
        };
        let program = on_path(command).ok_or_else(absent)?;
        let name = Path::new(command).file_name().unwrap_or_default();
        if name.to_string_lossy().starts_with("python") {
            return Self::python(&program).ok_or_else(absent);
        }
        let real = fs::canonicalize(&program).map_err(|_| absent())?;
        let needs = real.parent().map(Path::to_owned).into_iter().collect();
        Ok(Self { program, needs })
    }

    fn python(program: &Path) -> Option<Self> {
        let answer = Command::new(program)
            .args(["-c", WHERE])
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .output()
            .ok()?;
        let answer = String::from_utf8(answer.stdout).ok()?;
        let mut lines = answer.lines().map(PathBuf::from);
        let program = lines.next().filter(|program| program.is_absolute())?;
        let real = fs::canonicalize(&program).ok()?;
        let mut needs: Vec<_> = lines.collect();
        needs.extend(real.parent().map(Path::to_owned));
        Some(Self { program, needs })
    }
}

/// The first of that name on the PATH; a path is taken as it is.
fn on_path(command: &str) -> Option<PathBuf> {
    let there = |path: PathBuf| path.is_file().then_some(path);
    if Path::new(command).components().count() > 1 {
        return there(std::path::absolute(command).ok()?);
    }
    let path = env::var_os("PATH")?;
    env::split_paths(&path)
        .find_map(|folder| there(std::path::absolute(folder).ok()?.join(command)))
}

/// What the system itself needs. Links are kept as links, as `/bin` mostly is one.
const SYSTEM: [&str; 13] = [
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/nix/store",
    "/gnu/store",
    "/etc/alternatives",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
];

/// What a program sees of the host's files, read-only.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct View {
    /// Folders and files, outer ones first; none within another.
    pub bound: Vec<PathBuf>,
    /// Links, with what they name.
    pub links: Vec<(PathBuf, PathBuf)>,
}

impl View {
    /// The system's files and `more`.
    ///
    /// # Errors
    /// A path of `more` is not there, not absolute, or the root.
    pub fn of(more: &[PathBuf]) -> io::Result<Self> {
        let mut view = Self::default();
        let mut bound: Vec<PathBuf> = Vec::new();
        for path in SYSTEM.map(Path::new) {
            match fs::symlink_metadata(path) {
                Ok(is) if is.is_symlink() => view.links.push((path.into(), fs::read_link(path)?)),
                Ok(_) => bound.push(path.into()),
                Err(_) => {}
            }
        }
        for path in more {
            let hides_all = path.parent().is_none();
            if hides_all || !path.is_absolute() || !path.exists() {
                let what = format!("{} cannot be shown to programs", path.display());
                return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
            }
            let linked = view.links.iter().any(|(link, _)| path.starts_with(link));
            if !linked {
                bound.push(path.clone());
            }
        }
        bound.sort();
        for path in bound {
            if !view.bound.iter().any(|outer| path.starts_with(outer)) {
                view.bound.push(path);
            }
        }
        Ok(view)
    }
}
