//! Workspaces made up to break one rule each.

use super::graph::Dependency;
use super::*;

/// A dependency: `name`, `name?` (optional), `name+feature`, `dev name`.
fn dependency(text: &str) -> Dependency {
    let (kind, text) = match text.strip_prefix("dev ") {
        Some(rest) => (Kind::Development, rest),
        None => (Kind::Normal, text),
    };
    let (text, features) = match text.split_once('+') {
        Some((name, feature)) => (name, vec![feature.to_owned()]),
        None => (text, Vec::new()),
    };
    let name = text.trim_end_matches('?').to_owned();
    Dependency {
        alias: name.clone(),
        kind,
        optional: text.ends_with('?'),
        features,
        default_features: true,
        name,
    }
}

fn package(name: &str, manifest: &str, dependencies: &[&str]) -> Package {
    Package {
        name: name.into(),
        manifest: manifest.into(),
        dependencies: dependencies.iter().map(|text| dependency(text)).collect(),
        features: [("default".to_owned(), Vec::new())].into(),
    }
}

/// A workspace in which every rule holds.
fn sound() -> Graph {
    let mut graph = Graph {
        packages: vec![
            package(
                "tenon-plugin-api",
                "plugin-api/Cargo.toml",
                &[
                    "tenon-plugin-api-derive",
                    "abi_stable",
                    "tch?",
                    "dev tenon-testkit",
                ],
            ),
            package(
                "tenon-plugin-api-derive",
                "plugin-api/derive/Cargo.toml",
                &["syn"],
            ),
            package(
                "tenon-nn",
                "plugin-api/nn/Cargo.toml",
                &["tenon-plugin-api+torch", "tch"],
            ),
            package(
                "tenon-testkit",
                "plugin-api/testkit/Cargo.toml",
                &["tenon-plugin-api"],
            ),
            package(
                "tenon",
                "host/Cargo.toml",
                &["tenon-core", "tenon-engine", "clap"],
            ),
            package(
                "tenon-core",
                "host/core/Cargo.toml",
                &["tenon-plugin-api", "figment"],
            ),
            package(
                "tenon-engine",
                "host/engine/Cargo.toml",
                &[
                    "tenon-core",
                    "tenon-plugin-api+torch",
                    "tenon-nn",
                    "tch",
                    "dev tenon-bert",
                ],
            ),
            package(
                "tenon-bert",
                "plugins/models/bert/Cargo.toml",
                &[
                    "tenon-plugin-api+torch",
                    "tenon-nn",
                    "tch",
                    "dev tenon-testkit",
                ],
            ),
            package(
                "tenon-f1",
                "plugins/metrics/f1/Cargo.toml",
                &["tenon-plugin-api"],
            ),
            package("tenon-tests", "tests/Cargo.toml", &["dev tenon-testkit"]),
            package(
                "tenon-bench",
                "bench/Cargo.toml",
                &["tenon-engine", "tenon-bert", "tenon-f1"],
            ),
            package("xtask", "xtask/Cargo.toml", &["clap"]),
        ],
        ..Graph::default()
    };
    graph.packages[0]
        .features
        .insert("torch".into(), vec!["dep:tch".into()]);
    graph
        .others
        .insert("tch".into(), ["torch-sys".to_owned()].into());
    graph
}

/// Adds `dependency_text` to the package `name`; expects exactly the `expected` violations.
fn check(name: &str, dependency_text: &str, expected: &[&str]) {
    let mut graph = sound();
    let package = graph
        .packages
        .iter_mut()
        .find(|package| package.name == name);
    package
        .expect("a package of the graph")
        .dependencies
        .push(dependency(dependency_text));
    assert_eq!(
        judge(&graph).violations,
        expected,
        "{name} + {dependency_text}"
    );
}

#[test]
fn a_sound_workspace_passes_and_is_counted() {
    let report = judge(&sound());
    assert_eq!(report.violations, [""; 0]);
    assert_eq!((report.packages, report.edges), (12, 28));
}

#[test]
fn a_plugin_stays_with_the_plugin_api() {
    check(
        "tenon-bert",
        "tenon-core",
        &["tenon-bert → tenon-core: a plugin never depends on the host"],
    );
    check(
        "tenon-bert",
        "tenon-f1",
        &["tenon-bert → tenon-f1: a plugin never depends on a plugin"],
    );
    check(
        "tenon-f1",
        "dev tenon-bert",
        &["tenon-f1 → tenon-bert (dev): a plugin never depends on a plugin"],
    );
    check(
        "tenon-f1",
        "dev tenon-engine",
        &["tenon-f1 → tenon-engine (dev): a plugin never depends on the host"],
    );
}

#[test]
fn the_host_links_no_plugin() {
    check(
        "tenon-engine",
        "tenon-bert",
        &["tenon-engine → tenon-bert: the host opens plugins at run time and never links one"],
    );
    check(
        "tenon",
        "tenon-nn",
        &[
            "tenon → tenon-nn: it may link only core, engine, plugin-api",
            "tenon → tenon-nn → tenon-plugin-api → tch: must not need libtorch",
        ],
    );
    check(
        "xtask",
        "tenon-core",
        &["xtask → tenon-core: it may link no package of the workspace"],
    );
}

#[test]
fn the_command_line_and_metrics_need_no_libtorch() {
    check(
        "tenon-core",
        "tch",
        &[
            "tenon → tenon-core → tch: must not need libtorch",
            "tenon-core → tch: must not name libtorch's bindings",
            "tenon-core → tch: must not need libtorch",
        ],
    );
    check(
        "tenon-f1",
        "tenon-plugin-api+torch",
        &["tenon-f1 → tenon-plugin-api → tch: must not need libtorch"],
    );
    check(
        "tenon-plugin-api",
        "tch",
        &[
            "tenon-plugin-api → tch: must be optional (feature torch)",
            "tenon-plugin-api → tch: must not need libtorch",
            "tenon → tenon-core → tenon-plugin-api → tch: must not need libtorch",
            "tenon-core → tenon-plugin-api → tch: must not need libtorch",
            "tenon-f1 → tenon-plugin-api → tch: must not need libtorch",
        ],
    );
}

#[test]
fn libtorch_is_found_behind_features_and_other_crates() {
    let mut graph = sound();
    graph.packages[0]
        .features
        .insert("default".into(), vec!["extras".into()]);
    graph.packages[0]
        .features
        .insert("extras".into(), vec!["torch".into()]);
    let violations = judge(&graph).violations;
    assert_eq!(
        violations[0],
        "tenon-plugin-api → tch: must not need libtorch"
    );

    let mut graph = sound();
    graph
        .others
        .insert("figment".into(), ["a".to_owned(), "b".to_owned()].into());
    graph
        .others
        .insert("b".into(), ["torch-sys".to_owned()].into());
    let violations = judge(&graph).violations;
    assert!(
        violations
            .contains(&"tenon-core → figment → b → torch-sys: must not need libtorch".to_owned()),
        "{violations:?}"
    );
}

#[test]
fn only_the_plugin_api_names_the_boundary_crate() {
    for name in ["tenon-core", "tenon-bert", "tenon-engine"] {
        let edge = format!("{name} → abi_stable: only tenon-plugin-api names abi_stable");
        check(name, "abi_stable", &[&edge]);
    }
}

#[test]
fn a_package_without_a_place_and_an_empty_role_are_told() {
    let mut graph = sound();
    graph
        .packages
        .push(package("tenon-misc", "misc/Cargo.toml", &[]));
    graph.packages.retain(|package| package.name != "tenon-nn");
    let violations = judge(&graph).violations;
    assert!(
        violations[0].contains("tenon-misc (misc/Cargo.toml): has no place"),
        "{violations:?}"
    );
    assert!(
        violations[1].contains("no package has the role Nn"),
        "{violations:?}"
    );
}

#[test]
fn a_manifest_outside_the_workspace_is_found() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (path, text) in [
        ("Cargo.toml", "[workspace]\n"),
        ("plugins/a/Cargo.toml", "[package]\n"),
        ("docs/guide/Cargo.toml", "[package]\n\n[workspace]\n"),
        ("target/b/Cargo.toml", "[package]\n"),
    ] {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        fs::write(path, text).expect("a manifest");
    }
    assert_eq!(manifests(folder.path()), ["plugins/a/Cargo.toml"]);
}

#[test]
fn this_workspace_holds_its_arrows() {
    let report = super::check(&crate::cargo::repository()).expect("no broken arrow");
    assert!(
        report.packages >= 14,
        "only {} packages were checked",
        report.packages
    );
}
