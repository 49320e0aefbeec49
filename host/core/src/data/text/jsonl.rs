//! One JSON object: only the columns asked for are built, the rest is passed over.

use std::fmt;
use std::sync::Arc;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};

use crate::data::error::{RowProblem, quoted};
use crate::data::value::{Projection, Value};

type Parsed = (Arc<[String]>, Vec<Value>);

/// Parses one line. `names` holds the columns of the last row, shared while they stay the same.
pub(super) fn parse(
    text: &str,
    projection: &Projection,
    names: &mut Option<Arc<[String]>>,
) -> Result<Parsed, RowProblem> {
    match projection {
        Projection::All => {
            let entries = object(text)?;
            let (keys, values): (Vec<String>, Vec<Value>) = entries.into_iter().unzip();
            let shared = match names {
                Some(known) if known[..] == keys[..] => Arc::clone(known),
                _ => Arc::clone(names.insert(keys.into())),
            };
            Ok((shared, values))
        }
        Projection::Only { columns, required } => {
            let mut parser = serde_json::Deserializer::from_str(text);
            let values = Selected(columns)
                .deserialize(&mut parser)
                .and_then(|values| parser.end().map(|()| values))
                .map_err(|error| explain(text, &error))?;
            let missing = values.iter().take(*required).position(Option::is_none);
            if let Some(missing) = missing {
                let found: Vec<String> = object(text)?.into_iter().map(|(key, _)| key).collect();
                return Err(RowProblem::MissingColumn {
                    column: columns[missing].clone(),
                    found: quoted(&found),
                });
            }
            let values = values
                .into_iter()
                .map(|value| value.unwrap_or(Value::Null))
                .collect();
            let names = names.get_or_insert_with(|| columns.iter().cloned().collect());
            Ok((Arc::clone(names), values))
        }
    }
}

/// All entries of the object; the last of a repeated key counts.
fn object(text: &str) -> Result<Vec<(String, Value)>, RowProblem> {
    let value: Value = serde_json::from_str(text).map_err(|error| explain(text, &error))?;
    let Value::Map(entries) = value else {
        return Err(not_an_object(text));
    };
    let mut unique: Vec<(String, Value)> = Vec::with_capacity(entries.len());
    for (key, value) in entries {
        match unique.iter_mut().find(|(known, _)| *known == key) {
            Some(entry) => entry.1 = value,
            None => unique.push((key, value)),
        }
    }
    Ok(unique)
}

fn explain(text: &str, error: &serde_json::Error) -> RowProblem {
    // A value of another type is reported by serde as a data error, with its own wording.
    let start = text.trim_start().as_bytes().first();
    if start != Some(&b'{') && (error.is_data() || start == Some(&b'[')) {
        return not_an_object(text);
    }
    let message = error.to_string();
    let problem = message
        .split(" at line ")
        .next()
        .unwrap_or(&message)
        .to_owned();
    RowProblem::Json {
        byte: error.column(),
        problem,
    }
}

fn not_an_object(text: &str) -> RowProblem {
    let (found, hint) = match text.trim_start().as_bytes().first() {
        Some(b'[') => (
            "an array",
            "; a file that is one JSON array becomes jsonl with `jq -c '.[]'`",
        ),
        Some(b'"') => ("a string", ""),
        Some(b't' | b'f') => ("a truth value", ""),
        Some(b'n') => ("null", ""),
        _ => ("a number", ""),
    };
    RowProblem::NotAnObject { found, hint }
}

/// Builds the values of some keys of an object, in the order of the keys given.
struct Selected<'a>(&'a [String]);

impl<'de> DeserializeSeed<'de> for Selected<'_> {
    type Value = Vec<Option<Value>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Selected<'_> {
    type Value = Vec<Option<Value>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut values = vec![None; self.0.len()];
        while let Some(place) = map.next_key_seed(Place(self.0))? {
            match place {
                Some(place) => values[place] = Some(map.next_value()?),
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(values)
    }
}

/// The place of a key among those wanted, without copying it.
struct Place<'a>(&'a [String]);

impl<'de> DeserializeSeed<'de> for Place<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Place<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: serde::de::Error>(self, key: &str) -> Result<Self::Value, E> {
        if key.len() > 1 << 20 {
            return Err(E::custom("a key of more than 1 MiB"));
        }
        Ok(self.0.iter().position(|name| name == key))
    }
}
