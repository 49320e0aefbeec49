//! Starting cargo and other programs from xtask.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use cargo_metadata::MetadataCommand;

use crate::cargo_config;

/// The repository's root: that of the `cargo run` which started this program, else the one from
/// which it was built.
pub fn repository() -> PathBuf {
    let started = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    let package = started.unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")));
    package.parent().map(Path::to_owned).unwrap_or(package)
}

/// A cargo command in the repository, as if started from a shell.
pub fn cargo() -> Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = from_shell(Path::new(&program));
    // Set-up may have changed it since cargo exported it to this program.
    if let Some(root) = cargo_config::configured(&cargo_config::path(&repository())) {
        command.env("LIBTORCH", root);
    }
    command
}

/// A command in the repository with the environment of the shell that started this program.
///
/// `cargo run` exports variables about the xtask package and puts its own folders on the library
/// path. A nested cargo must not see them: build scripts that watch such a variable would run
/// again whenever one changes between `cargo xtask test` and `cargo test`. And a binary must find
/// its libraries without them.
pub fn from_shell(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(repository());
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_"]
            .iter()
            .any(|p| text.starts_with(p))
        {
            command.env_remove(&name);
        }
    }
    for name in ["CARGO", "CARGO_CRATE_NAME", "CARGO_PRIMARY_PACKAGE"] {
        command.env_remove(name);
    }
    for name in ["LD_LIBRARY_PATH", "DYLD_FALLBACK_LIBRARY_PATH"] {
        match library_path(name) {
            Some(path) => command.env(name, path),
            None => command.env_remove(name),
        };
    }
    command
}

/// The plugins of the workspace, and cargo's folder for what it builds.
///
/// # Errors
/// cargo cannot read the workspace, or there is no plugin in it.
pub fn plugins() -> Result<(Vec<String>, PathBuf)> {
    let metadata = MetadataCommand::new()
        .manifest_path(repository().join("Cargo.toml"))
        .no_deps()
        .exec()
        .context("reading the workspace with `cargo metadata`")?;
    let folder = metadata.workspace_root.join("plugins");
    let packages = metadata.packages.iter();
    let plugins: Vec<String> = packages
        .filter(|package| package.manifest_path.starts_with(&folder))
        .map(|package| package.name.to_string())
        .collect();
    if plugins.is_empty() {
        bail!("no package of the workspace lies in {folder}");
    }
    Ok((plugins, metadata.target_directory.into_std_path_buf()))
}

/// Flags by which cargo builds xtask as the alias in `.cargo/config.toml` does, so that testing
/// and linting it reuses what runs it.
pub fn xtask_build() -> [&'static str; 4] {
    [
        "--profile",
        "xtask",
        "--config",
        "target.'cfg(all())'.rustflags=['--cfg=xtask']",
    ]
}

/// The user's part of a library path: without cargo's build folders and the toolchain's.
fn library_path(name: &str) -> Option<std::ffi::OsString> {
    let value = std::env::var_os(name)?;
    let is_cargos = |path: &Path| {
        path.starts_with(repository().join("target"))
            || path.components().any(|part| part.as_os_str() == "rustlib")
            || path
                .parent()
                .is_some_and(|p| p.parent().is_some_and(|p| p.ends_with("toolchains")))
    };
    let own: Vec<PathBuf> = std::env::split_paths(&value)
        .filter(|path| !is_cargos(path))
        .collect();
    if own.is_empty() {
        None
    } else {
        std::env::join_paths(own).ok()
    }
}

/// Runs `command` to its end, its output on the terminal.
///
/// # Errors
/// It cannot be started, or fails; its own words are on the terminal by then.
pub fn run(command: &mut Command) -> Result<()> {
    let shown = show(command);
    let status = command
        .status()
        .with_context(|| format!("starting `{shown}`"))?;
    if !status.success() {
        bail!("`{shown}` failed ({status})");
    }
    Ok(())
}

/// The command line of `command`, for messages.
pub fn show(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let mut words = vec![
        program
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned(),
    ];
    words.extend(command.get_args().map(|word| {
        let word = word.to_string_lossy();
        if word.contains(' ') {
            format!("'{word}'")
        } else {
            word.into_owned()
        }
    }));
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn xtask_is_built_as_its_alias_builds_it() {
        let path = repository().join(".cargo").join("config.toml");
        let text = std::fs::read_to_string(path).expect("the committed configuration");
        let table: toml::Table = text.parse().expect("valid TOML");
        let alias = table["alias"]["xtask"]
            .as_array()
            .expect("the alias is a list");
        let words: Vec<&str> = alias.iter().filter_map(toml::Value::as_str).collect();
        let is_there = words.windows(4).any(|four| four == xtask_build());
        assert!(is_there, "{words:?} lacks {:?}", xtask_build());
    }

    #[test]
    fn a_nested_cargo_sees_nothing_of_the_one_around_it() {
        let command = cargo();
        let seen = |name: &str| {
            let mut found = command.get_envs().filter(|(key, _)| *key == name);
            found.next().and_then(|(_, value)| value)
        };
        for name in ["CARGO_PKG_NAME", "CARGO_MANIFEST_DIR", "CARGO"] {
            assert!(
                std::env::var_os(name).is_some(),
                "cargo no longer exports {name}"
            );
            assert_eq!(seen(name), None, "{name}");
            assert!(
                command.get_envs().any(|(key, _)| key == name),
                "{name} is passed on"
            );
        }
    }

    #[test]
    fn a_command_line_is_shown_as_it_would_be_typed() {
        let mut command = Command::new("/usr/bin/cargo");
        command.args(["test", "--config", "a = 1"]);
        assert_eq!(show(&command), "cargo test --config 'a = 1'");
    }
}
