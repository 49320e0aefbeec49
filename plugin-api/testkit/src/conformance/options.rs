//! The checks of options.

use serde_json::{Map, Value, json};
use tenon_plugin_api::Options;

/// Checks that options have a closed, documented schema whose defaults and bounds are those that
/// reading them keeps.
///
/// # Panics
/// They have not.
#[track_caller]
pub fn check<O: Options>() {
    let schema: Value = match serde_json::from_str(O::SCHEMA) {
        Ok(schema) => schema,
        Err(error) => panic!("the options' schema is not JSON: {error}\n{}", O::SCHEMA),
    };
    assert_eq!(
        schema["additionalProperties"],
        json!(false),
        "the options' schema lets unknown keys pass"
    );
    let Some(properties) = schema["properties"].as_object() else {
        panic!("the options' schema has no `properties`: {schema}")
    };
    for (key, property) in properties {
        let doc = property["description"].as_str().unwrap_or_default();
        assert!(!doc.is_empty(), "option `{key}` has no doc comment");
    }
    let required: Vec<&str> = schema["required"]
        .as_array()
        .map(|all| all.iter().filter_map(Value::as_str).collect())
        .unwrap_or_default();
    unknown_keys_are_refused::<O>(&required);
    if !required.is_empty() {
        return;
    }
    accept::<O>(&Map::new());
    for (key, property) in properties {
        if let Some(default) = property.get("default") {
            accept::<O>(&Map::from_iter([(key.clone(), default.clone())]));
        }
        if let Some(minimum) = property["minimum"].as_f64() {
            refuse::<O>(key, json!(minimum - 1.0));
        }
        if let Some(maximum) = property["maximum"].as_f64() {
            refuse::<O>(key, json!(maximum + 1.0));
        }
    }
}

#[track_caller]
fn unknown_keys_are_refused<O: Options>(required: &[&str]) {
    let key = "no_such_option";
    let Err(error) = O::from_json(&json!({ key: 1 }).to_string()) else {
        panic!("options take the unknown key `{key}`")
    };
    // A required option that is missing may be told first.
    let told = error.to_string();
    assert!(
        told.contains(key) || required.iter().any(|required| told.contains(required)),
        "the error about the unknown key `{key}` does not name it: {told}"
    );
}

#[track_caller]
fn accept<O: Options>(table: &Map<String, Value>) {
    let text = Value::Object(table.clone()).to_string();
    if let Err(error) = O::from_json(&text) {
        panic!("options refuse {text}, which their schema allows: {error}");
    }
}

#[track_caller]
fn refuse<O: Options>(key: &str, value: Value) {
    let text = json!({ key: value }).to_string();
    assert!(
        O::from_json(&text).is_err(),
        "options take {text}, which their schema forbids"
    );
}
