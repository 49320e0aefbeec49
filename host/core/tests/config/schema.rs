//! The schema for editors and the reference.

use insta::{assert_json_snapshot, assert_snapshot};
use serde_json::Value;
use tenon_core::config::{component_reference, reference, schema};

use super::fixture::Installed;

#[test]
fn schema_of_run_files() {
    assert_json_snapshot!(schema(&Installed));
}

/// Editors show what the schema says of each key, so each must say something.
#[test]
fn every_key_is_documented_and_typed() {
    fn visit(path: &str, schema: &Value, keys: &mut usize) {
        for (key, property) in schema["properties"].as_object().into_iter().flatten() {
            let path = format!("{path}.{key}");
            *keys += 1;
            let doc = property["description"].as_str().unwrap_or_default();
            assert!(doc.len() > 5 || key == "use", "{path} has no doc");
            assert!(
                ["type", "anyOf", "oneOf"]
                    .iter()
                    .any(|k| property.get(*k).is_some()),
                "{path} has no type"
            );
            assert_ne!(
                property.get("default"),
                Some(&Value::Null),
                "{path} defaults to null, which TOML has not"
            );
            visit(&path, property, keys);
            for branch in property["anyOf"].as_array().into_iter().flatten() {
                visit(&path, branch, keys);
            }
        }
    }
    let mut keys = 0;
    visit("", &schema(&Installed), &mut keys);
    assert!(keys > 60, "only {keys} keys were looked at");
}

#[test]
fn the_committed_reference_is_up_to_date() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/run-file.md");
    let committed = std::fs::read_to_string(path).expect("the reference of run files");
    assert!(
        committed == reference(),
        "docs/run-file.md differs from the code; `cargo xtask docs` brings it up to date"
    );
}

#[test]
fn components_in_markdown() {
    assert_snapshot!(component_reference(&Installed));
}
