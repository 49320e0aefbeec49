//! The values that options may have, and their schemas.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;
use std::path::PathBuf;

use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{
    Deserialize, Deserializer, IntoDeserializer, MapAccess, SeqAccess, Unexpected, Visitor,
};

use super::OptionValue;
use super::schema::Buf;

/// The name of a column of the data; `tenon check` looks for it there.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Column(String);

/// A Jinja template over the columns of a record, such as `"{{ question }}\nAnswer: "`; `tenon check` finds its faults
/// of syntax, and looks for the columns that it names in the data.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Template(String);

/// Selectors of model sites: one string or a list of them. `tenon check`
/// matches them with the sites of the model.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sites(Vec<String>);

/// A class of the data, by id or by name; `tenon check` looks a name up among
/// the labels.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Class {
    /// The id that the data or the task gave the class.
    Id(i64),
    /// Its label.
    Name(String),
}

/// One value or a list of them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OneOrMany<T>(Vec<T>);

impl Column {
    /// The column of this name.
    pub fn new(name: impl Into<String>) -> Self {
        Self(name.into())
    }

    /// The name as written.
    pub fn name(&self) -> &str {
        &self.0
    }
}

impl Template {
    /// The template of this text.
    pub fn new(source: impl Into<String>) -> Self {
        Self(source.into())
    }

    /// Its text as written.
    pub fn source(&self) -> &str {
        &self.0
    }
}

impl Sites {
    /// The selectors, in the order in which they were written.
    pub fn into_vec(self) -> Vec<String> {
        self.0
    }
}

impl<T> OneOrMany<T> {
    /// The values, in the order in which they were written.
    pub fn into_vec(self) -> Vec<T> {
        self.0
    }
}

impl OptionValue for Column {
    const SCHEMA: &'static str = r#"{"type":"string","x-tenon":"column"}"#;
}

impl OptionValue for Template {
    const SCHEMA: &'static str = r#"{"type":"string","x-tenon":"template"}"#;
}

impl OptionValue for Class {
    const SCHEMA: &'static str =
        r#"{"x-tenon":"class","anyOf":[{"type":"integer","minimum":0},{"type":"string"}]}"#;
}

impl OptionValue for Sites {
    const SCHEMA: &'static str = concat!(
        r#"{"x-tenon":"sites","anyOf":[{"type":"string"},"#,
        r#"{"type":"array","items":{"type":"string"}}]}"#
    );
}

impl OptionValue for serde_json::Value {
    const SCHEMA: &'static str = "{}";
}

impl OptionValue for PathBuf {
    const SCHEMA: &'static str = r#"{"type":"string","format":"path"}"#;
}

macro_rules! plain {
    ($($schema:literal: $($value:ty),*;)*) => {$($(
        impl OptionValue for $value {
            const SCHEMA: &'static str = $schema;
        }
    )*)*};
}

plain! {
    r#"{"type":"boolean"}"#: bool;
    r#"{"type":"string"}"#: String;
    r#"{"type":"number"}"#: f32, f64;
    r#"{"type":"integer","minimum":-128,"maximum":127}"#: i8;
    r#"{"type":"integer","minimum":-32768,"maximum":32767}"#: i16;
    r#"{"type":"integer"}"#: i32, i64, isize;
    r#"{"type":"integer","minimum":0,"maximum":255}"#: u8;
    r#"{"type":"integer","minimum":0,"maximum":65535}"#: u16;
    r#"{"type":"integer","minimum":0}"#: u32, u64, usize;
}

/// Absent is the only way to say `None` in a run file, so the schema is `T`'s.
impl<T: OptionValue> OptionValue for Option<T> {
    const SCHEMA: &'static str = T::SCHEMA;
}

impl<T: OptionValue> OptionValue for Vec<T> {
    const SCHEMA: &'static str = {
        let buf: &'static Buf = Composed::<T>::LIST;
        buf.as_str()
    };
}

impl<T: OptionValue> OptionValue for BTreeMap<String, T> {
    const SCHEMA: &'static str = {
        let buf: &'static Buf = Composed::<T>::MAP;
        buf.as_str()
    };
}

impl<T: OptionValue> OptionValue for OneOrMany<T> {
    const SCHEMA: &'static str = {
        let buf: &'static Buf = Composed::<T>::ONE_OR_MANY;
        buf.as_str()
    };
}

/// Schemas made of another type's.
struct Composed<T>(PhantomData<T>);

impl<T: OptionValue> Composed<T> {
    const LIST: &'static Buf = &Buf::concat(&[r#"{"type":"array","items":"#, T::SCHEMA, "}"]);
    const MAP: &'static Buf = &Buf::concat(&[
        r#"{"type":"object","additionalProperties":"#,
        T::SCHEMA,
        "}",
    ]);
    const ONE_OR_MANY: &'static Buf = &Buf::concat(&[
        r#"{"anyOf":["#,
        T::SCHEMA,
        r#",{"type":"array","items":"#,
        T::SCHEMA,
        "}]}",
    ]);
}

/// A field of text that `#[default("…")]` can fill.
#[diagnostic::on_unimplemented(
    message = "the default of a `{Self}` is not a string",
    note = "write a literal of the field's type"
)]
pub trait DefaultText {
    /// The value that the literal stands for.
    fn from_text(text: &str) -> Self;
}

/// A field that `#[default([…])]` can fill.
#[diagnostic::on_unimplemented(
    message = "the default of a `{Self}` is not a list",
    note = "write a literal of the field's type"
)]
pub trait DefaultList {
    /// What the list holds.
    type Item;

    /// The value that the literal stands for.
    fn from_items<const N: usize>(items: [Self::Item; N]) -> Self;
}

macro_rules! default_text {
    ($($value:ty: $text:ident => $made:expr;)*) => {$(
        impl DefaultText for $value {
            fn from_text($text: &str) -> Self {
                $made
            }
        }
    )*};
}

default_text! {
    String: text => text.to_owned();
    PathBuf: text => PathBuf::from(text);
    Column: text => Column::new(text);
    Template: text => Template::new(text);
    Sites: text => Sites(vec![text.to_owned()]);
    serde_json::Value: text => text.into();
}

impl<T: DefaultText> DefaultText for OneOrMany<T> {
    fn from_text(text: &str) -> Self {
        Self(vec![T::from_text(text)])
    }
}

impl<T> DefaultList for Vec<T> {
    type Item = T;

    fn from_items<const N: usize>(items: [T; N]) -> Self {
        items.into()
    }
}

impl<T> DefaultList for OneOrMany<T> {
    type Item = T;

    fn from_items<const N: usize>(items: [T; N]) -> Self {
        Self(items.into())
    }
}

impl DefaultList for Sites {
    type Item = String;

    fn from_items<const N: usize>(items: [String; N]) -> Self {
        Self(items.into())
    }
}

impl<'de> Deserialize<'de> for Column {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self)
    }
}

impl<'de> Deserialize<'de> for Template {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self)
    }
}

impl<'de> Deserialize<'de> for Class {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ClassVisitor)
    }
}

struct ClassVisitor;

impl Visitor<'_> for ClassVisitor {
    type Value = Class;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the id or the name of a class")
    }

    fn visit_u64<E: serde::de::Error>(self, id: u64) -> Result<Class, E> {
        let too_large = |_| E::invalid_value(Unexpected::Unsigned(id), &self);
        i64::try_from(id).map(Class::Id).map_err(too_large)
    }

    fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<Class, E> {
        Ok(Class::Name(name.to_owned()))
    }
}

impl<'de> Deserialize<'de> for Sites {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        OneOrMany::deserialize(deserializer).map(|many| Self(many.0))
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for OneOrMany<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer
            .deserialize_any(OneOrManyVisitor(PhantomData))
            .map(Self)
    }
}

struct OneOrManyVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> OneOrManyVisitor<T> {
    fn one<E: serde::de::Error>(value: impl IntoDeserializer<'de, E>) -> Result<Vec<T>, E> {
        T::deserialize(value.into_deserializer()).map(|value| vec![value])
    }
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for OneOrManyVisitor<T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value or a list of values")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<Vec<T>, A::Error> {
        Vec::deserialize(SeqAccessDeserializer::new(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, table: A) -> Result<Vec<T>, A::Error> {
        T::deserialize(MapAccessDeserializer::new(table)).map(|value| vec![value])
    }

    fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<Vec<T>, E> {
        Self::one(value)
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Vec<T>, E> {
        Self::one(value)
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Vec<T>, E> {
        Self::one(value)
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Vec<T>, E> {
        Self::one(value)
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<Vec<T>, E> {
        Self::one(value)
    }
}

impl Deref for Column {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Column {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Deref for Sites {
    type Target = [String];

    fn deref(&self) -> &[String] {
        &self.0
    }
}

impl<T> Deref for OneOrMany<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl From<Vec<String>> for Sites {
    fn from(selectors: Vec<String>) -> Self {
        Self(selectors)
    }
}

impl<T> From<Vec<T>> for OneOrMany<T> {
    fn from(values: Vec<T>) -> Self {
        Self(values)
    }
}
