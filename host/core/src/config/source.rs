//! Reads one TOML file: its values, and where each of them stands.

use std::collections::HashMap;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;

use figment::value::{Dict, Num, Tag, Value};
use toml::de::{DeArray, DeTable, DeValue};

use super::keypath::{KeyPath, MAX_DEPTH};
use super::origin::Origin;
use super::report::{Code, Fault};

/// Bytes beyond which a file is no run file.
const MAX_BYTES: u64 = 1 << 20;

/// Line and character, both from 1.
pub(super) type Place = (u32, u32);

/// Where a key and its value stand.
#[derive(Clone, Copy, Debug)]
pub(super) struct Places {
    pub key: Place,
    pub value: Place,
}

/// A file that was read.
#[derive(Debug, Default)]
pub(super) struct Source {
    pub values: Dict,
    pub places: HashMap<KeyPath, Places>,
    /// What is wrong with its syntax; `values` holds what could be read nevertheless.
    pub syntax: Vec<Fault>,
    /// Values that no run file can hold; they are absent from `values`.
    pub faults: Vec<Fault>,
}

/// Reads a file. `name` is what the user calls it.
///
/// # Errors
/// Why it cannot be read at all.
pub(super) fn read(path: &Path, name: &str) -> Result<Source, Box<Fault>> {
    let unreadable = |message: String| Box::new(Fault::new(Code::Unreadable, "", None, message));
    if path.is_dir() {
        return Err(unreadable(format!("{name} is a folder, not a run file")));
    }
    let mut bytes = Vec::new();
    let opened = File::open(path).and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes));
    if let Err(error) = opened {
        return Err(unreadable(match error.kind() {
            ErrorKind::NotFound => format!("no such file {name}"),
            _ => format!("cannot read {name}: {error}"),
        }));
    }
    if bytes.len() as u64 > MAX_BYTES {
        return Err(unreadable(format!(
            "{name} is larger than 1 MiB, which no run file is"
        )));
    }
    match str::from_utf8(&bytes) {
        Ok(text) => Ok(parse(text, name)),
        Err(error) => {
            let good = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
            let place = Lines::new(&good).place(good.len());
            let message = "not UTF-8; save the file in that encoding";
            let origin = Origin::file(name, place);
            Err(Box::new(Fault::new(Code::Syntax, "", origin, message)))
        }
    }
}

/// Reads the text of a file.
fn parse(text: &str, name: &str) -> Source {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let lines = Lines::new(text);
    let (table, errors) = DeTable::parse_recoverable(text);
    let mut reader = Reader {
        name,
        lines: &lines,
        places: HashMap::new(),
        faults: Vec::new(),
    };
    let values = reader.table(table.get_ref(), &KeyPath::default());
    let fault = |error: toml::de::Error| {
        let place = lines.place(error.span().map_or(text.len(), |span| span.start));
        let message = format!(
            "not TOML: {}",
            error.message().trim_end().replace('\n', "; ")
        );
        Fault::new(Code::Syntax, "", Origin::file(name, place), message)
    };
    Source {
        values,
        syntax: errors.into_iter().map(fault).collect(),
        places: reader.places,
        faults: reader.faults,
    }
}

/// Reads the value of a variable or of `--set`: TOML if it is, else text.
pub(super) fn parse_value(text: &str) -> Value {
    let trimmed = text.trim();
    if let Ok(value) = DeValue::parse(trimmed)
        && !matches!(value.get_ref(), DeValue::Datetime(_))
    {
        let lines = Lines::new(trimmed);
        let mut reader = Reader {
            name: "",
            lines: &lines,
            places: HashMap::new(),
            faults: Vec::new(),
        };
        if let Some(value) = reader.value(value.get_ref(), &KeyPath::default(), (1, 1))
            && reader.faults.is_empty()
        {
            return value;
        }
    }
    // TOML wants digits on both sides of the point.
    let digits = trimmed.contains('.') && trimmed.chars().any(|c| c.is_ascii_digit());
    match trimmed.parse::<f64>() {
        Ok(float) if digits => Value::Num(Tag::Default, Num::F64(float)),
        _ => Value::String(Tag::Default, text.to_owned()),
    }
}

struct Reader<'a> {
    name: &'a str,
    lines: &'a Lines<'a>,
    places: HashMap<KeyPath, Places>,
    faults: Vec<Fault>,
}

impl Reader<'_> {
    fn table(&mut self, table: &DeTable<'_>, path: &KeyPath) -> Dict {
        let mut values = Dict::new();
        for (key, value) in table.iter() {
            let path = path.key(key.get_ref());
            let places = Places {
                key: self.lines.place(key.span().start),
                value: self.lines.place(value.span().start),
            };
            self.places.insert(path.clone(), places);
            if let Some(value) = self.value(value.get_ref(), &path, places.value) {
                values.insert(key.get_ref().to_string(), value);
            }
        }
        values
    }

    fn array(&mut self, array: &DeArray<'_>, path: &KeyPath) -> Vec<Value> {
        let mut values = Vec::new();
        for (index, value) in array.iter().enumerate() {
            let path = path.index(index);
            let place = self.lines.place(value.span().start);
            self.places.insert(
                path.clone(),
                Places {
                    key: place,
                    value: place,
                },
            );
            values.extend(self.value(value.get_ref(), &path, place));
        }
        values
    }

    fn value(&mut self, value: &DeValue<'_>, path: &KeyPath, place: Place) -> Option<Value> {
        let tag = Tag::Default;
        if path.0.len() > MAX_DEPTH {
            return self.fault(path, place, format!("more than {MAX_DEPTH} keys deep"));
        }
        Some(match value {
            DeValue::String(text) => Value::String(tag, text.to_string()),
            DeValue::Boolean(flag) => Value::Bool(tag, *flag),
            DeValue::Integer(integer) => {
                match i64::from_str_radix(integer.as_str(), integer.radix()) {
                    Ok(integer) => Value::Num(tag, Num::I64(integer)),
                    Err(_) => {
                        return self.fault(path, place, format!("{integer} does not fit 64 bits"));
                    }
                }
            }
            DeValue::Float(float) => match float.as_str().parse::<f64>() {
                Ok(float) if float.is_finite() => Value::Num(tag, Num::F64(float)),
                _ => {
                    return self.fault(
                        path,
                        place,
                        format!("expected a finite number, found {float}"),
                    );
                }
            },
            DeValue::Datetime(date) => {
                return self.fault(
                    path,
                    place,
                    format!("{date} is a date; write it as \"{date}\""),
                );
            }
            DeValue::Array(array) => Value::Array(tag, self.array(array, path)),
            DeValue::Table(table) => Value::Dict(tag, self.table(table, path)),
        })
    }

    fn fault(&mut self, path: &KeyPath, place: Place, message: String) -> Option<Value> {
        // The path of what is too deep would fill the screen.
        let path = if path.0.len() > MAX_DEPTH {
            String::new()
        } else {
            path.to_string()
        };
        self.faults.push(Fault::new(
            Code::InvalidValue,
            path,
            Origin::file(self.name, place),
            message,
        ));
        None
    }
}

/// Bytes between two counts of characters.
const STRIDE: usize = 64;

/// Finds line and character of a byte, fast also where a whole file is one line.
struct Lines<'a> {
    text: &'a str,
    /// Byte at which each line starts.
    starts: Vec<usize>,
    /// Characters before each multiple of [`STRIDE`].
    characters: Vec<usize>,
}

impl<'a> Lines<'a> {
    fn new(text: &'a str) -> Self {
        let starts = text
            .bytes()
            .enumerate()
            .filter(|(_, byte)| *byte == b'\n')
            .map(|(at, _)| at + 1);
        let mut characters = vec![0];
        for chunk in text.as_bytes().chunks(STRIDE) {
            characters.push(characters[characters.len() - 1] + count(chunk));
        }
        Self {
            text,
            starts: std::iter::once(0).chain(starts).collect(),
            characters,
        }
    }

    fn place(&self, byte: usize) -> Place {
        let byte = byte.min(self.text.len());
        let line = self.starts.partition_point(|start| *start <= byte);
        let column = self.before(byte) - self.before(self.starts[line - 1]) + 1;
        (
            u32::try_from(line).unwrap_or(u32::MAX),
            u32::try_from(column).unwrap_or(u32::MAX),
        )
    }

    /// Characters before a byte.
    fn before(&self, byte: usize) -> usize {
        let stride = byte / STRIDE;
        self.characters[stride] + count(&self.text.as_bytes()[stride * STRIDE..byte])
    }
}

/// Characters that start in these bytes of UTF-8.
fn count(bytes: &[u8]) -> usize {
    bytes.iter().filter(|byte| (**byte as i8) >= -0x40).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_count_lines_and_characters() {
        let text = format!("a = 1\r\nü = \"é\" # {}\nb = 2", "ä".repeat(100));
        let lines = Lines::new(&text);
        let at = |needle: &str| lines.place(text.find(needle).expect("is in the text"));
        assert_eq!(at("a ="), (1, 1));
        assert_eq!(at("\"é"), (2, 5));
        assert_eq!(at("b = 2"), (3, 1));
        assert_eq!(lines.place(usize::MAX), (3, 6));
    }

    #[test]
    fn values_of_variables_are_toml_or_text() {
        let integer = |value| Value::Num(Tag::Default, Num::I64(value));
        let float = |value| Value::Num(Tag::Default, Num::F64(value));
        let text = |value: &str| Value::String(Tag::Default, value.into());
        for (input, expected) in [
            ("3", integer(3)),
            (" 1_000 ", integer(1000)),
            ("2e-4", float(2e-4)),
            (".5", float(0.5)),
            ("true", Value::Bool(Tag::Default, true)),
            ("\"3\"", text("3")),
            (
                "[1, 2]",
                Value::Array(Tag::Default, vec![integer(1), integer(2)]),
            ),
            ("three", text("three")),
            ("data/x.jsonl", text("data/x.jsonl")),
            ("2026-01-01", text("2026-01-01")),
            ("nan", text("nan")),
            ("1\nb = 2", text("1\nb = 2")),
            ("", text("")),
        ] {
            assert_eq!(parse_value(input), expected, "{input:?}");
        }
    }
}
