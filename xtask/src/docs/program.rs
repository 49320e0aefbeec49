//! The program with the plugins in the box and no others, asked for what documents show.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use anyhow::{Context, Result, bail, ensure};
use cargo_metadata::MetadataCommand;
use serde::Deserialize;

use crate::cargo::{from_shell, repository, show};
use crate::platform::Os;

/// A folder with the program and the plugins of the workspace.
pub struct Program {
    folder: PathBuf,
    /// Folder of each plugin's sources, by its package.
    sources: BTreeMap<String, String>,
}

impl Program {
    /// Takes the program and the plugins out of `built`, where there may be other libraries.
    ///
    /// # Errors
    /// One of them is not there.
    pub fn gather(built: &Path) -> Result<Self> {
        let metadata = MetadataCommand::new()
            .manifest_path(repository().join("Cargo.toml"))
            .no_deps()
            .exec()
            .context("reading the workspace with `cargo metadata`")?;
        let plugins = metadata.packages.iter().filter_map(|package| {
            let folder = package.manifest_path.parent()?;
            let folder = folder.strip_prefix(&metadata.workspace_root).ok()?;
            let folder = folder.as_str().replace('\\', "/");
            let is_plugin = folder.starts_with("plugins/");
            is_plugin.then(|| (package.name.to_string(), folder))
        });
        let sources: BTreeMap<String, String> = plugins.collect();
        ensure!(!sources.is_empty(), "the workspace has no plugin");
        let folder = metadata.target_directory.as_std_path().join("docs");
        if folder.exists() {
            fs::remove_dir_all(&folder)
                .with_context(|| format!("removing {}", folder.display()))?;
        }
        fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
        let library = |package: &String| Os::HERE.library(&package.replace('-', "_"));
        let files = sources.keys().map(library);
        for file in files.chain([Os::HERE.program("tenon")]) {
            let (from, to) = (built.join(&file), folder.join(&file));
            fs::hard_link(&from, &to)
                .or_else(|_| fs::copy(&from, &to).map(drop))
                .with_context(|| format!("taking {}: is it built?", from.display()))?;
        }
        Ok(Self { folder, sources })
    }

    /// What the program prints on these arguments. It sees no plugin of the user's.
    ///
    /// # Errors
    /// It fails, or complains.
    pub fn run(&self, args: &[&str]) -> Result<String> {
        let (shown, output) = self.output(args)?;
        let complaint = String::from_utf8_lossy(&output.stderr);
        if !output.status.success() || !complaint.is_empty() {
            bail!("`{shown}` ({}): {}", output.status, complaint.trim_end());
        }
        String::from_utf8(output.stdout).with_context(|| format!("what `{shown}` prints"))
    }

    /// What the program complains of on these arguments.
    ///
    /// # Errors
    /// It does not fail.
    pub fn fail(&self, args: &[&str]) -> Result<String> {
        let (shown, output) = self.output(args)?;
        ensure!(!output.status.success(), "`{shown}` does not fail");
        String::from_utf8(output.stderr).with_context(|| format!("what `{shown}` says"))
    }

    fn output(&self, args: &[&str]) -> Result<(String, Output)> {
        let mut command = from_shell(&self.folder.join(Os::HERE.program("tenon")));
        command.args(args);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("TENON_") {
                command.env_remove(name);
            }
        }
        for name in ["HOME", "XDG_DATA_HOME", "APPDATA"] {
            command.env(name, self.folder.join("home"));
        }
        let shown = show(&command);
        let output = command
            .output()
            .with_context(|| format!("starting `{shown}`"))?;
        Ok((shown, output))
    }

    /// A table of the components, with the folders of their sources.
    ///
    /// # Errors
    /// The program fails, or names a plugin that is none of the workspace's.
    pub fn components(&self) -> Result<String> {
        let listed = self.run(&["plugin", "list", "--json"])?;
        let listed: Listed = serde_json::from_str(&listed).context("what `plugin list` prints")?;
        table(&listed, &self.sources)
    }
}

#[derive(Deserialize)]
struct Listed {
    plugins: Vec<Plugin>,
}

#[derive(Deserialize)]
struct Plugin {
    manifest: Manifest,
}

#[derive(Deserialize)]
struct Manifest {
    package: String,
    components: Vec<Component>,
}

#[derive(Deserialize)]
struct Component {
    kind: String,
    id: String,
    about: String,
}

/// Kinds in the order in which the table has them, as manifests and as people name them.
const KINDS: [(&str, &str); 4] = [
    ("model", "model"),
    ("task", "task"),
    ("peft", "PEFT method"),
    ("metric", "metric"),
];

fn table(listed: &Listed, sources: &BTreeMap<String, String>) -> Result<String> {
    let mut text = String::from("| kind | `use` | what | source |\n| --- | --- | --- | --- |\n");
    for (kind, noun) in KINDS {
        for Plugin { manifest } in &listed.plugins {
            let source = sources
                .get(&manifest.package)
                .with_context(|| format!("{} is no plugin of the workspace", manifest.package))?;
            for component in manifest
                .components
                .iter()
                .filter(|found| found.kind == kind)
            {
                let Component { id, about, .. } = component;
                let about = about.replace('|', "\\|");
                let _ = writeln!(
                    text,
                    "| {noun} | [`{id}`](docs/components.md#{id}) | {about} | [`{source}`]({source}) |"
                );
            }
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_goes_by_kind() {
        let listed = r#"{"plugins": [
            {"manifest": {"package": "tenon-m", "components": [
                {"kind": "metric", "id": "f1", "about": "a | b"},
                {"kind": "model", "id": "bert", "about": "A model"}
            ]}}
        ]}"#;
        let listed: Listed = serde_json::from_str(listed).expect("as printed");
        let sources = [("tenon-m".to_owned(), "plugins/m".to_owned())].into();
        let expected = "\
| kind | `use` | what | source |
| --- | --- | --- | --- |
| model | [`bert`](docs/components.md#bert) | A model | [`plugins/m`](plugins/m) |
| metric | [`f1`](docs/components.md#f1) | a \\| b | [`plugins/m`](plugins/m) |
";
        assert_eq!(table(&listed, &sources).expect("a table"), expected);
        assert!(table(&listed, &BTreeMap::new()).is_err());
    }
}
