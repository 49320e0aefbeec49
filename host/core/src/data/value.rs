//! Records: rows as they lie in a file, with where they came from.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};

use super::error::{DataError, Location, RowProblem};

/// One cell of a record.
///
/// csv and line files know text only, and their cells stay text: a sentence "007" is not the
/// number 7. [`Value::to_int`] and [`Value::to_float`] read numbers from text where one is wanted.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// JSON `null`, a null of parquet, or an optional column that is absent.
    Null,
    /// A truth value.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A number; also an integer beyond 64 signed bits, rounded.
    Float(f64),
    /// Text.
    Text(String),
    /// A JSON array or a list of parquet.
    List(Vec<Value>),
    /// A JSON object or a struct of parquet, in its own order.
    Map(Vec<(String, Value)>),
}

impl Value {
    /// The text of a text cell.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// An integer: also from a whole number, a truth value, or text that spells one.
    pub fn to_int(&self) -> Option<i64> {
        match self {
            Self::Bool(value) => Some(i64::from(*value)),
            Self::Int(value) => Some(*value),
            // 2⁶³ is exact as f64, so the comparison keeps the cast in range.
            Self::Float(value)
                if value.fract() == 0.0 && value.abs() < 9_223_372_036_854_775_808.0 =>
            {
                Some(*value as i64)
            }
            Self::Text(text) => text.trim().parse().ok(),
            _ => None,
        }
    }

    /// A number: also from a truth value, or text that spells one.
    pub fn to_float(&self) -> Option<f64> {
        match self {
            Self::Bool(value) => Some(f64::from(u8::from(*value))),
            Self::Int(value) => Some(*value as f64),
            Self::Float(value) => Some(*value),
            Self::Text(text) => text.trim().parse().ok(),
            _ => None,
        }
    }

    /// The cell as a label: text as it is, numbers and truth values as they are written. `None`
    /// for null, lists and maps.
    pub fn to_label(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::Text(text) => Some(Cow::Borrowed(text)),
            Self::Int(value) => Some(Cow::Owned(value.to_string())),
            Self::Bool(value) => Some(Cow::Borrowed(if *value { "true" } else { "false" })),
            Self::Float(value) => Some(Cow::Owned(value.to_string())),
            _ => None,
        }
    }

    /// The cell as JSON.
    pub fn to_json(&self) -> serde_json::Value {
        match self {
            Self::Null => serde_json::Value::Null,
            Self::Bool(value) => (*value).into(),
            Self::Int(value) => (*value).into(),
            Self::Float(value) => (*value).into(),
            Self::Text(value) => value.as_str().into(),
            Self::List(items) => items.iter().map(Self::to_json).collect(),
            Self::Map(entries) => {
                let entry = |(key, value): &(String, Self)| (key.clone(), value.to_json());
                serde_json::Value::Object(entries.iter().map(entry).collect())
            }
        }
    }

    /// "text", "a number", … for messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a truth value",
            Self::Int(_) => "an integer",
            Self::Float(_) => "a number",
            Self::Text(_) => "text",
            Self::List(_) => "a list",
            Self::Map(_) => "a map",
        }
    }

    /// The kind with the value itself, shortened, for messages.
    pub fn describe(&self) -> String {
        match self {
            Self::Null | Self::List(_) | Self::Map(_) => self.kind().to_owned(),
            Self::Text(text) if text.chars().count() > 40 => {
                format!("text {:?}…", text.chars().take(40).collect::<String>())
            }
            Self::Text(text) => format!("text {text:?}"),
            _ => format!("{} {}", self.kind(), self.to_label().unwrap_or_default()),
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Int(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(i64::try_from(value).map_or(Value::Float(value as f64), Value::Int))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Value::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Value::Map(entries))
    }
}

/// A row: its cells by column name, and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    columns: Arc<[String]>,
    values: Vec<Value>,
    at: Location,
    goes_on: bool,
}

impl Record {
    /// A record of `values`, one for each of `columns`.
    pub fn new(columns: Arc<[String]>, values: Vec<Value>, at: Location) -> Self {
        debug_assert_eq!(columns.len(), values.len());
        Self {
            columns,
            values,
            at,
            goes_on: false,
        }
    }

    /// The same, as a part of a document that the next record continues, or not.
    #[must_use]
    pub fn going_on(self, goes_on: bool) -> Self {
        Self { goes_on, ..self }
    }

    /// Whether the next record continues the document that this one is a part of.
    pub fn goes_on(&self) -> bool {
        self.goes_on
    }

    /// The cell of `column`. `None` where the record has no such column; a column that was asked
    /// for as optional and is absent is [`Value::Null`].
    pub fn get(&self, column: &str) -> Option<&Value> {
        let index = self.columns.iter().position(|name| name == column)?;
        self.values.get(index)
    }

    /// The text in `column`.
    ///
    /// # Errors
    /// [`DataError::Row`] where there is no such column, or it holds something else.
    pub fn text(&self, column: &str) -> Result<&str, DataError> {
        let value = self.required(column)?;
        value
            .as_text()
            .ok_or_else(|| self.type_error(column, "text", value))
    }

    /// The integer in `column`, as [`Value::to_int`] reads it.
    ///
    /// # Errors
    /// As for [`Record::text`].
    pub fn int(&self, column: &str) -> Result<i64, DataError> {
        let value = self.required(column)?;
        value
            .to_int()
            .ok_or_else(|| self.type_error(column, "an integer", value))
    }

    /// The number in `column`, as [`Value::to_float`] reads it.
    ///
    /// # Errors
    /// As for [`Record::text`].
    pub fn float(&self, column: &str) -> Result<f64, DataError> {
        let value = self.required(column)?;
        value
            .to_float()
            .ok_or_else(|| self.type_error(column, "a number", value))
    }

    /// Column names, in file order or in the order asked for.
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// Cells, in the order of [`Record::columns`].
    pub fn values(&self) -> &[Value] {
        &self.values
    }

    /// Where the record stands in its file.
    pub fn at(&self) -> &Location {
        &self.at
    }

    fn required(&self, column: &str) -> Result<&Value, DataError> {
        self.get(column).ok_or_else(|| DataError::Row {
            at: self.at.clone(),
            problem: RowProblem::MissingColumn {
                column: column.to_owned(),
                found: super::error::quoted(&self.columns),
            },
        })
    }

    fn type_error(&self, column: &str, expected: &'static str, found: &Value) -> DataError {
        DataError::Row {
            at: self.at.clone(),
            problem: RowProblem::Type {
                column: column.to_owned(),
                expected,
                found: found.describe(),
            },
        }
    }
}

/// Which columns are read. What is not asked for is not decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Projection {
    /// Every column; rows of jsonl may then differ in their columns.
    All,
    /// These columns, in this order: first those that every row must have, then those that may
    /// be absent and then read as [`Value::Null`].
    Only {
        /// All names, required ones first.
        columns: Arc<[String]>,
        /// How many of them are required.
        required: usize,
    },
}

impl Projection {
    /// Only `required` and, where present, `optional` columns. A name given twice counts once.
    pub fn only<'a>(
        required: impl IntoIterator<Item = &'a str>,
        optional: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        let mut columns: Vec<String> = Vec::new();
        let mut push = |names: &mut dyn Iterator<Item = &'a str>| {
            for name in names {
                if !columns.iter().any(|known| known == name) {
                    columns.push(name.to_owned());
                }
            }
            columns.len()
        };
        let required = push(&mut required.into_iter());
        push(&mut optional.into_iter());
        Self::Only {
            columns: columns.into(),
            required,
        }
    }
}
