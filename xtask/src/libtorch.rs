//! libtorch on this machine: which folders hold a usable one, and where to get one.
//!
//! A usable folder has `lib/` and `include/`, is exactly [`VERSION`] (tch pins the pair) and was
//! compiled with the C++11 ABI, as all builds of this version should be.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use crate::platform::Os;

pub mod download;
pub mod python;

/// The version that tch 0.24.0 is written for. Nothing else may pin libtorch.
pub const VERSION: &str = "2.11.0";

/// A folder that holds a usable libtorch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Libtorch {
    /// The folder above `lib/` and `include/`: what the variable `LIBTORCH` names.
    pub root: PathBuf,
    /// Version with its build, such as `2.11.0+cu130`, as far as the folder says.
    pub version: String,
}

/// Why a folder cannot serve as libtorch.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Defect {
    /// A library or header folder is not there.
    #[error("{0} is missing")]
    Missing(String),
    /// Neither `build-version` nor the headers say which version this is.
    #[error("no build-version file and no version.h say which version it is")]
    Unversioned,
    /// Another version: tch would not compile against it, or crash.
    #[error("expected version {VERSION}, found {0}")]
    Version(String),
    /// Built for the C++ ABI that libstdc++ had before C++11.
    #[error("built with the old C++ ABI (_GLIBCXX_USE_CXX11_ABI=0)")]
    OldAbi,
}

impl Libtorch {
    /// Inspects `root` without loading anything from it.
    ///
    /// # Errors
    /// The first [`Defect`] found.
    pub fn inspect(root: &Path) -> Result<Self, Defect> {
        for stem in ["torch_cpu", "torch", "c10"] {
            let library = root.join("lib").join(Os::HERE.library(stem));
            if !library.is_file() {
                return Err(Defect::Missing(library.display().to_string()));
            }
        }
        let include = root.join("include").join("torch");
        if !include.is_dir() {
            return Err(Defect::Missing(include.display().to_string()));
        }
        let version = version_of(root).ok_or(Defect::Unversioned)?;
        if version.split('+').next() != Some(VERSION) {
            return Err(Defect::Version(version));
        }
        if has_old_abi(root) {
            return Err(Defect::OldAbi);
        }
        Ok(Self {
            root: root.to_owned(),
            version,
        })
    }

    /// The folder with the shared libraries.
    pub fn lib(&self) -> PathBuf {
        self.root.join("lib")
    }

    /// Whether the libraries include the CUDA back end.
    pub fn has_cuda(&self) -> bool {
        self.lib().join(Os::HERE.library("torch_cuda")).is_file()
    }
}

impl fmt::Display for Libtorch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let devices = if self.has_cuda() {
            "CPU and CUDA"
        } else {
            "CPU"
        };
        write!(
            f,
            "libtorch {} ({devices}) in {}",
            self.version,
            self.root.display()
        )
    }
}

/// The version that a folder states: `build-version` in an unpacked libtorch, else the headers.
fn version_of(root: &Path) -> Option<String> {
    if let Ok(text) = fs::read_to_string(root.join("build-version")) {
        return Some(text.trim().to_owned());
    }
    let headers = [
        "torch/headeronly/version.h",
        "torch/csrc/api/include/torch/version.h",
    ];
    headers.iter().find_map(|header| {
        let text = fs::read_to_string(root.join("include").join(header)).ok()?;
        version_in_header(&text)
    })
}

/// Reads the three `#define TORCH_VERSION_…` of a version header.
fn version_in_header(text: &str) -> Option<String> {
    let number = |name: &str| {
        text.lines().find_map(|line| {
            let mut words = line.split_whitespace();
            let is_it = words.next() == Some("#define") && words.next() == Some(name);
            if is_it {
                words.next().and_then(|word| word.parse::<u32>().ok())
            } else {
                None
            }
        })
    };
    let major = number("TORCH_VERSION_MAJOR")?;
    let minor = number("TORCH_VERSION_MINOR")?;
    let patch = number("TORCH_VERSION_PATCH")?;
    Some(format!("{major}.{minor}.{patch}"))
}

/// Whether the folder's CMake file, if it has one, asks for the old C++ ABI.
fn has_old_abi(root: &Path) -> bool {
    fs::read_to_string(root.join("share/cmake/Torch/TorchConfig.cmake"))
        .is_ok_and(|text| text.contains("_GLIBCXX_USE_CXX11_ABI=0"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder that looks like libtorch; `files` are added or, with empty content, removed.
    fn check(files: &[(&str, &str)], expected: Result<&str, &str>) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let root = folder.path();
        let libraries = ["torch_cpu", "torch", "c10"].map(|stem| Os::HERE.library(stem));
        let mut all: Vec<(String, &str)> = libraries
            .iter()
            .map(|name| (format!("lib/{name}"), "library"))
            .collect();
        all.push(("include/torch/script.h".into(), "header"));
        all.extend(files.iter().map(|(name, text)| ((*name).to_owned(), *text)));
        for (name, text) in all {
            let path = root.join(name);
            fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
            fs::write(&path, text).expect("a file");
            if text.is_empty() {
                fs::remove_file(&path).expect("the file just written");
            }
        }
        let found = Libtorch::inspect(root)
            .map(|libtorch| libtorch.version)
            .map_err(|defect| defect.to_string());
        match (found, expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found, expected),
            (Err(found), Err(expected)) => assert!(found.contains(expected), "{found}"),
            (found, expected) => panic!("expected {expected:?}, found {found:?}"),
        }
    }

    const HEADER: &str = "// torch\n#define TORCH_VERSION_MAJOR 2\n\
         #define TORCH_VERSION_MINOR 11\n  #define TORCH_VERSION_PATCH 0\n\
         #define TORCH_VERSION \\\n";

    #[test]
    fn the_version_is_read_from_the_stamp_or_the_headers() {
        let stamp = "build-version";
        let header = "include/torch/headeronly/version.h";
        check(&[(stamp, "2.11.0+cu130\n")], Ok("2.11.0+cu130"));
        check(&[(stamp, "2.11.0")], Ok("2.11.0"));
        check(&[(header, HEADER)], Ok("2.11.0"));
        check(
            &[("include/torch/csrc/api/include/torch/version.h", HEADER)],
            Ok("2.11.0"),
        );
        check(
            &[(header, &HEADER.replace("11", "4"))],
            Err("expected version 2.11.0, found 2.4.0"),
        );
        check(
            &[(stamp, "2.11.1+cpu")],
            Err("expected version 2.11.0, found 2.11.1+cpu"),
        );
        check(
            &[(header, "#define TORCH_VERSION_MAJOR 2\n")],
            Err("which version"),
        );
        check(&[], Err("which version"));
    }

    #[test]
    fn a_missing_part_and_the_old_abi_are_named() {
        let stamp = ("build-version", "2.11.0");
        let cmake = "share/cmake/Torch/TorchConfig.cmake";
        let c10 = format!("lib/{}", Os::HERE.library("c10"));
        check(&[stamp, (&c10, "")], Err("c10"));
        check(
            &[stamp, (cmake, "set(F \"-D_GLIBCXX_USE_CXX11_ABI=0\")")],
            Err("old C++ ABI"),
        );
        check(
            &[stamp, (cmake, "set(F \"-D_GLIBCXX_USE_CXX11_ABI=1\")")],
            Ok("2.11.0"),
        );
    }
}
