//! What differs between Linux, macOS and Windows: library names, run paths, cache folders,
//! Python's place. Nothing outside this file asks which system it runs on.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The systems that set-up knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Os {
    /// Linux with glibc: where tenon is tested.
    Linux,
    /// macOS.
    Macos,
    /// Windows.
    Windows,
}

impl Os {
    /// The system that this program was built for.
    pub const HERE: Self = if cfg!(target_os = "windows") {
        Self::Windows
    } else if cfg!(target_os = "macos") {
        Self::Macos
    } else {
        Self::Linux
    };

    /// File name of the shared library `stem`, such as `libc10.so` for `c10`.
    pub fn library(self, stem: &str) -> String {
        match self {
            Self::Linux => format!("lib{stem}.so"),
            Self::Macos => format!("lib{stem}.dylib"),
            Self::Windows => format!("{stem}.dll"),
        }
    }

    /// rustc flags by which every binary finds the libraries in `folder` at run time.
    ///
    /// Empty on Windows, which has no run path: there `folder` must be on `PATH`.
    pub fn rpath_flags(self, folder: &Path) -> Vec<String> {
        match self {
            Self::Linux | Self::Macos => {
                vec![format!("-Clink-arg=-Wl,-rpath,{}", folder.display())]
            }
            Self::Windows => Vec::new(),
        }
    }

    /// The interpreter inside the Python environment `prefix`.
    pub fn python_in(self, prefix: &Path) -> PathBuf {
        match self {
            Self::Linux | Self::Macos => prefix.join("bin").join("python3"),
            Self::Windows => prefix.join("Scripts").join("python.exe"),
        }
    }

    /// Names under which a Python 3 interpreter is looked up on `PATH`, best first.
    pub fn python_names(self) -> &'static [&'static str] {
        match self {
            Self::Linux | Self::Macos => &["python3", "python"],
            Self::Windows => &["python.exe", "py.exe"],
        }
    }

    /// File name of the program `stem`.
    pub fn program(self, stem: &str) -> String {
        match self {
            Self::Linux | Self::Macos => stem.to_owned(),
            Self::Windows => format!("{stem}.exe"),
        }
    }

    /// The C++ compilers that torch-sys would use, best first, when `CXX` names none.
    pub fn cxx_compilers(self) -> &'static [&'static str] {
        match self {
            Self::Linux => &["c++", "g++", "clang++"],
            Self::Macos => &["c++", "clang++"],
            Self::Windows => &["cl.exe", "clang-cl.exe"],
        }
    }

    /// The per-user cache folder: `TENON_CACHE`, else the system's place for caches.
    ///
    /// `variable` reads an environment variable. `None` when no variable names a home.
    pub fn user_cache(self, variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
        let path = |name: &str| variable(name).filter(|v| !v.is_empty()).map(PathBuf::from);
        if let Some(cache) = path("TENON_CACHE") {
            return Some(cache);
        }
        match self {
            Self::Linux => path("XDG_CACHE_HOME")
                .or_else(|| path("HOME").map(|home| home.join(".cache")))
                .map(|caches| caches.join("tenon")),
            Self::Macos => path("HOME").map(|home| home.join("Library/Caches/tenon")),
            Self::Windows => path("LOCALAPPDATA").map(|local| local.join("tenon").join("cache")),
        }
    }
}

/// Makes `link` show the folder `target`: a symbolic link, or a copy where links need privileges.
///
/// # Errors
/// The file system refuses the link and the copy.
pub fn link_folder(target: &Path, link: &Path) -> io::Result<()> {
    #[cfg(unix)]
    return std::os::unix::fs::symlink(target, link);
    #[cfg(not(unix))]
    {
        fs::create_dir_all(link)?;
        for entry in fs::read_dir(target)? {
            let entry = entry?;
            fs::copy(entry.path(), link.join(entry.file_name()))?;
        }
        Ok(())
    }
}

/// Gives `alias` the content of its neighbour `file` in `folder`: a link, or a copy.
///
/// # Errors
/// The file system refuses.
pub fn alias_file(folder: &Path, file: &str, alias: &str) -> io::Result<()> {
    let link = folder.join(alias);
    if link.exists() {
        return Ok(());
    }
    #[cfg(unix)]
    return std::os::unix::fs::symlink(file, link);
    #[cfg(not(unix))]
    fs::copy(folder.join(file), link).map(|_| ())
}

/// Removes the link or folder that [`link_folder`] made.
///
/// # Errors
/// The file system refuses.
pub fn unlink_folder(link: &Path) -> io::Result<()> {
    if link.is_symlink() {
        fs::remove_file(link)
    } else {
        fs::remove_dir_all(link)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache(os: Os, variables: &[(&str, &str)]) -> Option<String> {
        let found = os.user_cache(|name| {
            let hit = variables.iter().find(|(key, _)| *key == name);
            hit.map(|(_, value)| OsString::from(value))
        });
        found.map(|path| path.display().to_string().replace('\\', "/"))
    }

    #[test]
    fn cache_follows_the_systems_conventions() {
        type Case<'a> = (Os, &'a [(&'a str, &'a str)], Option<&'a str>);
        let cases: [Case<'_>; 7] = [
            (
                Os::Linux,
                &[("TENON_CACHE", "/t"), ("HOME", "/h")],
                Some("/t"),
            ),
            (
                Os::Linux,
                &[("XDG_CACHE_HOME", "/x"), ("HOME", "/h")],
                Some("/x/tenon"),
            ),
            (
                Os::Linux,
                &[("XDG_CACHE_HOME", ""), ("HOME", "/h")],
                Some("/h/.cache/tenon"),
            ),
            (Os::Linux, &[], None),
            (
                Os::Macos,
                &[("HOME", "/h")],
                Some("/h/Library/Caches/tenon"),
            ),
            (
                Os::Windows,
                &[("LOCALAPPDATA", "C:/l")],
                Some("C:/l/tenon/cache"),
            ),
            (Os::Windows, &[("HOME", "/h")], None),
        ];
        for (os, variables, expected) in cases {
            assert_eq!(
                cache(os, variables).as_deref(),
                expected,
                "{os:?} {variables:?}"
            );
        }
    }

    #[test]
    fn libraries_and_run_paths_are_named_as_the_system_does() {
        assert_eq!(Os::Linux.library("c10"), "libc10.so");
        assert_eq!(Os::Macos.library("c10"), "libc10.dylib");
        assert_eq!(Os::Windows.library("c10"), "c10.dll");
        let flags = Os::Linux.rpath_flags(Path::new("/opt/lib"));
        assert_eq!(flags, ["-Clink-arg=-Wl,-rpath,/opt/lib"]);
        assert!(Os::Windows.rpath_flags(Path::new("C:/lib")).is_empty());
    }
}
