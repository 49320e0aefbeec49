//! The packages of the workspace, what their manifests declare, and what they lead to.

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::{DependencyKind as Kind, Metadata};

/// A dependency as a manifest declares it.
#[derive(Debug, Clone)]
pub struct Dependency {
    /// Name of the package.
    pub name: String,
    /// Name under which the manifest's features know it (differs when renamed).
    pub alias: String,
    /// Normal, build or development.
    pub kind: Kind,
    /// Whether a feature must enable it.
    pub optional: bool,
    /// Features asked for.
    pub features: Vec<String>,
    /// Whether the default features are asked for.
    pub default_features: bool,
}

/// A member of the workspace.
#[derive(Debug, Clone)]
pub struct Package {
    /// Name.
    pub name: String,
    /// Manifest, relative to the repository, with `/`.
    pub manifest: String,
    /// What it declares.
    pub dependencies: Vec<Dependency>,
    /// Its features and what each turns on.
    pub features: BTreeMap<String, Vec<String>>,
}

/// The workspace and what lies around it.
#[derive(Debug, Default)]
pub struct Graph {
    /// The members.
    pub packages: Vec<Package>,
    /// Other packages by name, with the names of all that they depend on.
    pub others: BTreeMap<String, BTreeSet<String>>,
}

/// Features of a package that are on, and what they ask of its dependencies.
#[derive(Default)]
struct Enabled {
    features: BTreeSet<String>,
    /// Optional dependencies that are on, by alias.
    dependencies: BTreeSet<String>,
    /// Features asked of dependencies, by alias.
    asked: BTreeMap<String, BTreeSet<String>>,
}

impl Graph {
    /// Reads what cargo says about a workspace.
    pub fn from_metadata(metadata: &Metadata) -> Self {
        let mut graph = Self::default();
        let members: BTreeSet<_> = metadata.workspace_members.iter().collect();
        for package in &metadata.packages {
            let name = package.name.to_string();
            if members.contains(&package.id) {
                let manifest = &package.manifest_path;
                let relative = manifest
                    .strip_prefix(&metadata.workspace_root)
                    .unwrap_or(manifest);
                let dependencies = package.dependencies.iter().map(|d| Dependency {
                    name: d.name.clone(),
                    alias: d.rename.clone().unwrap_or_else(|| d.name.clone()),
                    kind: d.kind,
                    optional: d.optional,
                    features: d.features.clone(),
                    default_features: d.uses_default_features,
                });
                graph.packages.push(Package {
                    name,
                    manifest: relative.as_str().replace('\\', "/"),
                    dependencies: dependencies.collect(),
                    features: package.features.clone().into_iter().collect(),
                });
            } else {
                // Whatever a feature may turn on counts: outside the workspace nothing leads to
                // libtorch but its bindings.
                let normal = package
                    .dependencies
                    .iter()
                    .filter(|d| d.kind != Kind::Development);
                let names = normal.map(|d| d.name.clone());
                graph.others.entry(name).or_default().extend(names);
            }
        }
        graph
    }

    /// The member called `name`.
    pub fn member(&self, name: &str) -> Option<&Package> {
        self.packages.iter().find(|package| package.name == name)
    }

    /// The way from `start`, with its default features, to one of `targets`, not through any of
    /// `barred`. Follows what is linked, not what only tests use.
    pub fn path_to(
        &self,
        start: &Package,
        targets: &[&str],
        barred: &[&str],
    ) -> Option<Vec<String>> {
        let features = BTreeSet::from(["default".to_owned()]);
        let mut visited = BTreeSet::new();
        let mut path = vec![start.name.clone()];
        let found = self.walk(start, &features, targets, barred, &mut visited, &mut path);
        found.then_some(path)
    }

    /// Depth-first search; leaves the way in `path` when it returns true.
    fn walk(
        &self,
        package: &Package,
        features: &BTreeSet<String>,
        targets: &[&str],
        barred: &[&str],
        visited: &mut BTreeSet<(String, BTreeSet<String>)>,
        path: &mut Vec<String>,
    ) -> bool {
        if !visited.insert((package.name.clone(), features.clone())) {
            return false;
        }
        let enabled = package.enable(features);
        for dependency in &package.dependencies {
            let is_off = dependency.optional && !enabled.dependencies.contains(&dependency.alias);
            let name = dependency.name.as_str();
            if is_off || dependency.kind == Kind::Development || barred.contains(&name) {
                continue;
            }
            path.push(dependency.name.clone());
            if targets.contains(&name) {
                return true;
            }
            let found = match self.member(name) {
                Some(member) => {
                    let mut asked: BTreeSet<String> = dependency.features.iter().cloned().collect();
                    asked.extend(
                        enabled
                            .asked
                            .get(&dependency.alias)
                            .into_iter()
                            .flatten()
                            .cloned(),
                    );
                    if dependency.default_features {
                        asked.insert("default".into());
                    }
                    self.walk(member, &asked, targets, barred, visited, path)
                }
                None => self.walk_others(name, targets, visited, path),
            };
            if found {
                return true;
            }
            path.pop();
        }
        false
    }

    /// The same among packages outside the workspace.
    fn walk_others(
        &self,
        name: &str,
        targets: &[&str],
        visited: &mut BTreeSet<(String, BTreeSet<String>)>,
        path: &mut Vec<String>,
    ) -> bool {
        if !visited.insert((name.to_owned(), BTreeSet::new())) {
            return false;
        }
        for next in self.others.get(name).into_iter().flatten() {
            path.push(next.clone());
            if targets.contains(&next.as_str()) || self.walk_others(next, targets, visited, path) {
                return true;
            }
            path.pop();
        }
        false
    }
}

impl Package {
    /// What turning on `features` turns on.
    fn enable(&self, features: &BTreeSet<String>) -> Enabled {
        let mut enabled = Enabled::default();
        let mut waiting: Vec<String> = features.iter().cloned().collect();
        while let Some(feature) = waiting.pop() {
            if !enabled.features.insert(feature.clone()) {
                continue;
            }
            for entry in self.features.get(&feature).into_iter().flatten() {
                if let Some(dependency) = entry.strip_prefix("dep:") {
                    enabled.dependencies.insert(dependency.to_owned());
                } else if let Some((dependency, asked)) = entry.split_once('/') {
                    let alias = dependency.trim_end_matches('?');
                    // `name?/feature` asks something of the dependency without turning it on.
                    if alias == dependency {
                        enabled.dependencies.insert(alias.to_owned());
                    }
                    enabled
                        .asked
                        .entry(alias.to_owned())
                        .or_default()
                        .insert(asked.to_owned());
                } else {
                    waiting.push(entry.clone());
                }
            }
        }
        enabled
    }
}
