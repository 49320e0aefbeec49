//! gzip files, unpacked once so that their rows can be read by position; and whatever else is written out for that.

use std::fs::{self, File};
use std::io::{self, BufReader, Read, Write};
use std::path::Path;
use std::time::UNIX_EPOCH;

use flate2::read::MultiGzDecoder;
use sha2::{Digest, Sha256};

use super::PositionedFile;
use crate::data::error::DataError;
use crate::hex;

/// How much of a file is unpacked to find its columns.
const START: u64 = 4 << 20;

/// Unpacks `path` into `folder`, where a later run finds it again, or into a temporary file that
/// vanishes with the process.
pub(super) fn unpack(path: &Path, folder: Option<&Path>) -> Result<PositionedFile, DataError> {
    kept(path, folder, "unpacked", |source, target| {
        copy(source, target, path, u64::MAX)
    })
}

/// What `write` makes of the file at `path`: kept in `folder` under a name that ends in `kind`, or in a temporary
/// file.
pub(super) fn kept(
    path: &Path,
    folder: Option<&Path>,
    kind: &str,
    write: impl FnOnce(File, &mut File) -> Result<(), DataError>,
) -> Result<PositionedFile, DataError> {
    let source = open(path)?;
    let kept = match folder {
        Some(folder) => Some(folder.join(name_of(path, &source, kind)?)),
        None => None,
    };
    if let Some(file) = kept.as_deref().and_then(|kept| File::open(kept).ok()) {
        return PositionedFile::from_file(file, path);
    }
    let file = match &kept {
        None => {
            let mut file = tempfile::tempfile()
                .map_err(|source| DataError::io("make a temporary file to unpack", path, source))?;
            write(source, &mut file)?;
            file
        }
        Some(kept) => {
            let folder = kept.parent().unwrap_or(Path::new("."));
            let failed = |source| DataError::io("unpack into", folder, source);
            fs::create_dir_all(folder).map_err(failed)?;
            let mut file = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
            write(source, file.as_file_mut())?;
            file.persist(kept).map_err(|error| failed(error.error))?
        }
    };
    PositionedFile::from_file(file, path)
}

/// The first few megabytes of `path`, unpacked.
pub(super) fn unpack_start(path: &Path) -> Result<PositionedFile, DataError> {
    let mut file = tempfile::tempfile()
        .map_err(|source| DataError::io("make a temporary file to unpack", path, source))?;
    copy(open(path)?, &mut file, path, START)?;
    PositionedFile::from_file(file, path)
}

fn open(path: &Path) -> Result<File, DataError> {
    File::open(path).map_err(|source| DataError::io("open", path, source))
}

/// Unpacks at most about `limit` bytes.
fn copy(source: File, target: &mut File, path: &Path, limit: u64) -> Result<(), DataError> {
    let mut decoder = MultiGzDecoder::new(BufReader::with_capacity(1 << 18, source));
    let mut buffer = vec![0; 1 << 18];
    let mut written = 0;
    while written < limit {
        match decoder.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => {
                target
                    .write_all(&buffer[..read])
                    .map_err(|source| DataError::io("unpack", path, source))?;
                written += read as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                return Err(DataError::format(
                    path,
                    format!("not a whole gzip file: {error}"),
                ));
            }
        }
    }
    Ok(())
}

/// A name that changes when the file at `path` does.
fn name_of(path: &Path, file: &File, kind: &str) -> Result<String, DataError> {
    let failed = |source| DataError::io("read", path, source);
    let metadata = file.metadata().map_err(failed)?;
    let modified = metadata
        .modified()
        .ok()
        .and_then(|time| time.duration_since(UNIX_EPOCH).ok())
        .unwrap_or_default();
    let whole = fs::canonicalize(path).map_err(failed)?;
    let identity = format!(
        "{}\0{}\0{}",
        whole.display(),
        metadata.len(),
        modified.as_nanos()
    );
    let digest = Sha256::digest(identity.as_bytes());
    Ok(format!("{}.{kind}", hex(&digest[..16])))
}
