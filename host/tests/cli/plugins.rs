//! `tenon plugin`.

use insta::assert_snapshot;

use super::place::{Called, Place};

/// Hashes, times and features differ from build to build.
fn stable(call: &Called) -> String {
    let text = call.shown();
    let lines = text.lines().map(|line| {
        let key = line.trim_start().split(' ').next().unwrap_or_default();
        let start = line.len() - line.trim_start().len();
        match key {
            "sha256" => format!("{}sha256     [hash]", &line[..start]),
            // What other crates are built with decides it, for plugins that use none.
            "libtorch" => format!("{}libtorch   [version]", &line[..start]),
            "opened" => format!("{}opened in  [time]", &line[..start]),
            _ => line.to_owned(),
        }
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn the_plugins_of_the_box() {
    assert_snapshot!(Place::with_all_plugins().tenon("plugin list").shown());
}

#[test]
fn a_component_and_its_options() {
    let place = Place::new();
    let call = place.tenon("plugin inspect f1 --open");
    assert_snapshot!(stable(&call));
}

#[test]
fn a_plugin_and_all_its_components() {
    let place = Place::new();
    let call = place.tenon("plugin inspect classification-metrics");
    assert_snapshot!(stable(&call));
}

#[test]
fn what_cannot_be_shown() {
    let place = Place::with(&[])
        .file("bin/libtenon_broken.so", "not a library")
        .file("more/libother.so", "neither");
    let calls = [
        place.tenon("plugin list"),
        place.tenon("plugin list --plugin-dir more/libother.so"),
        place.tenon("plugin list --plugin-dir nowhere"),
        place.tenon("plugin inspect f1"),
        place.tenon("plugin inspect broken"),
    ];
    assert_snapshot!(calls.map(|call| stable(&call)).join("\n"));
}

#[test]
fn plugins_for_scripts() {
    let found = Place::new()
        .tenon("plugin inspect classification-metrics::f1 --json")
        .json();
    let plugin = &found["plugins"][0];
    assert_eq!(plugin["name"], "classification-metrics");
    assert_eq!(plugin["problem"], serde_json::Value::Null);
    assert_eq!(plugin["sha256"].as_str().map(str::len), Some(64));
    let components = plugin["manifest"]["components"]
        .as_array()
        .expect("components");
    assert!(components.iter().any(|component| component["id"] == "f1"));
}
