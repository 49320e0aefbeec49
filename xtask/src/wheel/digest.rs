//! SHA-256 of files, against the pins.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::Wheel;

/// A file is not what was pinned.
#[derive(Debug, thiserror::Error)]
pub enum DigestError {
    /// The file could not be read.
    #[error("reading {path} to check its SHA-256: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Other content; the file has been deleted.
    #[error(
        "{path} is not the pinned {name}\n  expected SHA-256 {expected}\n  found    SHA-256 {found}\n  \
         It has been deleted. Run the command again; if this repeats, the package index or a \
         proxy serves another file"
    )]
    Mismatch {
        /// The file, now gone.
        path: PathBuf,
        /// Which wheel it should have been.
        name: String,
        /// The pinned hash.
        expected: String,
        /// The file's hash.
        found: String,
    },
}

/// Checks that `path` is `wheel`, and deletes it if not.
///
/// # Errors
/// See [`DigestError`].
pub fn verify(wheel: &Wheel, path: &Path) -> Result<(), DigestError> {
    let read = |source| DigestError::Read {
        path: path.to_owned(),
        source,
    };
    let found = sha256(path).map_err(read)?;
    if found == wheel.sha256 {
        return Ok(());
    }
    fs::remove_file(path).map_err(read)?;
    Err(DigestError::Mismatch {
        path: path.to_owned(),
        name: wheel.name(),
        expected: wheel.sha256.to_owned(),
        found,
    })
}

/// SHA-256 of a file, lower-case hexadecimal.
fn sha256(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            break;
        }
        hasher.update(&buffer[..read]);
    }
    Ok(hasher
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// FIPS 180-2, appendix B.1: the digest of `abc`.
    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn wheel(sha256: &'static str) -> Wheel {
        Wheel {
            package: "p",
            version: "1",
            file: "p-1.whl",
            sha256,
            size: 3,
        }
    }

    #[test]
    fn the_pinned_file_is_kept() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("p-1.whl");
        fs::write(&path, "abc").expect("a file");
        verify(&wheel(ABC), &path).expect("the right digest");
        assert!(path.is_file());
    }

    #[test]
    fn another_file_is_deleted_and_both_hashes_are_named() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("p-1.whl");
        fs::write(&path, "abd").expect("a file");
        let message = verify(&wheel(ABC), &path)
            .expect_err("another digest")
            .to_string();
        for part in [
            "p 1",
            ABC,
            "a52d159f262b2c6ddb724a61840befc36eb30c88877a4030b65cbe86298449c9",
        ] {
            assert!(message.contains(part), "{message}");
        }
        assert!(!path.exists());
    }
}
