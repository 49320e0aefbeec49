//! JSON Schemas: of the run file, and of its tables together with a component's options.

use std::sync::OnceLock;

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::catalog::ComponentInfo;
use super::options::RunFile;

/// The tables of a run file, in order.
pub(super) const SECTIONS: [&str; 13] = [
    "run",
    "plugins",
    "model",
    "task",
    "data",
    "tokenizer",
    "peft",
    "metrics",
    "train",
    "evaluate",
    "generation",
    "prompt",
    "processors",
];

/// Those that are lists of tables.
pub(super) const LISTS: [&str; 2] = ["metrics", "processors"];

/// Schema of a run file without `extends` and `profile`. Tables that name a component allow
/// every key, for [`with_component`] to say which.
pub(super) fn host() -> &'static Value {
    static SCHEMA: OnceLock<Value> = OnceLock::new();
    SCHEMA.get_or_init(|| {
        let settings = SchemaSettings::draft07().with(|settings| settings.inline_subschemas = true);
        let mut schema = settings
            .into_generator()
            .into_root_schema_for::<RunFile>()
            .to_value();
        normalise(&mut schema);
        schema
    })
}

/// Schema of one table; of a list, that of an entry.
pub(super) fn section(name: &str) -> &'static Value {
    let schema = &host()["properties"][name];
    if LISTS.contains(&name) {
        &schema["items"]
    } else {
        schema
    }
}

/// The keys of a table that are the host's, not the component's.
pub(super) fn host_keys(name: &str) -> Vec<String> {
    section(name)["properties"]
        .as_object()
        .map(|keys| keys.keys().cloned().collect())
        .unwrap_or_default()
}

/// Groups of keys of which only one may be set, with the table that they stand in.
pub(super) fn alternatives() -> &'static [(String, Vec<String>)] {
    static GROUPS: OnceLock<Vec<(String, Vec<String>)>> = OnceLock::new();
    GROUPS.get_or_init(|| {
        let mut groups = Vec::new();
        collect_alternatives(host(), "", &mut groups);
        groups
    })
}

fn collect_alternatives(schema: &Value, path: &str, groups: &mut Vec<(String, Vec<String>)>) {
    groups.extend(
        either(schema)
            .into_iter()
            .map(|group| (path.to_owned(), group)),
    );
    for branch in schema["anyOf"].as_array().into_iter().flatten() {
        collect_alternatives(branch, path, groups);
    }
    for (key, property) in schema["properties"].as_object().into_iter().flatten() {
        let path = if path.is_empty() {
            key.clone()
        } else {
            format!("{path}.{key}")
        };
        collect_alternatives(property, &path, groups);
    }
}

/// The groups of keys of one table of which only one may be set.
pub(super) fn either(schema: &Value) -> Vec<Vec<String>> {
    serde_json::from_value(schema["x-tenon-either"].clone()).unwrap_or_default()
}

/// Schema of a table with the options of the component that it names.
pub(super) fn with_component(name: &str, component: &ComponentInfo) -> Value {
    let mut schema = section(name).clone();
    let own = component.schema["properties"]
        .as_object()
        .cloned()
        .unwrap_or_default();
    if let Some(properties) = schema["properties"].as_object_mut() {
        for (key, property) in own {
            // The host's keys come first: a component cannot take them away.
            properties.entry(key).or_insert(property);
        }
    }
    let required = component.schema["required"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    match schema["required"].as_array_mut() {
        Some(keys) => keys.extend(required),
        None => schema["required"] = Value::Array(required),
    }
    schema["additionalProperties"] = Value::Bool(false);
    schema["x-tenon-owner"] = json!(component.id);
    schema
}

/// Brings what schemars writes into the form that components' schemas have: no `null` (TOML has
/// none: absent is the only way to say it), enums as one list of words, no nested choices, docs
/// with one line for each paragraph.
fn normalise(schema: &mut Value) {
    match schema {
        Value::Array(items) => items.iter_mut().for_each(normalise),
        Value::Object(object) => {
            object.values_mut().for_each(normalise);
            without_null(object);
            enumerate(object);
            flatten(object);
            if let Some(Value::String(doc)) = object.get_mut("description") {
                let paragraphs: Vec<String> = doc
                    .split("\n\n")
                    .map(|lines| lines.split_whitespace().collect::<Vec<_>>().join(" "))
                    .collect();
                *doc = paragraphs.join("\n\n");
            }
            if object
                .get("format")
                .and_then(Value::as_str)
                .is_some_and(|format| format != "path")
            {
                object.remove("format");
            }
            let table = object.contains_key("properties");
            if table
                && !object.contains_key("additionalProperties")
                && !object.contains_key("x-tenon-component")
            {
                object.insert("additionalProperties".into(), Value::Bool(false));
            }
        }
        _ => {}
    }
}

fn without_null(object: &mut Map<String, Value>) {
    if let Some(Value::Array(types)) = object.get_mut("type") {
        types.retain(|kind| kind != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            object.insert("type".into(), only);
        }
    }
    for list in ["enum", "anyOf"] {
        if let Some(Value::Array(choices)) = object.get_mut(list) {
            choices.retain(|choice| !choice.is_null() && choice["type"] != "null");
        }
    }
    if object.get("default").is_some_and(Value::is_null) {
        object.remove("default");
    }
}

/// `oneOf` constants with docs → `enum` with `enumDescriptions`.
fn enumerate(object: &mut Map<String, Value>) {
    let Some(Value::Array(choices)) = object.get("oneOf") else {
        return;
    };
    let word = |choice: &Value| match &choice["const"] {
        Value::Null => choice["enum"]
            .as_array()
            .filter(|words| words.len() == 1)
            .map(|words| words[0].clone()),
        word => Some(word.clone()),
    };
    let Some(words) = choices.iter().map(word).collect::<Option<Vec<Value>>>() else {
        return;
    };
    let docs: Vec<Value> = choices
        .iter()
        .map(|choice| choice["description"].clone())
        .collect();
    object.remove("oneOf");
    object.insert("type".into(), json!("string"));
    object.insert("enum".into(), Value::Array(words));
    object.insert("enumDescriptions".into(), Value::Array(docs));
}

/// A choice among one is that one; a choice within a choice is one choice.
fn flatten(object: &mut Map<String, Value>) {
    for list in ["anyOf", "allOf"] {
        let Some(Value::Array(choices)) = object.get_mut(list) else {
            continue;
        };
        let nested =
            std::mem::take(choices)
                .into_iter()
                .flat_map(|choice| match choice.get(list) {
                    Some(Value::Array(inner)) => inner.clone(),
                    _ => vec![choice],
                });
        *choices = nested.collect();
        if let [Value::Object(only)] = choices.as_slice() {
            let only = only.clone();
            object.remove(list);
            for (key, value) in only {
                object.entry(key).or_insert(value);
            }
        }
    }
}
