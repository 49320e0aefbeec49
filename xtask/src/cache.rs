//! The per-user cache: libtorch, the demo's model, tools. Safe to delete at any time.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::platform::Os;

/// The cache folder of this user.
#[derive(Debug, Clone)]
pub struct Cache {
    root: PathBuf,
}

impl Cache {
    /// The folder that `TENON_CACHE` or the system's conventions name; created if need be.
    ///
    /// # Errors
    /// No variable names a home folder, or the folder cannot be created.
    pub fn open() -> Result<Self> {
        let root = Os::HERE
            .user_cache(|name| std::env::var_os(name))
            .context("no home folder is known: set TENON_CACHE to a folder for downloads")?;
        // Absolute, because the place of libtorch is written into binaries.
        let root = std::path::absolute(&root)
            .with_context(|| format!("resolving the cache folder {}", root.display()))?;
        fs::create_dir_all(&root).with_context(|| {
            format!(
                "creating the cache folder {} (TENON_CACHE chooses another)",
                root.display()
            )
        })?;
        Ok(Self { root })
    }

    /// A cache elsewhere.
    #[cfg(test)]
    pub fn at(root: PathBuf) -> Self {
        Self { root }
    }

    /// The folder itself, absolute.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where downloads lie until they are unpacked; partial ones stay for the next attempt.
    pub fn downloads(&self) -> PathBuf {
        self.root.join("downloads")
    }

    /// Where tools are installed.
    pub fn tools(&self) -> PathBuf {
        self.root.join("tools")
    }

    /// An empty folder on the cache's file system for work on `name` in progress, to be moved into
    /// place when it is done. What a killed process left there is removed: hold the lock of `name`.
    ///
    /// # Errors
    /// The folder cannot be emptied or created.
    pub fn scratch(&self, name: &str) -> Result<PathBuf> {
        let path = self.root.join(format!("unfinished-{name}"));
        if path.exists() {
            fs::remove_dir_all(&path).with_context(|| format!("emptying {}", path.display()))?;
        }
        fs::create_dir_all(&path).with_context(|| format!("creating {}", path.display()))?;
        Ok(path)
    }

    /// Waits until no other process works on `name`, and keeps others out until dropped.
    ///
    /// # Errors
    /// The lock file cannot be created or locked.
    pub fn lock(&self, name: &str) -> Result<File> {
        let path = self.root.join(format!("{name}.lock"));
        let file = File::create(&path).with_context(|| format!("creating {}", path.display()))?;
        file.lock()
            .with_context(|| format!("locking {}", path.display()))?;
        Ok(file)
    }
}
