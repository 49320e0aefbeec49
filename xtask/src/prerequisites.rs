//! What must be on the machine before set-up, and the command that installs each thing.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::libtorch::python::Python;
use crate::platform::Os;

/// Something is missing; the message says what it is for and how to install it.
#[derive(Debug, thiserror::Error)]
pub enum Missing {
    /// No C++ compiler, or one that cannot compile.
    #[error(
        "no working C++ compiler ({tried}), needed to compile the bindings to libtorch\n  \
         install one: {install}{detail}"
    )]
    Cxx {
        /// The compilers tried.
        tried: String,
        /// The command that installs one here.
        install: &'static str,
        /// What the compiler said, if there was one.
        detail: String,
    },
    /// No Python 3.
    #[error(
        "no Python 3.8 or newer on PATH, needed to fetch libtorch with pip\n  install it: {0}\n  \
         or set LIBTORCH to a folder with libtorch {version}",
        version = crate::libtorch::VERSION
    )]
    Python(&'static str),
    /// Python without pip.
    #[error("{python} has no pip, needed to fetch libtorch\n  install it: {install}")]
    Pip {
        /// The interpreter.
        python: PathBuf,
        /// The command that installs pip here.
        install: &'static str,
    },
    /// Too little space for a download.
    #[error(
        "{folder} has {free} MB free, {needed} MB are needed\n  \
         free some space, or set TENON_CACHE to a folder on another disk"
    )]
    Space {
        /// Where the space is needed.
        folder: PathBuf,
        /// Free megabytes.
        free: u64,
        /// Needed megabytes.
        needed: u64,
    },
}

/// What can be installed with a command.
#[derive(Clone, Copy)]
enum Package {
    Cxx,
    Python,
    Pip,
}

/// Families of systems that share a package manager: the words of `/etc/os-release` that tell
/// them, and the commands for [`Package::Cxx`], [`Package::Python`], [`Package::Pip`].
const FAMILIES: &[(&[&str], [&str; 3])] = &[
    (
        &["debian", "ubuntu"],
        [
            "sudo apt-get install g++",
            "sudo apt-get install python3 python3-pip",
            "sudo apt-get install python3-pip",
        ],
    ),
    (
        &["fedora", "rhel", "centos"],
        [
            "sudo dnf install gcc-c++",
            "sudo dnf install python3 python3-pip",
            "sudo dnf install python3-pip",
        ],
    ),
    (
        &["arch"],
        [
            "sudo pacman -S --needed gcc",
            "sudo pacman -S --needed python python-pip",
            "sudo pacman -S --needed python-pip",
        ],
    ),
    (
        &["suse", "opensuse"],
        [
            "sudo zypper install gcc-c++",
            "sudo zypper install python3 python3-pip",
            "sudo zypper install python3-pip",
        ],
    ),
];

const OTHER_LINUX: [&str; 3] = [
    "the packages gcc and g++ of your distribution",
    "the packages python3 and python3-pip of your distribution",
    "the package python3-pip of your distribution",
];
const MACOS: [&str; 3] = [
    "xcode-select --install",
    "xcode-select --install",
    "python3 -m ensurepip",
];
const WINDOWS: [&str; 3] = [
    "winget install Microsoft.VisualStudio.2022.BuildTools --override \"--add \
     Microsoft.VisualStudio.Workload.VCTools\"",
    "winget install Python.Python.3.12",
    "python -m ensurepip",
];

/// The command that installs `package`, given the text of `/etc/os-release` (empty elsewhere).
fn install(os: Os, os_release: &str, package: Package) -> &'static str {
    let commands = match os {
        Os::Macos => &MACOS,
        Os::Windows => &WINDOWS,
        Os::Linux => {
            let ids: Vec<&str> = os_release
                .lines()
                .filter_map(|line| line.strip_prefix("ID=").or(line.strip_prefix("ID_LIKE=")))
                .flat_map(|value| value.trim_matches('"').split_whitespace())
                .collect();
            let is_here = |words: &[&str]| {
                ids.iter()
                    .any(|id| words.iter().any(|word| id == word || id.starts_with(word)))
            };
            let family = FAMILIES.iter().find(|(words, _)| is_here(words));
            family.map_or(&OTHER_LINUX, |(_, commands)| commands)
        }
    };
    commands[package as usize]
}

fn install_here(package: Package) -> &'static str {
    let os_release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    install(Os::HERE, &os_release, package)
}

/// Checks that a C++ compiler works, by compiling a line that needs the standard library.
///
/// # Errors
/// [`Missing::Cxx`].
pub fn cxx() -> Result<(), Missing> {
    let named = std::env::var("CXX").ok().filter(|name| !name.is_empty());
    let names: Vec<&str> = match &named {
        Some(name) => vec![name],
        None => Os::HERE.cxx_compilers().to_vec(),
    };
    let mut detail = String::new();
    for name in &names {
        // A compiler command may carry arguments, as in `ccache g++`.
        let mut words = name.split_whitespace();
        let Some(program) = words.next() else {
            continue;
        };
        let mut command = Command::new(program);
        command.args(words);
        if Os::HERE == Os::Windows {
            // cl.exe reads no standard input; that it starts must do.
            if command
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status()
                .is_ok()
            {
                return Ok(());
            }
            continue;
        }
        match compile(command) {
            Some(Ok(())) => return Ok(()),
            Some(Err(said)) => detail = format!("\n  {name} said: {said}"),
            None => {}
        }
    }
    Err(Missing::Cxx {
        tried: names.join(", "),
        install: install_here(Package::Cxx),
        detail,
    })
}

/// Compiles a line with `command`; `None` if the compiler is not there.
fn compile(mut command: Command) -> Option<Result<(), String>> {
    command.args(["-x", "c++", "-std=c++17", "-fsyntax-only", "-"]);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let mut child = command.spawn().ok()?;
    if let Some(mut input) = child.stdin.take() {
        // A compiler that dies early is reported by its own message below.
        let _ = input.write_all(b"#include <vector>\n");
    }
    let output = child.wait_with_output().ok()?;
    if output.status.success() {
        return Some(Ok(()));
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Some(Err(said.lines().next().unwrap_or_default().to_owned()))
}

/// A Python with pip.
///
/// # Errors
/// [`Missing::Python`] or [`Missing::Pip`].
pub fn python_with_pip() -> Result<Python, Missing> {
    let python = Python::find().ok_or_else(|| Missing::Python(install_here(Package::Python)))?;
    if python.has_pip() {
        return Ok(python);
    }
    Err(Missing::Pip {
        python: python.program,
        install: install_here(Package::Pip),
    })
}

/// Checks that `folder` has room for `bytes`.
///
/// # Errors
/// [`Missing::Space`]. A file system that does not tell its free space passes.
pub fn disk_space(folder: &Path, bytes: u64) -> Result<(), Missing> {
    const MB: u64 = 1_000_000;
    match fs4::available_space(folder) {
        Ok(free) if free < bytes => Err(Missing::Space {
            folder: folder.to_owned(),
            free: free / MB,
            needed: bytes.div_ceil(MB),
        }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_fits_the_distribution() {
        let cases = [
            ("ID=debian\nVERSION_ID=\"12\"\n", "sudo apt-get install g++"),
            (
                "NAME=x\nID=linuxmint\nID_LIKE=\"ubuntu debian\"\n",
                "sudo apt-get install g++",
            ),
            (
                "ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\n",
                "sudo dnf install gcc-c++",
            ),
            (
                "ID=\"opensuse-tumbleweed\"\n",
                "sudo zypper install gcc-c++",
            ),
            ("ID=arch\n", "sudo pacman -S --needed gcc"),
            ("ID=nixos\n", OTHER_LINUX[0]),
            ("", OTHER_LINUX[0]),
        ];
        for (os_release, expected) in cases {
            assert_eq!(
                install(Os::Linux, os_release, Package::Cxx),
                expected,
                "{os_release}"
            );
        }
        assert_eq!(
            install(Os::Macos, "", Package::Cxx),
            "xcode-select --install"
        );
        assert_eq!(
            install(Os::Linux, "ID=debian", Package::Pip),
            "sudo apt-get install python3-pip"
        );
    }

    #[test]
    fn too_little_space_is_told_in_megabytes() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        disk_space(folder.path(), 1).expect("a byte fits");
        let message = disk_space(folder.path(), u64::MAX)
            .expect_err("no such disk")
            .to_string();
        assert!(
            message.contains("18446744073710 MB are needed"),
            "{message}"
        );
        assert!(message.contains("TENON_CACHE"), "{message}");
    }

    #[test]
    fn a_compiler_that_refuses_is_quoted() {
        let mut broken = Command::new("sh");
        broken.args(["-c", "echo 'fatal: no vector' >&2; exit 1"]);
        assert_eq!(compile(broken), Some(Err("fatal: no vector".to_owned())));
        assert_eq!(compile(Command::new("no-such-compiler-here")), None);
    }
}
