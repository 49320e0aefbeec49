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
//!   tokenizer/          the tokenizer, if the run trained one
//!   state.json          labels and what else evaluation and prediction need
//!   checkpoints/        step-00000120/ …, best/
//!   model/ or adapter/  the result, as Hugging Face or PEFT lay it out
//!   artifacts/          files that components left; in validation/ and test/ those of an evaluation
//!   .lock               held by the process that trains here
//! ```

use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Paths in a run folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunFolder {
    root: PathBuf,
}

/// A run folder that this process trains in.
#[derive(Debug)]
pub struct Lock {
    _file: File,
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

    /// The tokenizer, if the run trained one.
    #[must_use]
    pub fn tokenizer(&self) -> PathBuf {
        self.root.join("tokenizer")
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

    /// Takes the folder, which must exist, for this process to train in, until the lock is dropped
    /// or the process ends, however it ends. `None`: another process has it.
    ///
    /// # Errors
    /// The lock's file cannot be made. Where the file system knows no locks, none is taken.
    pub fn lock(&self) -> io::Result<Option<Lock>> {
        let file = File::create(self.root.join(".lock"))?;
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => Ok(None),
            Ok(()) | Err(TryLockError::Error(_)) => Ok(Some(Lock { _file: file })),
        }
    }

    /// Files that components left.
    #[must_use]
    pub fn artifacts(&self) -> PathBuf {
        self.root.join("artifacts")
    }
}

/// Begin the names of what is not whole yet, and of what was moved aside to be replaced.
const WRITING: &str = ".writing-";
const REPLACED: &str = ".replaced-";

/// Writes a file so that a crash leaves the old one or the new one, never a part: a temporary file
/// beside it, `fsync`, rename, `fsync` of the folder.
///
/// # Errors
/// Any of these fails; the temporary file is removed.
pub fn write_atomically(path: &Path, contents: &[u8]) -> io::Result<()> {
    let folder = above(path);
    let mut builder = tempfile::Builder::new();
    builder.prefix(WRITING);
    // Temporary files are for their owner alone; this one is to be as readable as any.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut file = builder.tempfile_in(folder)?;
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
/// `fill` fails, or writing does; the temporary folder is removed, and an old one stays.
pub fn write_folder_atomically<E: From<io::Error>>(
    path: &Path,
    fill: impl FnOnce(&Path) -> Result<(), E>,
) -> Result<(), E> {
    let parent = above(path);
    fs::create_dir_all(parent)?;
    let temporary = tempfile::Builder::new()
        .prefix(WRITING)
        .tempdir_in(parent)?;
    fill(temporary.path())?;
    put_in_place(temporary.path(), path)?;
    // It has another name now.
    let _ = temporary.keep();
    Ok(())
}

/// Where a folder is filled that [`put_in_place`] will give the name `path`; one that is left there by a crash
/// [`remove_leftovers`] takes away.
#[must_use]
pub fn beside(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    above(path).join(format!("{WRITING}{name}"))
}

/// Gives a folder that is filled the name `path`, in the same folder, in place of an old one of that name; what is in
/// it is on the disk first.
///
/// # Errors
/// Writing fails; an old folder stays.
pub fn put_in_place(new: &Path, path: &Path) -> io::Result<()> {
    for entry in fs::read_dir(new)? {
        let path = entry?.path();
        if path.is_file() {
            share(&path, new)?;
            File::open(path)?.sync_all()?;
        }
    }
    sync_folder(new)?;
    let parent = above(path);
    replace(new, path, parent)?;
    sync_folder(parent)
}

/// Gives the folder `new` the name `path`; an old one of that name is removed.
fn replace(new: &Path, path: &Path, parent: &Path) -> io::Result<()> {
    let (true, Some(name)) = (path.exists(), path.file_name()) else {
        return fs::rename(new, path);
    };
    let aside = tempfile::Builder::new()
        .prefix(REPLACED)
        .tempdir_in(parent)?;
    let old = aside.path().join(name);
    fs::rename(path, &old)?;
    fs::rename(new, path).inspect_err(|_| {
        if fs::rename(&old, path).is_err() {
            // Rather a folder too many than one too few.
            let _ = aside.keep();
        }
    })
}

/// Lets those read `file` who may read the folder that it is in: libraries write through temporary
/// files, which are for their owner alone.
#[cfg(unix)]
fn share(file: &Path, folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let mode = fs::metadata(folder)?.permissions().mode() & 0o666;
    fs::set_permissions(file, fs::Permissions::from_mode(mode))
}

#[cfg(not(unix))]
fn share(_: &Path, _: &Path) -> io::Result<()> {
    Ok(())
}

/// Removes what an interrupted [`write_atomically`] or [`write_folder_atomically`] left behind in
/// `parent`, and puts a folder back that it had moved aside and not yet replaced. Only for those
/// who own the folder: what another process is just writing would go, too.
///
/// # Errors
/// The folder cannot be read or changed.
pub fn remove_leftovers(parent: &Path) -> io::Result<()> {
    for entry in fs::read_dir(parent)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with(REPLACED) {
            for old in fs::read_dir(entry.path())? {
                let old = old?;
                let place = parent.join(old.file_name());
                if !place.exists() {
                    fs::rename(old.path(), place)?;
                }
            }
        }
        if name.starts_with(WRITING) || name.starts_with(REPLACED) {
            match entry.file_type()?.is_dir() {
                true => fs::remove_dir_all(entry.path())?,
                false => fs::remove_file(entry.path())?,
            }
        }
    }
    Ok(())
}

/// Removes a folder at once or not at all: under another name first, so that a crash leaves no
/// part of it in its place.
///
/// # Errors
/// It cannot be renamed, or not wholly be removed.
pub fn remove_folder(path: &Path) -> io::Result<()> {
    let aside = tempfile::Builder::new()
        .prefix(".removed-")
        .tempdir_in(above(path))?;
    fs::rename(path, aside.path().join("folder"))?;
    aside.close()
}

/// The folder that `path` is in.
fn above(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

#[cfg(unix)]
fn sync_folder(folder: &Path) -> io::Result<()> {
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
        fs::write(parent.join(".writing-z"), "a par").expect("a file");
        remove_leftovers(parent).expect("cleaned");
        let read = |path| fs::read_to_string(parent.join(path)).expect("a file");
        assert_eq!(read("step-1/state.json"), "old");
        assert_eq!(read("step-2/state.json"), "new");
        assert_eq!(fs::read_dir(parent).expect("a folder").count(), 2);
    }

    #[test]
    fn a_folder_that_cannot_take_its_place_leaves_the_old_one() {
        let parent = tempfile::tempdir().expect("a folder");
        let path = parent.path().join("best");
        fs::create_dir(&path).expect("a folder");
        fs::write(path.join("weights"), "old").expect("a file");
        // Its own `fill` takes the new folder away, so that the rename fails.
        let missing = write_folder_atomically(&path, |folder| fs::remove_dir_all(folder));
        assert!(missing.is_err());
        assert!(replace(&parent.path().join("gone"), &path, parent.path()).is_err());
        let weights = fs::read_to_string(path.join("weights")).expect("the old one");
        assert_eq!(weights, "old");
        assert_eq!(fs::read_dir(parent.path()).expect("a folder").count(), 1);
    }

    #[test]
    #[cfg(unix)]
    fn what_is_written_is_as_readable_as_any_file() {
        use std::os::unix::fs::PermissionsExt;
        let parent = tempfile::tempdir().expect("a folder");
        let plain = parent.path().join("plain");
        fs::write(&plain, "").expect("a file");
        let file = parent.path().join("file");
        write_atomically(&file, b"").expect("written");
        let folder = parent.path().join("folder");
        let secret = |folder: &Path| -> io::Result<()> {
            fs::write(folder.join("weights"), "")?;
            fs::set_permissions(folder.join("weights"), fs::Permissions::from_mode(0o600))
        };
        write_folder_atomically(&folder, secret).expect("written");
        let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
        assert_eq!(mode(&file), mode(&plain));
        assert_eq!(mode(&folder.join("weights")), mode(&plain));
    }

    #[test]
    fn a_removed_folder_leaves_nothing() {
        let parent = tempfile::tempdir().expect("a folder");
        let path = parent.path().join("run");
        fs::create_dir_all(path.join("checkpoints/best")).expect("a folder");
        fs::write(path.join("run.toml"), "").expect("a file");
        remove_folder(&path).expect("removed");
        assert_eq!(fs::read_dir(parent.path()).expect("a folder").count(), 0);
    }

    #[test]
    fn one_process_at_a_time_trains_in_a_folder() {
        let parent = tempfile::tempdir().expect("a folder");
        let folder = RunFolder::new(parent.path());
        let lock = folder.lock().expect("a lock").expect("a free folder");
        assert!(folder.lock().expect("a lock").is_none());
        drop(lock);
        assert!(folder.lock().expect("a lock").is_some());
    }
}
