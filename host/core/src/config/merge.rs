//! Merges layers with figment, and says of every value which layer set it.
//!
//! figment tags each value with the provider that gave it, and keeps the tag when tables are
//! merged. The place in the file then comes from that layer's own record. Blame is never put on
//! a layer because it merely touches the same table.

use figment::value::{Dict, Map, Num, Value};
use figment::{Figment, Metadata, Profile, Provider};

use super::keypath::{KeyPath, Step};
use super::layers::{Layer, LayerKind};
use super::origin::Origin;
use super::report::{Code, Fault, Note};
use super::schema;
use super::tree::{Data, Entries, Located};

/// What the layers merge to.
#[derive(Clone, Debug)]
pub(super) struct Merged {
    /// The whole run file.
    pub root: Located,
    /// The layers, lowest first, as far as they count.
    pub layers: Vec<Layer>,
    /// Assignments that do not fit what they assign to.
    pub faults: Vec<Fault>,
    /// What a higher layer made pointless.
    pub notes: Vec<Note>,
}

impl Merged {
    /// Origin of the key at `path`: the highest layer that has it.
    pub fn key_origin(&self, path: &KeyPath) -> Option<Origin> {
        self.layers
            .iter()
            .rev()
            .find_map(|layer| layer.key_origin(path))
    }
}

/// Merges layers, lowest first.
pub(super) fn merge(mut layers: Vec<Layer>) -> Merged {
    let mut notes = Vec::new();
    drop_alternatives(&mut layers);
    drop_options_of_others(&mut layers, &mut notes);
    let mut faults = Vec::new();
    let mut figment = Figment::new();
    for (index, layer) in layers.iter().enumerate() {
        match values(layer, &figment) {
            Ok(values) => figment = figment.merge(Provided { index, values }),
            Err(fault) => faults.push(*fault),
        }
    }
    let values = current(&figment);
    let locator = Locator {
        figment: &figment,
        layers: &layers,
    };
    let root = Located {
        data: Data::Table(locator.table(&values, &KeyPath::default())),
        origin: Origin::Default,
    };
    Merged {
        root,
        layers,
        faults,
        notes,
    }
}

/// A layer as figment sees it; its index is the custom source of the metadata.
struct Provided {
    index: usize,
    values: Dict,
}

impl Provider for Provided {
    fn metadata(&self) -> Metadata {
        Metadata::named("layer").source(figment::Source::Custom(self.index.to_string()))
    }

    fn data(&self) -> figment::Result<Map<Profile, Dict>> {
        Ok(Map::from([(Profile::Default, self.values.clone())]))
    }
}

fn current(figment: &Figment) -> Dict {
    figment
        .data()
        .ok()
        .and_then(|mut profiles| profiles.remove(&Profile::Default))
        .unwrap_or_default()
}

/// What a layer gives on top of those merged so far.
fn values(layer: &Layer, below: &Figment) -> Result<Dict, Box<Fault>> {
    let (path, value, origin) = match &layer.kind {
        LayerKind::Assignment {
            path,
            value,
            origin,
        } if path.has_index() => (path, value, origin),
        _ => return Ok(layer.values.clone()),
    };
    let Some((Step::Key(section), rest)) = path.0.split_first() else {
        let message = "the run file is no list";
        return Err(Box::new(Fault::new(
            Code::Syntax,
            "",
            origin.clone(),
            message,
        )));
    };
    let below = current(below).remove(section);
    let value = edit(below, rest, value, &KeyPath::default().key(section))
        .map_err(|message| Fault::new(Code::InvalidValue, path, origin.clone(), message))
        .map_err(Box::new)?;
    Ok(Dict::from([(section.clone(), value)]))
}

/// Sets a value inside another. What is not touched keeps its tag.
fn edit(
    below: Option<Value>,
    steps: &[Step],
    new: &Value,
    path: &KeyPath,
) -> Result<Value, String> {
    let tag = figment::value::Tag::Default;
    let Some((step, rest)) = steps.split_first() else {
        return Ok(new.clone());
    };
    match (step, below) {
        (Step::Index(index), Some(Value::Dict(tag, mut table))) => {
            let key = index.to_string();
            let value = edit(table.remove(&key), rest, new, &path.key(&key))?;
            table.insert(key, value);
            Ok(Value::Dict(tag, table))
        }
        (Step::Index(index), below) => {
            let (tag, mut items) = match below {
                Some(Value::Array(tag, items)) => (tag, items),
                None => (tag, Vec::new()),
                Some(_) => return Err(format!("{path} is not a list")),
            };
            match items.len() {
                length if *index < length => {
                    let mut below = items[*index].clone();
                    if let ([Step::Key(key)], Value::Dict(_, table)) = (rest, &mut below)
                        && key == "use"
                    {
                        choose(table, new);
                    }
                    items[*index] = edit(Some(below), rest, new, &path.index(*index))?;
                }
                length if *index == length => {
                    items.push(edit(None, rest, new, &path.index(*index))?)
                }
                0 => return Err(format!("{path} has no entries yet; the first is [0]")),
                length => {
                    return Err(format!(
                        "{path} has {length} entries; the next is [{length}]"
                    ));
                }
            }
            Ok(Value::Array(tag, items))
        }
        (Step::Key(key), below) => {
            let (tag, mut table) = match below {
                Some(Value::Dict(tag, table)) => (tag, table),
                _ => (tag, Dict::new()),
            };
            let value = edit(table.remove(key), rest, new, &path.key(key))?;
            table.insert(key.clone(), value);
            Ok(Value::Dict(tag, table))
        }
    }
}

/// Drops the options of an entry of a list whose component changes.
fn choose(table: &mut Dict, new: &Value) {
    if table.get("use").and_then(Value::as_str).map(short) != new.as_str().map(short) {
        table.retain(|key, _| schema::host_keys("metrics").contains(key));
    }
}

/// Of keys that exclude each other, a higher layer's choice replaces a lower layer's.
fn drop_alternatives(layers: &mut [Layer]) {
    for (table, group) in schema::alternatives() {
        let chosen = layers.iter().rposition(|layer| {
            group
                .iter()
                .any(|key| get(&layer.values, table, key).is_some())
        });
        let Some(chosen) = chosen else { continue };
        let (below, above) = layers.split_at_mut(chosen);
        for key in group
            .iter()
            .filter(|key| get(&above[0].values, table, key).is_none())
        {
            for layer in below.iter_mut() {
                take(&mut layer.values, table, key);
            }
        }
    }
}

/// Where a higher layer chooses another component, options that lower layers give for theirs no
/// longer count.
fn drop_options_of_others(layers: &mut [Layer], notes: &mut Vec<Note>) {
    for section in ["model", "task", "peft"] {
        let uses = |layer: &Layer| {
            get(&layer.values, section, "use")
                .and_then(Value::as_str)
                .map(str::to_owned)
        };
        let Some(chosen) = layers.iter().rev().find_map(uses) else {
            continue;
        };
        let host = schema::host_keys(section);
        let mut component = None;
        for layer in layers.iter_mut() {
            component = uses(layer).or(component);
            let Some(other) = component
                .as_deref()
                .filter(|name| short(name) != short(&chosen))
            else {
                continue;
            };
            let keys = layer
                .values
                .get(section)
                .and_then(Value::as_dict)
                .map(|table| table.keys().cloned().collect());
            let keys: Vec<String> = keys.unwrap_or_default();
            for key in keys.iter().filter(|key| !host.contains(*key)) {
                let path = KeyPath::default().key(section).key(key);
                notes.push(Note {
                    path: path.to_string(),
                    origin: layer.key_origin(&path),
                    message: format!(
                        "left out: an option of `{other}`, and {section}.use is `{chosen}`"
                    ),
                });
                take(&mut layer.values, section, key);
            }
        }
    }
}

/// The component without its plugin.
fn short(name: &str) -> &str {
    name.rsplit("::").next().unwrap_or(name)
}

/// The value at `table.key`, where `table` is keys joined by dots.
fn get<'a>(values: &'a Dict, table: &str, key: &str) -> Option<&'a Value> {
    let mut keys = table.split('.').chain([key]);
    let first = values.get(keys.next()?)?;
    keys.try_fold(first, |value, key| value.as_dict()?.get(key))
}

fn take(values: &mut Dict, table: &str, key: &str) {
    let inner = table
        .split('.')
        .try_fold(values, |values, step| match values.get_mut(step) {
            Some(Value::Dict(_, inner)) => Some(inner),
            _ => None,
        });
    inner.map(|table| table.remove(key));
}

/// Turns merged values into values with origins.
struct Locator<'a> {
    figment: &'a Figment,
    layers: &'a [Layer],
}

impl Locator<'_> {
    fn table(&self, table: &Dict, path: &KeyPath) -> Entries {
        let entry = |(key, value): (&String, &Value)| {
            Some((key.clone(), self.value(value, &path.key(key))?))
        };
        table.iter().filter_map(entry).collect()
    }

    /// `None` for what TOML has not, which no layer gives.
    fn value(&self, value: &Value, path: &KeyPath) -> Option<Located> {
        let data = match value {
            Value::String(_, text) => Data::Text(text.clone()),
            Value::Bool(_, flag) => Data::Bool(*flag),
            Value::Num(_, Num::I64(integer)) => Data::Integer(*integer),
            Value::Num(_, Num::F64(float)) => Data::Float(*float),
            Value::Array(_, items) => {
                let item = |(index, item)| self.value(item, &path.index(index));
                Data::Array(items.iter().enumerate().filter_map(item).collect())
            }
            Value::Dict(_, table) => Data::Table(self.table(table, path)),
            Value::Char(..) | Value::Num(..) | Value::Empty(..) => return None,
        };
        Some(Located {
            origin: self.origin(value, path),
            data,
        })
    }

    /// The layer that set a value. A table is of all layers that set some of it: the highest is
    /// named.
    fn origin(&self, value: &Value, path: &KeyPath) -> Origin {
        let set = match value {
            Value::Dict(..) => self
                .layers
                .iter()
                .rev()
                .find_map(|layer| layer.key_origin(path)),
            _ => self
                .figment
                .get_metadata(value.tag())
                .and_then(|metadata| metadata.source.as_ref()?.custom()?.parse::<usize>().ok())
                .and_then(|index| self.layers.get(index)?.origin(path)),
        };
        set.unwrap_or(Origin::Default)
    }
}
