//! A file read by position, from any thread, without moving a shared cursor.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;

use crate::data::error::DataError;

/// An open file of known size. Its size is what it was when opened: a file that shrinks later is
/// an error, one that grows is read up to the old end.
#[derive(Debug)]
pub(crate) struct PositionedFile {
    file: File,
    path: Arc<Path>,
    len: u64,
}

impl PositionedFile {
    /// Opens the file at `path`.
    pub(crate) fn open(path: &Path) -> Result<Self, DataError> {
        let file = File::open(path).map_err(|source| DataError::io("open", path, source))?;
        let metadata = file
            .metadata()
            .map_err(|source| DataError::io("open", path, source))?;
        if !metadata.is_file() {
            return Err(DataError::format(
                path,
                "not a regular file; rows are read by position, so copy a pipe or device to a file first",
            ));
        }
        Ok(Self {
            file,
            path: path.into(),
            len: metadata.len(),
        })
    }

    /// A file that is open already, shown to users as `path`.
    pub(crate) fn from_file(file: File, path: &Path) -> Result<Self, DataError> {
        let len = file
            .metadata()
            .map_err(|source| DataError::io("read", path, source))?
            .len();
        Ok(Self {
            file,
            path: path.into(),
            len,
        })
    }

    /// The same file, shown to users as `path`.
    pub(crate) fn shown_as(self, path: &Path) -> Self {
        Self {
            path: path.into(),
            ..self
        }
    }

    /// Size in bytes when opened.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// The path that users know it by.
    pub(crate) fn shown(&self) -> Arc<Path> {
        Arc::clone(&self.path)
    }

    /// Fills `buffer` from `offset`. Asking beyond the end is an error.
    pub(crate) fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> Result<(), DataError> {
        let mut filled = 0;
        while filled < buffer.len() {
            match read_at(&self.file, &mut buffer[filled..], offset + filled as u64) {
                Ok(0) => return Err(self.changed()),
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => return Err(DataError::io("read", &self.path, source)),
            }
        }
        Ok(())
    }

    /// The error for a file that is not what it was when opened.
    pub(crate) fn changed(&self) -> DataError {
        DataError::format(&self.path, "changed while it was read")
    }
}

#[cfg(unix)]
fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, buffer, offset)
}

#[cfg(windows)]
fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, buffer, offset)
}
