//! Reading a table of options from JSON, with errors that name the key.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, DeserializeOwned, Deserializer, Error, MapAccess, Visitor};
use serde_json::Value;
use serde_path_to_error::Segment;

use super::OptionsError;

/// Reads a whole table.
pub fn from_json<T: DeserializeOwned>(text: &str) -> Result<T, OptionsError> {
    // By way of a value, so that errors speak of keys and not of columns of
    // a text that the user has never seen.
    let value: Value = serde_json::from_str(text)
        .map_err(|error| OptionsError::new("", format!("expected a JSON object: {error}")))?;
    serde_path_to_error::deserialize(value)
        .map_err(|error| blame(path_of(error.path()), error.inner().to_string()))
}

/// Reads a struct from a map only: serde would also take a list.
pub fn table<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    deserializer.deserialize_map(TableVisitor(PhantomData))
}

/// Reads one of `names`: its index.
pub fn choice<'de, D: Deserializer<'de>>(
    deserializer: D,
    names: &'static [&'static str],
) -> Result<usize, D::Error> {
    let found = String::deserialize(deserializer)?;
    names.iter().position(|name| *name == found).ok_or_else(|| {
        let expected: Vec<_> = names.iter().map(|name| format!("\"{name}\"")).collect();
        let one_of = if names.len() > 1 { "one of " } else { "" };
        D::Error::custom(format_args!(
            "expected {one_of}{}, found \"{found}\"",
            expected.join(", ")
        ))
    })
}

struct TableVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for TableVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a table")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map))
    }
}

fn path_of(path: &serde_path_to_error::Path) -> String {
    let mut text = String::new();
    for segment in path {
        match segment {
            Segment::Seq { index } => text.push_str(&format!("[{index}]")),
            Segment::Map { key } => push_key(&mut text, key),
            Segment::Enum { .. } | Segment::Unknown => {}
        }
    }
    text
}

fn push_key(path: &mut String, key: &str) {
    if !path.is_empty() {
        path.push('.');
    }
    path.push_str(key);
}

/// serde's message in the words of a run file, its key moved to the path.
fn blame(mut path: String, message: String) -> OptionsError {
    if let Some((_, rest)) = keyed(&message, "unknown field `") {
        // Of these three only this path has the key already: it was being read.
        let known = rest
            .trim_start_matches(", expected ")
            .trim_start_matches("one of ");
        let known = known.trim_start_matches(", there are no fields");
        return match known {
            "" => OptionsError::new(path, "unknown key; there are no options here"),
            known => OptionsError::new(path, format!("unknown key; options: {known}")),
        };
    }
    if let Some((key, _)) = keyed(&message, "missing field `") {
        push_key(&mut path, key);
        return OptionsError::new(path, "required, but not given");
    }
    if let Some((key, _)) = keyed(&message, "duplicate field `") {
        push_key(&mut path, key);
        return OptionsError::new(path, "given twice, once by an alias");
    }
    for prefix in ["invalid type: ", "invalid value: "] {
        if let Some((found, expected)) = message
            .strip_prefix(prefix)
            .and_then(|rest| rest.rsplit_once(", expected "))
        {
            let (expected, found) = (plain(expected), plain_kind(found));
            return OptionsError::new(path, format!("expected {expected}, found {found}"));
        }
    }
    OptionsError::new(path, message)
}

/// The name between backticks after `prefix`, and what follows it.
fn keyed<'a>(message: &'a str, prefix: &str) -> Option<(&'a str, &'a str)> {
    message.strip_prefix(prefix)?.split_once('`')
}

/// What serde expects, in words that need no Rust.
fn plain(expected: &str) -> &str {
    match expected {
        "i8" => "an integer from -128 to 127",
        "i16" => "an integer from -32768 to 32767",
        "i32" | "i64" | "isize" => "an integer",
        "u8" => "an integer from 0 to 255",
        "u16" => "an integer from 0 to 65535",
        "u32" | "u64" | "usize" => "an integer ≥ 0",
        "f32" | "f64" => "a number",
        "a boolean" => "true or false",
        "a sequence" => "a list",
        "a map" => "a table",
        "path string" => "a path",
        other => other,
    }
}

/// What serde found, likewise; most of its words will do.
fn plain_kind(found: &str) -> &str {
    match found {
        "sequence" => "a list",
        "map" => "a table",
        other => other,
    }
}
