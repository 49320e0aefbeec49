//! The JSON Schema that editors complete and check run files with.

use serde_json::{Map, Value, json};

use super::catalog::{Catalog, ComponentInfo, Kind};
use super::components::FULL;
use super::schema::{LISTS, SECTIONS, host, section, with_component};

/// JSON Schema of whole run files, with the options of the components in `catalog`. No key of a
/// table is required, as a file that this one extends may have it.
pub fn schema(catalog: &dyn Catalog) -> Value {
    let mut schema = host().clone();
    let named = [
        ("model", Kind::Model),
        ("task", Kind::Task),
        ("peft", Kind::Peft),
        ("metrics", Kind::Metric),
        ("processors", Kind::Processor),
    ];
    for (name, kind) in named {
        let table = component_table(name, &catalog.components(kind));
        if LISTS.contains(&name) {
            schema["properties"][name]["items"] = table;
        } else {
            schema["properties"][name] = table;
        }
    }
    let tables: Map<String, Value> = SECTIONS
        .iter()
        .map(|name| {
            (
                (*name).to_owned(),
                json!({ "$ref": format!("#/properties/{name}") }),
            )
        })
        .collect();
    let path = json!({ "type": "string", "format": "path" });
    schema["properties"]["extends"] = json!({
        "description": "Run files to start from, relative to this file. Later ones win, this file over all.",
        "anyOf": [path, { "type": "array", "items": path }],
    });
    schema["properties"]["profile"] = json!({
        "description": "Named variants: `[profile.NAME.train]` changes `[train]` where `--profile NAME` is given.",
        "type": "object",
        "additionalProperties": {
            "type": "object",
            "properties": tables,
            "additionalProperties": false,
        },
    });
    schema["title"] = json!("tenon run file");
    schema["description"] = json!("TOML that names the components of a run and their options.");
    drop_required(&mut schema);
    for_editors(&mut schema);
    schema
}

/// A table that names one of these components: one branch for each of them, and one for a table
/// that leaves the choice to another layer.
fn component_table(name: &str, components: &[ComponentInfo]) -> Value {
    let mut branches: Vec<Value> = Vec::new();
    let mut branch = |mut table: Value, title: &str, doc: Option<&str>, uses: Value| {
        table["title"] = json!(title);
        if let Some(doc) = doc {
            table["description"] = json!(doc);
        }
        table["properties"]["use"]["enum"] = uses;
        table["required"] = json!(["use"]);
        table["additionalProperties"] = json!(false);
        branches.push(table);
    };
    for component in components {
        let mut table = with_component(name, component);
        spell_out_aliases(&mut table);
        let uses = json!([component.id, component.full_name()]);
        branch(table, &component.id, Some(&component.doc), uses);
    }
    if name == "peft" {
        branch(
            section(name).clone(),
            FULL,
            Some("Every parameter is trained."),
            json!([FULL]),
        );
    }
    let mut left_open = section(name).clone();
    drop_required(&mut left_open);
    let description = left_open["description"].clone();
    if branches.is_empty() {
        return left_open;
    }
    left_open["not"] = json!({ "required": ["use"] });
    branches.push(left_open);
    json!({ "description": description, "type": "object", "oneOf": branches })
}

/// Makes other names that an option is understood under keys of their own.
fn spell_out_aliases(table: &mut Value) {
    let Some(properties) = table["properties"].as_object_mut() else {
        return;
    };
    let aliases: Vec<(String, Value)> = properties
        .iter()
        .flat_map(|(key, property)| {
            let names = property["x-tenon-alias"].as_array().into_iter().flatten();
            names.filter_map(Value::as_str).map(move |alias| {
                let mut copy = property.clone();
                copy["description"] = json!(format!("Another name of `{key}`."));
                (alias.to_owned(), copy)
            })
        })
        .collect();
    properties.extend(aliases);
}

fn drop_required(schema: &mut Value) {
    if let Some(object) = schema.as_object_mut() {
        object.remove("required");
    }
}

/// Leaves out what only our own check reads, and says what words mean the way taplo shows it.
fn for_editors(schema: &mut Value) {
    match schema {
        Value::Array(items) => items.iter_mut().for_each(for_editors),
        Value::Object(object) => {
            object.retain(|key, _| !key.starts_with("x-tenon"));
            if object.contains_key("properties") {
                // The defaults of the keys say it all.
                object.remove("default");
            }
            if let Some(docs) = object.remove("enumDescriptions") {
                object.insert("x-taplo".into(), json!({ "docs": { "enumValues": docs } }));
            }
            object.values_mut().for_each(for_editors);
        }
        _ => {}
    }
}
