//! Checks values against a JSON Schema and fills in its defaults, gathering every fault.
//!
//! It knows the part of JSON Schema that options use: `type`, `enum`, `const`, `anyOf`, `oneOf`,
//! `properties`, `required`, `additionalProperties`, `items`, `pattern`, the bounds of numbers,
//! and `default`.

use serde_json::Value;

use super::keypath::KeyPath;
use super::merge::Merged;
use super::origin::Origin;
use super::report::{Code, Fault};
use super::suggest;
use super::tree::{Data, Entries, Located};
use super::unknown;
use super::words;

/// A value of which the schema says what it names: `column`, `sites`, or by a `template` (of `[prompt]`: `prompt`)
/// columns.
#[derive(Clone, Debug)]
pub(super) struct Hint {
    pub kind: String,
    pub path: KeyPath,
    pub text: String,
    pub origin: Origin,
}

/// Finds the schema of a table that names a component, by its path.
pub(super) type FindTable<'a> = &'a dyn Fn(&KeyPath) -> Option<Value>;

/// One check of one run file.
pub(super) struct Checker<'a> {
    pub merged: &'a Merged,
    pub find_table: FindTable<'a>,
    /// Whether keys may be missing, for want of a file that is missing.
    pub incomplete: bool,
    pub faults: Vec<Fault>,
    pub hints: Vec<Hint>,
}

impl Checker<'_> {
    /// The value with defaults filled in, as far as it is right.
    pub fn value(&mut self, schema: &Value, value: &Located, path: &KeyPath) -> Option<Located> {
        self.hinted(schema, value, path, None)
    }

    /// Like [`value`](Self::value); `hint` is what a schema around this one says.
    fn hinted(
        &mut self,
        schema: &Value,
        value: &Located,
        path: &KeyPath,
        hint: Option<&str>,
    ) -> Option<Located> {
        let hint = schema["x-tenon"].as_str().or(hint);
        if schema.get("x-tenon-component").is_some()
            && schema.get("x-tenon-owner").is_none()
            && let Some(table) = (self.find_table)(path)
        {
            return self.typed(&table, value, path, hint);
        }
        match ["anyOf", "oneOf"]
            .iter()
            .find_map(|list| schema[*list].as_array())
        {
            Some(branches) => self.one_of(schema, branches, value, path, hint),
            None => self.typed(schema, value, path, hint),
        }
    }

    /// A value that may have several forms.
    fn one_of(
        &mut self,
        schema: &Value,
        branches: &[Value],
        value: &Located,
        path: &KeyPath,
        hint: Option<&str>,
    ) -> Option<Located> {
        let mut fitting = branches.iter().filter(|branch| has_type(branch, value));
        match (fitting.next(), fitting.next()) {
            (Some(only), None) if only.get("properties").is_some() || value.array().is_some() => {
                self.hinted(only, value, path, hint)
            }
            (Some(only), None) => {
                let (faults, hints) = (Vec::new(), Vec::new());
                let mut trial = Checker {
                    faults,
                    hints,
                    ..*self
                };
                let result = trial.hinted(only, value, path, hint);
                self.hints.append(&mut trial.hints);
                result.or_else(|| self.invalid(schema, value, path))
            }
            (Some(first), Some(_)) => {
                let mut results = branches
                    .iter()
                    .filter(|branch| has_type(branch, value))
                    .map(|branch| {
                        let mut trial = Checker {
                            faults: Vec::new(),
                            hints: Vec::new(),
                            ..*self
                        };
                        let result = trial.hinted(branch, value, path, hint);
                        (trial.faults.is_empty(), result, trial.hints)
                    });
                match results.find(|(good, ..)| *good) {
                    Some((_, result, hints)) => {
                        self.hints.extend(hints);
                        result
                    }
                    None => self.hinted(first, value, path, hint),
                }
            }
            (None, _) => match self.as_text(schema, value, path) {
                Some(text) => self.hinted(schema, &text, path, hint),
                None => self.invalid(schema, value, path),
            },
        }
    }

    fn typed(
        &mut self,
        schema: &Value,
        value: &Located,
        path: &KeyPath,
        hint: Option<&str>,
    ) -> Option<Located> {
        if !has_type(schema, value) {
            return match self.as_text(schema, value, path) {
                Some(text) => self.typed(schema, &text, path, hint),
                None => self.invalid(schema, value, path),
            };
        }
        let allowed = schema["enum"].as_array();
        let constant = schema.get("const");
        let json = || value.to_json();
        if allowed.is_some_and(|words| !words.contains(&json()))
            || constant.is_some_and(|constant| *constant != json())
        {
            return self.invalid(schema, value, path);
        }
        match &value.data {
            Data::Integer(_) | Data::Float(_) if !in_range(schema, value) => {
                self.invalid(schema, value, path)
            }
            Data::Text(text) => {
                if !fits_pattern(schema, text) {
                    return self.invalid(schema, value, path);
                }
                if let Some(kind) = hint {
                    let (kind, text, origin) =
                        (kind.to_owned(), text.clone(), value.origin.clone());
                    self.hints.push(Hint {
                        kind,
                        path: path.clone(),
                        text,
                        origin,
                    });
                }
                Some(value.clone())
            }
            Data::Array(items) => {
                let good = items.iter().enumerate();
                let good = good.filter_map(|(i, item)| {
                    self.hinted(&schema["items"], item, &path.index(i), hint)
                });
                let data = Data::Array(good.collect());
                Some(Located {
                    data,
                    origin: value.origin.clone(),
                })
            }
            Data::Table(entries) => Some(self.table(schema, entries, value, path)),
            _ => Some(value.clone()),
        }
    }

    fn table(
        &mut self,
        schema: &Value,
        entries: &Entries,
        value: &Located,
        path: &KeyPath,
    ) -> Located {
        let mut filled = Entries::new();
        let none = serde_json::Map::new();
        let properties = schema["properties"].as_object().unwrap_or(&none);
        let excluded = self.alternatives(schema, entries, path);
        for (key, property) in properties {
            let at = path.key(key);
            let good = match self.entry(key, property, entries, path) {
                Some((name, entry)) => self.value(property, entry, &path.key(name)),
                None if excluded.contains(key) => None,
                None => self.absent(property, is_required(schema, key), value, &at),
            };
            filled.extend(good.map(|good| (key.clone(), good)));
        }
        for (key, entry) in entries {
            if properties.contains_key(key)
                || properties.values().any(|property| has_alias(property, key))
            {
                continue;
            }
            let at = path.key(key);
            match &schema["additionalProperties"] {
                Value::Bool(false) => self
                    .faults
                    .push(unknown::key(schema, key, &at, self.merged)),
                Value::Object(_) => {
                    let good = self.value(&schema["additionalProperties"], entry, &at);
                    filled.extend(good.map(|good| (key.clone(), good)));
                }
                _ => {
                    filled.insert(key.clone(), entry.clone());
                }
            }
        }
        Located {
            data: Data::Table(filled),
            origin: value.origin.clone(),
        }
    }

    /// The entry of a key, under its own name or another that is understood; the same key under
    /// two names is a fault.
    fn entry<'e>(
        &mut self,
        key: &'e str,
        property: &Value,
        entries: &'e Entries,
        path: &KeyPath,
    ) -> Option<(&'e str, &'e Located)> {
        let own = entries.get_key_value(key);
        let mut aliases = entries.iter().filter(|(name, _)| has_alias(property, name));
        let (first, entry) = own.or_else(|| aliases.next())?;
        for (second, _) in aliases {
            let at = path.key(second);
            let message = format!("another name of `{first}`, which is set as well; keep one");
            self.faults.push(Fault::new(
                Code::Conflict,
                &at,
                self.merged.key_origin(&at),
                message,
            ));
        }
        Some((first, entry))
    }

    /// The keys that take no default because another of their group is set. Two of a group that
    /// are set by the same layer are a fault.
    fn alternatives(&mut self, schema: &Value, entries: &Entries, path: &KeyPath) -> Vec<String> {
        let mut excluded = Vec::new();
        for group in super::schema::either(schema) {
            let set: Vec<&String> = group
                .iter()
                .filter(|key| entries.contains_key(*key))
                .collect();
            if let [first, second, ..] = set.as_slice() {
                let at = path.key(second);
                let message = format!("excludes `{first}`, which is set as well; keep one");
                self.faults.push(Fault::new(
                    Code::Conflict,
                    &at,
                    self.merged.key_origin(&at),
                    message,
                ));
            }
            if !set.is_empty() {
                excluded.extend(group);
            }
        }
        excluded
    }

    /// What a key that is not set stands for.
    fn absent(
        &mut self,
        property: &Value,
        required: bool,
        table: &Located,
        path: &KeyPath,
    ) -> Option<Located> {
        let empty =
            property.get("properties").is_some() && (required || property["default"].is_object());
        if empty {
            return self.value(property, &Located::empty(Origin::Default), path);
        }
        if let Some(default) = property.get("default").and_then(Located::default) {
            return self.value(property, &default, path);
        }
        if required && !self.incomplete {
            let origin = Some(table.origin.clone()).filter(|origin| *origin != Origin::Default);
            let mut fault = Fault::new(
                Code::MissingKey,
                path,
                origin,
                format!("missing: expected {}", words::expected(property)),
            );
            if let Some(doc) = property["description"].as_str() {
                fault = fault.note(words::first_sentence(doc));
            }
            self.faults.push(fault);
        }
        None
    }

    /// The text of a variable or of `--set` where text is wanted and something else was read.
    fn as_text(&self, schema: &Value, value: &Located, path: &KeyPath) -> Option<Located> {
        let raw = value.origin.raw(&path.to_string())?;
        let text = Located::text(raw, value.origin.clone());
        (value.str().is_none() && has_type(schema, &text)).then_some(text)
    }

    fn invalid(&mut self, schema: &Value, value: &Located, path: &KeyPath) -> Option<Located> {
        let message = format!(
            "expected {}, found {}",
            words::expected(schema),
            words::found(value)
        );
        let fault = Fault::new(Code::InvalidValue, path, value.origin.clone(), message);
        let Some(text) = value.str() else {
            self.faults.push(fault);
            return None;
        };
        let meant = suggest::closest(text, words_of(schema));
        let number = text.trim().parse::<f64>().is_ok() && has_number(schema);
        self.faults.push(match meant {
            Some(word) => fault.suggest(Some(word)),
            None if number => fault.note("numbers stand without quotes"),
            None if schema.get("x-tenon-component").is_some() => {
                fault.note(format!("write {path}.use = {}", words::found(value)))
            }
            None => fault,
        });
        None
    }
}

/// Whether a value is of a type that the schema allows.
fn has_type(schema: &Value, value: &Located) -> bool {
    if let Some(branches) = ["anyOf", "oneOf"]
        .iter()
        .find_map(|list| schema[*list].as_array())
    {
        return branches.iter().any(|branch| has_type(branch, value));
    }
    let is = |kind: &str| match &value.data {
        Data::Bool(_) => kind == "boolean",
        Data::Integer(_) => kind == "integer" || kind == "number",
        Data::Float(_) => kind == "number",
        Data::Text(_) => kind == "string",
        Data::Array(_) => kind == "array",
        Data::Table(_) => kind == "object",
    };
    match &schema["type"] {
        Value::String(kind) => is(kind),
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).any(is),
        _ => true,
    }
}

fn has_number(schema: &Value) -> bool {
    has_type(
        schema,
        &Located {
            data: Data::Integer(1),
            origin: Origin::Default,
        },
    )
}

fn in_range(schema: &Value, value: &Located) -> bool {
    let Some(number) = value.number() else {
        return true;
    };
    let holds = |key: &str, test: fn(f64, f64) -> bool| {
        schema[key].as_f64().is_none_or(|bound| test(number, bound))
    };
    number.is_finite()
        && holds("minimum", |number, bound| number >= bound)
        && holds("exclusiveMinimum", |number, bound| number > bound)
        && holds("maximum", |number, bound| number <= bound)
        && holds("exclusiveMaximum", |number, bound| number < bound)
}

/// A pattern that is no regular expression is the fault of its author, not of the run file.
fn fits_pattern(schema: &Value, text: &str) -> bool {
    let pattern = schema["pattern"]
        .as_str()
        .and_then(|pattern| regex::Regex::new(pattern).ok());
    pattern.is_none_or(|pattern| pattern.is_match(text))
}

fn is_required(schema: &Value, key: &str) -> bool {
    schema["required"]
        .as_array()
        .is_some_and(|keys| keys.iter().any(|required| required == key))
}

fn has_alias(property: &Value, name: &str) -> bool {
    property["x-tenon-alias"]
        .as_array()
        .is_some_and(|names| names.iter().any(|alias| alias == name))
}

/// The words that a schema allows.
fn words_of(schema: &Value) -> Vec<&str> {
    let own = schema["enum"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str);
    let branches = ["anyOf", "oneOf"]
        .iter()
        .filter_map(|list| schema[*list].as_array())
        .flatten();
    own.chain(branches.flat_map(words_of)).collect()
}
