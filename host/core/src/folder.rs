//! The run folder: what lies where, and writing that survives a crash.
//!
//! ```text
//! runs/NAME/
//!   run.toml            the resolved run file; `tenon train` on it gives the same settings
//!   run.origins.toml    the same with the origin of each value
//!   plugins.lock        the plugin files that took part: version, path, SHA-256
//!   metrics.jsonl       losses and scores; the same bytes whether or not the run was interrupted
//!   events.jsonl        the same with times and speeds
//!   summary.json        final scores, speeds, memory, parameters, seconds per phase
//!   state.json          labels and what else evaluation and prediction need
//!   checkpoints/        step-00000120/ …, best/
//!   model/ or adapter/  the result, as Hugging Face or PEFT lay it out
//!   artifacts/          files that components left
//! ```

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Paths in a run folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunFolder {
    root: PathBuf,
}

impl RunFolder {
    /// The folder at `root`, which need not exist.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Whether `path` is the folder of a run that tenon made.
    #[must_use]
    pub fn is_run(path: &Path) -> bool {
        path.join("run.toml").is_file()
    }

    /// The folder itself.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The resolved run file.
    #[must_use]
    pub fn run_file(&self) -> PathBuf {
        self.root.join("run.toml")
    }

    /// The resolved run file with the origin of each value.
    #[must_use]
    pub fn origins(&self) -> PathBuf {
        self.root.join("run.origins.toml")
    }

    /// The plugin files that took part.
    #[must_use]
    pub fn pins(&self) -> PathBuf {
        self.root.join("plugins.lock")
    }

    /// Losses and scores, one JSON object a line.
    #[must_use]
    pub fn metrics(&self) -> PathBuf {
        self.root.join("metrics.jsonl")
    }

    /// Losses and scores with times and speeds.
    #[must_use]
    pub fn events(&self) -> PathBuf {
        self.root.join("events.jsonl")
    }

    /// The summary.
    #[must_use]
    pub fn summary(&self) -> PathBuf {
        self.root.join("summary.json")
    }

    /// Labels and what else evaluation and prediction need.
    #[must_use]
    pub fn state(&self) -> PathBuf {
        self.root.join("state.json")
    }

    /// The checkpoints.
    #[must_use]
    pub fn checkpoints(&self) -> PathBuf {
        self.root.join("checkpoints")
    }

    /// The resulting model.
    #[must_use]
    pub fn model(&self) -> PathBuf {
        self.root.join("model")
    }

    /// The resulting adapter.
    #[must_use]
    pub fn adapter(&self) -> PathBuf {
        self.root.join("adapter")
    }

    /// Files that components left.
    #[must_use]
    pub fn artifacts(&self) -> PathBuf {
        self.root.join("artifacts")
    }
}

/// Writes a file so that a crash leaves the old one or the new one, never a part: a temporary file
/// beside it, `fsync`, rename, `fsync` of the folder.
///
/// # Errors
/// Any of these fails; the temporary file is removed.
pub fn write_atomically(path: &Path, contents: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(contents)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    sync_folder(folder)
}

/// Makes a folder whole or not at all: `fill` writes into a temporary folder beside it, which then
/// takes the place of `path`. An old one is moved aside first; a crash in between leaves it there,
/// and [`remove_leftovers`] puts it back.
///
/// # Errors
/// `fill` fails, or writing does; the temporary folder is removed.
pub fn write_folder_atomically<E: From<io::Error>>(
    path: &Path,
    fill: impl FnOnce(&Path) -> Result<(), E>,
) -> Result<(), E> {
    let parent = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(parent)?;
    let temporary = tempfile::Builder::new()
        .prefix(".writing-")
        .tempdir_in(parent)?;
    fill(temporary.path())?;
    for entry in fs::read_dir(temporary.path())? {
        let path = entry?.path();
        if path.is_file() {
            File::open(path)?.sync_all()?;
        }
    }
    sync_folder(temporary.path())?;
    let old = tempfile::Builder::new()
        .prefix(".replaced-")
        .tempdir_in(parent)?;
    if let (true, Some(name)) = (path.exists(), path.file_name()) {
        fs::rename(path, old.path().join(name))?;
    }
    fs::rename(temporary.keep(), path)?;
    sync_folder(parent)?;
    Ok(())
}

/// Removes what an interrupted [`write_folder_atomically`] left behind, and puts a folder back
/// that it had moved aside and not yet replaced.
///
/// # Errors
/// The folder cannot be read or changed.
pub fn remove_leftovers(parent: &Path) -> io::Result<()> {
    for entry in fs::read_dir(parent)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with(".replaced-") {
            for old in fs::read_dir(entry.path())? {
                let old = old?;
                let place = parent.join(old.file_name());
                if !place.exists() {
                    fs::rename(old.path(), place)?;
                }
            }
        }
        if name.starts_with(".writing-") || name.starts_with(".replaced-") {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

#[cfg(unix)]
fn sync_folder(folder: &Path) -> io::Result<()> {
    let folder = if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        folder
    };
    File::open(folder)?.sync_all()
}

#[cfg(not(unix))]
fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crash_while_a_folder_is_replaced_leaves_the_old_one() {
        let parent = tempfile::tempdir().expect("a folder");
        let parent = parent.path();
        let aside = parent.join(".replaced-x");
        fs::create_dir_all(aside.join("step-1")).expect("a folder");
        fs::create_dir_all(aside.join("step-2")).expect("a folder");
        fs::write(aside.join("step-1/state.json"), "old").expect("a file");
        fs::create_dir_all(parent.join(".writing-y")).expect("a folder");
        fs::create_dir_all(parent.join("step-2")).expect("a folder");
        fs::write(parent.join("step-2/state.json"), "new").expect("a file");
        remove_leftovers(parent).expect("cleaned");
        let read = |path| fs::read_to_string(parent.join(path)).expect("a file");
        assert_eq!(read("step-1/state.json"), "old");
        assert_eq!(read("step-2/state.json"), "new");
        assert_eq!(fs::read_dir(parent).expect("a folder").count(), 2);
    }
}
