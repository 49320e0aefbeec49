//! Keys that nobody knows, and what was probably meant.

use serde_json::Value;

use super::keypath::KeyPath;
use super::merge::Merged;
use super::report::{Code, Fault};
use super::schema::{LISTS, SECTIONS, host, host_keys, section};
use super::suggest;
use super::tree::Located;
use super::words;

/// Keys that a message lists.
const LISTED: usize = 6;
/// Words shorter than this say too little to look for them in the docs.
const TELLING: usize = 4;

/// The fault of an unknown `key` in a table of this schema.
pub(super) fn key(schema: &Value, key: &str, path: &KeyPath, merged: &Merged) -> Fault {
    let suggestion = in_table(schema, key)
        .map(str::to_owned)
        .or_else(|| elsewhere(key, path, merged));
    let fault = Fault::new(
        Code::UnknownKey,
        path,
        merged.key_origin(path),
        "unknown key",
    );
    // The options of a component are news to many; the tables of the host are in the reference.
    let told = suggestion.is_some() && schema.get("x-tenon-owner").is_none();
    let fault = fault.suggest(suggestion);
    if told {
        fault
    } else {
        fault.note(known(schema, path))
    }
}

/// The key of this table that was meant: by what other tools call it, by spelling, or because the
/// doc of one key alone has the word.
fn in_table<'a>(schema: &'a Value, key: &str) -> Option<&'a str> {
    let properties = schema["properties"].as_object()?;
    let named = properties
        .iter()
        .find(|(_, property)| also(property).any(|name| name == key));
    if let Some((name, _)) = named {
        return Some(name);
    }
    let other_names = properties
        .iter()
        .flat_map(|(name, property)| also(property).map(move |also| (also, name)));
    let spelt = suggest::closest(key, properties.keys().map(String::as_str));
    spelt
        .or_else(|| {
            let other_names: Vec<_> = other_names.collect();
            let meant = suggest::closest(key, other_names.iter().map(|(also, _)| *also))?;
            other_names
                .iter()
                .find(|(also, _)| *also == meant)
                .map(|(_, name)| name.as_str())
        })
        .or_else(|| by_doc(properties, key))
}

fn by_doc<'a>(properties: &'a serde_json::Map<String, Value>, key: &str) -> Option<&'a str> {
    if key.len() < TELLING {
        return None;
    }
    let mut telling = properties.iter().filter(|(_, property)| {
        let doc = words::first_sentence(property["description"].as_str().unwrap_or_default());
        doc.split(|c: char| !c.is_alphanumeric() && c != '_')
            .any(|word| word.eq_ignore_ascii_case(key))
    });
    let only = telling.next()?;
    telling.next().is_none().then_some(only.0.as_str())
}

/// The table in which the key would be known.
fn elsewhere(key: &str, path: &KeyPath, merged: &Merged) -> Option<String> {
    if path.0.len() == 1 {
        let named_after = |section: &&str| {
            let component = merged.root.get(section).and_then(|table| table.get("use"));
            component.and_then(Located::str) == Some(key)
        };
        let section = suggest::closest(key, SECTIONS);
        if let Some(section) = section.or_else(|| SECTIONS.into_iter().find(named_after)) {
            return Some(section.to_owned());
        }
    }
    SECTIONS.iter().find_map(|name| {
        let properties = section(name)["properties"].as_object()?;
        let found = properties
            .iter()
            .find(|(known, property)| *known == key || also(property).any(|also| also == key));
        let (known, _) = found.filter(|_| !LISTS.contains(name) && key != "use")?;
        Some(format!("{name}.{known}"))
    })
}

/// What other tools call a key.
fn also(property: &Value) -> impl Iterator<Item = &str> {
    property["x-tenon-also"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
}

/// The keys that are known here.
fn known(schema: &Value, path: &KeyPath) -> String {
    let keys = schema["properties"].as_object();
    let keys = keys.into_iter().flatten().map(|(key, _)| key.as_str());
    if let Some(owner) = schema["x-tenon-owner"].as_str() {
        let table = match path.0.first() {
            Some(super::keypath::Step::Key(table)) => table.as_str(),
            _ => "",
        };
        let host = host_keys(table);
        let options: Vec<&str> = keys
            .filter(|key| !host.iter().any(|known| known == key))
            .collect();
        return match options.as_slice() {
            [] => format!("{owner} has no options"),
            options => format!(
                "options of {owner}: {}",
                suggest::list(options.iter().copied(), LISTED)
            ),
        };
    }
    let parent = KeyPath(path.0[..path.0.len().saturating_sub(1)].to_vec());
    if parent.0.is_empty() {
        return format!(
            "tables of a run file: {}",
            suggest::list(tables(), usize::MAX)
        );
    }
    format!("keys of {parent}: {}", suggest::list(keys, LISTED))
}

fn tables() -> impl Iterator<Item = &'static str> {
    host()["properties"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(key, _)| key.as_str())
}
