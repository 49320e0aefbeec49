//! `cargo xtask arrows`: who may depend on whom, held against the real manifests.
//!
//! The arrows are the architecture: a plugin author links `plugin-api` and nothing of the host, a
//! metric author needs no libtorch, and the command line answers without loading it. Each rule is
//! a row of a table below; what breaks one is reported as the offending edge.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use cargo_metadata::{DependencyKind as Kind, MetadataCommand};

mod graph;

use graph::{Graph, Package};

/// What a package is in the house.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// `tenon-plugin-api`.
    PluginApi,
    /// Its procedural macros.
    Derive,
    /// `tenon-nn`.
    Nn,
    /// `tenon-testkit`.
    Testkit,
    /// The `tenon` binary.
    Binary,
    /// `tenon-core`.
    Core,
    /// `tenon-engine`.
    Engine,
    /// Any plugin but a metric.
    Plugin,
    /// A plugin of metrics.
    Metric,
    /// The workspace-level tests.
    Tests,
    /// The programs that measure what the boundary costs: they link what others open.
    Bench,
    /// This program.
    Xtask,
}

/// Every role, so that a check can tell that it saw all of them.
const ROLES: [Role; 12] = [
    Role::PluginApi,
    Role::Derive,
    Role::Nn,
    Role::Testkit,
    Role::Binary,
    Role::Core,
    Role::Engine,
    Role::Plugin,
    Role::Metric,
    Role::Tests,
    Role::Bench,
    Role::Xtask,
];

impl Role {
    /// The role of the package `name` whose manifest lies at `manifest` in the repository.
    fn of(name: &str, manifest: &str) -> Option<Self> {
        if manifest.starts_with("plugins/metrics/") {
            return Some(Self::Metric);
        }
        if manifest.starts_with("plugins/") {
            return Some(Self::Plugin);
        }
        Some(match name {
            "tenon-plugin-api" => Self::PluginApi,
            "tenon-plugin-api-derive" => Self::Derive,
            "tenon-nn" => Self::Nn,
            "tenon-testkit" => Self::Testkit,
            "tenon" => Self::Binary,
            "tenon-core" => Self::Core,
            "tenon-engine" => Self::Engine,
            "tenon-tests" => Self::Tests,
            "tenon-bench" => Self::Bench,
            "xtask" => Self::Xtask,
            _ => return None,
        })
    }

    /// Which of our packages it may link.
    fn may_link(self) -> &'static [Self] {
        match self {
            Self::PluginApi => &[Self::Derive],
            Self::Nn | Self::Core => &[Self::PluginApi],
            Self::Testkit | Self::Plugin | Self::Metric => &[Self::PluginApi, Self::Nn],
            Self::Binary => &[Self::Core, Self::Engine, Self::PluginApi],
            Self::Engine => &[Self::Core, Self::PluginApi, Self::Nn],
            Self::Tests => &[Self::Testkit, Self::PluginApi],
            Self::Bench => &[
                Self::Core,
                Self::Engine,
                Self::PluginApi,
                Self::Testkit,
                Self::Plugin,
                Self::Metric,
            ],
            Self::Derive | Self::Xtask => &[],
        }
    }

    /// Which of our packages its own tests may use in addition.
    fn tests_may_link(self) -> &'static [Self] {
        match self {
            Self::PluginApi | Self::Nn | Self::Plugin | Self::Metric => &[Self::Testkit],
            Self::Derive => &[Self::PluginApi],
            // Plugins linked statically register through the same registry: held there.
            Self::Engine => &[Self::Testkit, Self::Plugin, Self::Metric],
            _ => &[],
        }
    }

    /// Whether it may name `tch` in its manifest.
    fn may_name_tch(self) -> bool {
        matches!(
            self,
            Self::PluginApi | Self::Nn | Self::Testkit | Self::Engine | Self::Plugin
        )
    }

    /// Whether nothing that it links may lead to libtorch, with its default features.
    fn is_free_of_tch(self) -> bool {
        matches!(
            self,
            Self::PluginApi | Self::Derive | Self::Core | Self::Metric | Self::Binary | Self::Xtask
        )
    }
}

/// The crates that bind libtorch.
const TCH: [&str; 2] = ["tch", "torch-sys"];
/// The crate of the plugin boundary, replaceable because only one package names it.
const ABI: &str = "abi_stable";

/// What a check covered, and what it found.
#[derive(Debug, Default)]
pub struct Report {
    /// Packages of the workspace.
    pub packages: usize,
    /// Dependencies declared by them.
    pub edges: usize,
    /// One line for each broken rule.
    pub violations: Vec<String>,
}

/// Checks the workspace at `repository`.
///
/// # Errors
/// cargo cannot read the workspace (also when `Cargo.lock` is not up to date), or a rule is
/// broken: every violation is listed.
pub fn check(repository: &Path) -> Result<Report> {
    let metadata = MetadataCommand::new()
        .manifest_path(repository.join("Cargo.toml"))
        .other_options(["--locked".to_owned()])
        .exec()
        .context("reading the workspace with `cargo metadata --locked`")?;
    let graph = Graph::from_metadata(&metadata);
    let mut report = judge(&graph);
    for manifest in manifests(repository) {
        if graph
            .packages
            .iter()
            .all(|package| package.manifest != manifest)
        {
            report.violations.push(format!(
                "{manifest}: neither a member of the workspace nor a workspace of its own, so \
                 nothing builds or checks it"
            ));
        }
    }
    if !report.violations.is_empty() {
        bail!(
            "{} broken arrows among {} packages\n  {}",
            report.violations.len(),
            report.packages,
            report.violations.join("\n  ")
        );
    }
    Ok(report)
}

/// Holds every rule against `graph`.
fn judge(graph: &Graph) -> Report {
    let mut report = Report {
        packages: graph.packages.len(),
        ..Report::default()
    };
    let mut seen = BTreeSet::new();
    for package in &graph.packages {
        report.edges += package.dependencies.len();
        let Some(role) = Role::of(&package.name, &package.manifest) else {
            report.violations.push(format!(
                "{} ({}): has no place in the house; give it a role in xtask/src/arrows.rs",
                package.name, package.manifest
            ));
            continue;
        };
        seen.insert(role);
        judge_edges(graph, package, role, &mut report.violations);
        if role.is_free_of_tch()
            && let Some(path) = graph.path_to(package, &TCH, &passable(role))
        {
            report
                .violations
                .push(format!("{}: must not need libtorch", path.join(" → ")));
        }
    }
    for role in ROLES {
        if !seen.contains(&role) {
            let line = format!("no package has the role {role:?}: is this check looking in vain?");
            report.violations.push(line);
        }
    }
    report
}

/// Packages at which a search for libtorch stops.
fn passable(role: Role) -> Vec<&'static str> {
    // The binary is built together with the engine, but opens it at run time only.
    if role == Role::Binary {
        vec!["tenon-engine"]
    } else {
        Vec::new()
    }
}

/// The rules on what a manifest names.
fn judge_edges(graph: &Graph, package: &Package, role: Role, violations: &mut Vec<String>) {
    for dependency in &package.dependencies {
        let edge = format!("{} → {}", package.name, dependency.name);
        let of_tests = if dependency.kind == Kind::Development {
            " (dev)"
        } else {
            ""
        };
        if dependency.name == ABI && role != Role::PluginApi {
            violations.push(format!(
                "{edge}{of_tests}: only tenon-plugin-api names {ABI}"
            ));
        }
        if TCH.contains(&dependency.name.as_str()) {
            if !role.may_name_tch() {
                violations.push(format!(
                    "{edge}{of_tests}: must not name libtorch's bindings"
                ));
            } else if role == Role::PluginApi && !dependency.optional {
                violations.push(format!(
                    "{edge}{of_tests}: must be optional (feature torch)"
                ));
            }
        }
        let Some(target) = graph.member(&dependency.name) else {
            continue;
        };
        let Some(other) = Role::of(&target.name, &target.manifest) else {
            continue;
        };
        let in_tests = dependency.kind == Kind::Development;
        let allowed = role.may_link().contains(&other)
            || (in_tests && role.tests_may_link().contains(&other));
        if !allowed {
            violations.push(format!("{edge}{of_tests}: {}", reason(role, other)));
        }
    }
}

/// Why there is no arrow from `role` to `other`.
fn reason(role: Role, other: Role) -> String {
    let is_plugin = |role| matches!(role, Role::Plugin | Role::Metric);
    let is_host = |role| matches!(role, Role::Binary | Role::Core | Role::Engine);
    if is_plugin(role) && is_plugin(other) {
        "a plugin never depends on a plugin".into()
    } else if is_plugin(role) && is_host(other) {
        "a plugin never depends on the host".into()
    } else if is_host(role) && is_plugin(other) {
        "the host opens plugins at run time and never links one".into()
    } else {
        let name = |role: &Role| match role {
            Role::PluginApi => "plugin-api".to_owned(),
            role => format!("{role:?}").to_lowercase(),
        };
        let names: Vec<String> = role.may_link().iter().map(name).collect();
        match names.as_slice() {
            [] => "it may link no package of the workspace".into(),
            names => format!("it may link only {}", names.join(", ")),
        }
    }
}

/// Manifests in the repository, relative to its root, but for build output and workspaces of
/// their own (the examples that are built as a stranger would).
fn manifests(repository: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![repository.to_owned()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else {
            continue;
        };
        let manifest = folder.join("Cargo.toml");
        if let Ok(text) = fs::read_to_string(&manifest)
            && folder != repository
        {
            if text.lines().any(|line| line.trim() == "[workspace]") {
                continue;
            }
            if let Ok(relative) = manifest.strip_prefix(repository) {
                found.push(relative.to_string_lossy().replace('\\', "/"));
            }
        }
        for entry in entries.flatten() {
            let name = entry.file_name();
            let hidden = name.to_string_lossy().starts_with('.');
            let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
            if is_folder && !hidden && name != "target" && name != "runs" {
                folders.push(entry.path());
            }
        }
    }
    found.sort();
    found
}

#[cfg(test)]
mod tests;
