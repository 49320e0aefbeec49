//! Values with their origins: what the layers merge to, and what the check fills in.

use indexmap::IndexMap;
use serde_json::{Number, Value};

use super::keypath::{KeyPath, Step};
use super::origin::Origin;

/// A value and what set it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Located {
    pub data: Data,
    pub origin: Origin,
}

/// A value as TOML knows them; dates are refused when a file is read.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Data {
    Bool(bool),
    Integer(i64),
    Float(f64),
    Text(String),
    Array(Vec<Located>),
    Table(Entries),
}

/// The entries of a table.
pub(super) type Entries = IndexMap<String, Located>;

impl Located {
    /// A table without entries.
    pub fn empty(origin: Origin) -> Self {
        Self {
            data: Data::Table(Entries::new()),
            origin,
        }
    }

    /// Text.
    pub fn text(text: impl Into<String>, origin: Origin) -> Self {
        Self {
            data: Data::Text(text.into()),
            origin,
        }
    }

    /// A default from a schema; `null` stands for none.
    pub fn default(json: &Value) -> Option<Self> {
        let data = match json {
            Value::Null => return None,
            Value::Bool(flag) => Data::Bool(*flag),
            Value::Number(number) => match number.as_i64() {
                Some(integer) => Data::Integer(integer),
                None => Data::Float(number.as_f64()?),
            },
            Value::String(text) => Data::Text(text.clone()),
            Value::Array(items) => Data::Array(items.iter().filter_map(Self::default).collect()),
            Value::Object(entries) => {
                let entry = |(key, value): (&String, _)| Some((key.clone(), Self::default(value)?));
                Data::Table(entries.iter().filter_map(entry).collect())
            }
        };
        Some(Self {
            data,
            origin: Origin::Default,
        })
    }

    /// The entry of a table.
    pub fn get(&self, key: &str) -> Option<&Located> {
        self.table()?.get(key)
    }

    /// The value at a path.
    pub fn at(&self, path: &KeyPath) -> Option<&Located> {
        path.0.iter().try_fold(self, |value, step| match step {
            Step::Key(key) => value.get(key),
            Step::Index(index) => value.array()?.get(*index),
        })
    }

    /// The value at keys joined by dots, none of which holds a dot.
    pub fn find(&self, keys: &str) -> Option<&Located> {
        keys.split('.').try_fold(self, |value, key| value.get(key))
    }

    /// The entries, if it is a table.
    pub fn table(&self) -> Option<&Entries> {
        match &self.data {
            Data::Table(entries) => Some(entries),
            _ => None,
        }
    }

    /// The entries, if it is a table.
    pub fn table_mut(&mut self) -> Option<&mut Entries> {
        match &mut self.data {
            Data::Table(entries) => Some(entries),
            _ => None,
        }
    }

    /// The elements, if it is a list.
    pub fn array(&self) -> Option<&[Located]> {
        match &self.data {
            Data::Array(items) => Some(items),
            _ => None,
        }
    }

    /// The text, if it is text.
    pub fn str(&self) -> Option<&str> {
        match &self.data {
            Data::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The number, if it is one.
    pub fn number(&self) -> Option<f64> {
        match self.data {
            Data::Integer(integer) => Some(integer as f64),
            Data::Float(float) => Some(float),
            _ => None,
        }
    }

    /// The texts of a text or of a list of texts, each with its origin and position in the list.
    pub fn texts<'a>(&'a self) -> Vec<(Option<usize>, &'a str, &'a Origin)> {
        match &self.data {
            Data::Text(text) => vec![(None, text, &self.origin)],
            Data::Array(items) => {
                let entry =
                    |(i, item): (usize, &'a Located)| Some((Some(i), item.str()?, &item.origin));
                items.iter().enumerate().filter_map(entry).collect()
            }
            _ => Vec::new(),
        }
    }

    /// The value without origins.
    pub fn to_json(&self) -> Value {
        match &self.data {
            Data::Bool(flag) => Value::Bool(*flag),
            Data::Integer(integer) => Value::from(*integer),
            Data::Float(float) => Number::from_f64(*float).map_or(Value::Null, Value::Number),
            Data::Text(text) => Value::String(text.clone()),
            Data::Array(items) => Value::Array(items.iter().map(Self::to_json).collect()),
            Data::Table(entries) => Value::Object(
                entries
                    .iter()
                    .map(|(key, value)| (key.clone(), value.to_json()))
                    .collect(),
            ),
        }
    }
}
