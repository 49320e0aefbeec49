//! `.cargo/libtorch.toml`: where plain `cargo` and rust-analyzer learn about libtorch.
//!
//! The committed `.cargo/config.toml` includes it if it is there. It sets `LIBTORCH` for
//! torch-sys and the run path of every binary.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use toml::{Table, Value};

use crate::libtorch::Libtorch;
use crate::platform::Os;

/// Which table of cargo's configuration carries the flags.
///
/// cargo reads `target.*.rustflags` and ignores `build.rustflags` when both are set, but joins
/// the same key of several files. So the flags go where the user's own flags already are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlagsTable {
    /// `[build]`: the user has no `target.*.rustflags`.
    Build,
    /// `[target.'cfg(all())']`: the user has.
    Target,
}

/// The file, given the repository's root.
pub fn path(repository: &Path) -> PathBuf {
    repository.join(".cargo").join("libtorch.toml")
}

/// The folder that the file at `path` names, if the file is there and readable.
pub fn configured(path: &Path) -> Option<PathBuf> {
    let table: Table = fs::read_to_string(path).ok()?.parse().ok()?;
    table
        .get("env")?
        .get("LIBTORCH")?
        .as_str()
        .map(PathBuf::from)
}

/// Writes the file for `libtorch`; says whether it had to change.
///
/// # Errors
/// The file cannot be written.
pub fn write(path: &Path, libtorch: &Libtorch, table: FlagsTable) -> Result<bool> {
    let text = render(libtorch, table);
    if fs::read_to_string(path).is_ok_and(|present| present == text) {
        return Ok(false);
    }
    let scratch = path.with_extension("toml.new");
    fs::write(&scratch, text)
        .and_then(|()| fs::rename(&scratch, path))
        .with_context(|| format!("writing {}", path.display()))?;
    Ok(true)
}

fn render(libtorch: &Libtorch, table: FlagsTable) -> String {
    let quoted = |text: String| Value::String(text).to_string();
    let flags: Vec<String> = Os::HERE
        .rpath_flags(&libtorch.lib())
        .into_iter()
        .map(quoted)
        .collect();
    let root = Value::String(libtorch.root.display().to_string());
    let header = match table {
        FlagsTable::Build => "",
        FlagsTable::Target => "\n[target.'cfg(all())']\n",
    };
    let (version, flags) = (&libtorch.version, flags.join(", "));
    // Tests in docs are programs, too, which rustdoc links.
    format!(
        "# Written by `cargo xtask setup` for libtorch {version}; not for version control.\n\
         \n[env]\nLIBTORCH = {root}\n\
         \n[build]\nrustdocflags = [{flags}]\n{header}rustflags = [{flags}]\n"
    )
}

/// Finds out where the user's own configuration, outside the repository, keeps rustc flags.
pub fn flags_table(repository: &Path) -> FlagsTable {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let above = repository
        .ancestors()
        .skip(1)
        .map(|folder| folder.join(".cargo"));
    let folders = above.chain(home);
    let files = folders.flat_map(|folder| [folder.join("config.toml"), folder.join("config")]);
    let texts = files.filter_map(|file| fs::read_to_string(file).ok());
    if texts.into_iter().any(|text| has_target_flags(&text)) {
        FlagsTable::Target
    } else {
        FlagsTable::Build
    }
}

fn has_target_flags(text: &str) -> bool {
    let Ok(table) = text.parse::<Table>() else {
        return false;
    };
    let targets = table.get("target").and_then(Value::as_table);
    targets.is_some_and(|targets| {
        targets
            .values()
            .any(|target| target.get("rustflags").is_some())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back_and_left_alone() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("libtorch.toml");
        let root = PathBuf::from("/a \"quoted\" place/libtorch");
        let libtorch = Libtorch {
            root: root.clone(),
            version: "2.11.0".into(),
        };
        assert_eq!(configured(&path), None);
        assert!(write(&path, &libtorch, FlagsTable::Build).expect("written"));
        assert_eq!(configured(&path), Some(root));
        assert!(!write(&path, &libtorch, FlagsTable::Build).expect("left alone"));
        assert!(write(&path, &libtorch, FlagsTable::Target).expect("another table"));
    }

    #[test]
    fn the_flags_are_an_array_of_the_chosen_table() {
        let libtorch = Libtorch {
            root: "/t".into(),
            version: "2.11.0".into(),
        };
        for (choice, keys) in [
            (FlagsTable::Build, ["build", "rustflags"].as_slice()),
            (FlagsTable::Target, &["target", "cfg(all())", "rustflags"]),
        ] {
            let table: Table = render(&libtorch, choice).parse().expect("valid TOML");
            let mut value = &Value::Table(table);
            for key in keys {
                value = value.get(*key).expect("the table of the flags");
            }
            let expected = Os::HERE.rpath_flags(&Path::new("/t").join("lib"));
            assert_eq!(value.as_array().expect("an array").len(), expected.len());
        }
    }

    #[test]
    fn flags_of_the_user_are_noticed() {
        let cases = [
            (
                "[target.x86_64-unknown-linux-gnu]\nrustflags = [\"-Ctarget-cpu=native\"]",
                true,
            ),
            ("[target.'cfg(unix)']\nrustflags = \"-g\"", true),
            (
                "[target.x86_64-unknown-linux-gnu]\nlinker = \"clang\"",
                false,
            ),
            ("[build]\nrustflags = [\"-g\"]", false),
            ("", false),
        ];
        for (text, expected) in cases {
            assert_eq!(has_target_flags(text), expected, "{text}");
        }
    }
}
