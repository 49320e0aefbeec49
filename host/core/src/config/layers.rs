//! The layers of a run file: `extends`, the file, its profiles, variables, `--set`.

use std::collections::HashMap;
use std::path::{Component, Path, PathBuf};

use figment::value::{Dict, Tag, Value};

use super::keypath::{KeyPath, Step};
use super::origin::Origin;
use super::report::{Code, Fault, Note};
use super::source::{self, Places};
use super::suggest;

/// Files beyond which something is wrong.
const MAX_FILES: usize = 100;
/// Every variable that sets a key starts so and has two underscores after it.
const PREFIX: &str = "TENON_";

/// What to load.
#[derive(Clone, Debug, Default)]
pub struct LoadRequest {
    /// The run file.
    pub file: PathBuf,
    /// The profile to apply; without it, that of the variable `TENON_PROFILE`, if any.
    pub profile: Option<String>,
    /// Assignments `key=value` in the order of the command line; the last wins.
    pub sets: Vec<String>,
    /// Environment variables, name and value. Those that do not start with `TENON_` are ignored.
    pub env: Vec<(String, String)>,
    /// The folder that relative paths are relative to; empty for the current one.
    pub root: PathBuf,
}

impl LoadRequest {
    /// A run file with the environment of this process.
    pub fn new(file: impl Into<PathBuf>) -> Self {
        let variable = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            let name = name
                .into_string()
                .ok()
                .filter(|name| name.starts_with(PREFIX))?;
            Some((name, value.to_string_lossy().into_owned()))
        };
        let mut env: Vec<_> = std::env::vars_os().filter_map(variable).collect();
        env.sort();
        Self {
            file: file.into(),
            env,
            ..Self::default()
        }
    }
}

/// One layer: what one file, profile, variable or `--set` says.
#[derive(Clone, Debug)]
pub(super) struct Layer {
    pub values: Dict,
    pub kind: LayerKind,
}

#[derive(Clone, Debug)]
pub(super) enum LayerKind {
    /// A file, or one of its profiles, with the places of its keys.
    File {
        name: String,
        places: HashMap<KeyPath, Places>,
    },
    /// One value, set by a variable or by `--set`.
    Assignment {
        path: KeyPath,
        value: Value,
        origin: Origin,
    },
}

impl Layer {
    /// Origin of the value at `path`, which this layer set.
    pub fn origin(&self, path: &KeyPath) -> Option<Origin> {
        match &self.kind {
            LayerKind::File { name, places } => Some(Origin::file(name, places.get(path)?.value)),
            LayerKind::Assignment { origin, .. } => Some(origin.clone()),
        }
    }

    /// Origin of the key at `path`, as far as this layer has it.
    pub fn key_origin(&self, path: &KeyPath) -> Option<Origin> {
        match &self.kind {
            LayerKind::File { name, places } => Some(Origin::file(name, places.get(path)?.key)),
            LayerKind::Assignment {
                path: set, origin, ..
            } => (path.0.starts_with(&set.0) || set.0.starts_with(&path.0)).then(|| origin.clone()),
        }
    }

    fn assignment(path: KeyPath, value: Value, origin: Origin) -> Self {
        let keys = path.0.iter().rev().map(|step| match step {
            Step::Key(key) => Some(key.clone()),
            Step::Index(_) => None,
        });
        // With an index on the way the layer depends on those below; merging sees to it.
        let nested = keys.into_iter().try_fold(value.clone(), |inner, key| {
            Some(Value::Dict(Tag::Default, Dict::from([(key?, inner)])))
        });
        let values = nested.and_then(Value::into_dict).unwrap_or_default();
        Self {
            values,
            kind: LayerKind::Assignment {
                path,
                value,
                origin,
            },
        }
    }
}

/// All layers, lowest first.
#[derive(Clone, Debug, Default)]
pub(super) struct Layers {
    /// The files, those that others extend before these.
    pub files: Vec<Layer>,
    /// The profiles in the order of their files.
    pub profiles: Vec<(String, Layer)>,
    /// Variables, then `--set`.
    pub assignments: Vec<Layer>,
    /// The profile that applies.
    pub profile: Option<String>,
    /// What is wrong so far, other than syntax.
    pub faults: Vec<Fault>,
    /// What there is to know.
    pub notes: Vec<Note>,
    /// Whether a file is missing, so that keys may be missing for want of it.
    pub incomplete: bool,
}

impl Layers {
    /// The layers from the lowest to the highest with `profile` applied.
    pub fn ordered(&self, profile: Option<&str>) -> Vec<Layer> {
        let chosen = self
            .profiles
            .iter()
            .filter(|(name, _)| Some(name.as_str()) == profile);
        let all = self
            .files
            .iter()
            .chain(chosen.map(|(_, layer)| layer))
            .chain(&self.assignments);
        all.cloned().collect()
    }

    /// Names of all profiles, each once.
    pub fn profile_names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self
            .profiles
            .iter()
            .map(|(name, _)| name.as_str())
            .collect();
        names.sort_unstable();
        names.dedup();
        names
    }
}

/// Gathers all layers.
///
/// # Errors
/// That the run file cannot be read, or all syntax errors of all files.
pub(super) fn gather(request: &LoadRequest) -> Result<Layers, Vec<Fault>> {
    let mut gatherer = Gatherer {
        root: &request.root,
        layers: Layers::default(),
        fatal: Vec::new(),
        open: Vec::new(),
    };
    gatherer.file(&request.file, None);
    let Gatherer {
        mut layers,
        mut fatal,
        ..
    } = gatherer;
    if !fatal.is_empty() {
        fatal.append(&mut layers.faults);
        return Err(fatal);
    }
    variables(&mut layers, &request.env);
    for text in &request.sets {
        match set(text) {
            Ok(layer) => layers.assignments.push(layer),
            Err(fault) => layers.faults.push(fault),
        }
    }
    choose_profile(&mut layers, request);
    Ok(layers)
}

struct Gatherer<'a> {
    root: &'a Path,
    layers: Layers,
    fatal: Vec<Fault>,
    /// The files that are being read, each extended by the one before it: name and true path.
    open: Vec<(String, PathBuf)>,
}

impl Gatherer<'_> {
    /// Reads a file and what it extends. `cited` is where another file names it.
    fn file(&mut self, file: &Path, cited: Option<(&KeyPath, &Origin)>) {
        let name = file.to_string_lossy().replace('\\', "/");
        let path = self.root.join(file);
        let real = path.canonicalize().unwrap_or_else(|_| path.clone());
        if let Some(fault) = self.refuse(&name, &real, cited) {
            self.layers.faults.push(fault);
            return;
        }
        let source = match source::read(&path, &name) {
            Ok(source) => source,
            Err(faults) => return self.unreadable(faults, file, cited),
        };
        self.layers.faults.extend(source.faults);
        let mut values = source.values;
        let extends = values.remove("extends");
        let profiles = values.remove("profile");
        let layer = Layer {
            values,
            kind: LayerKind::File {
                name: name.clone(),
                places: source.places,
            },
        };
        self.open.push((name, real));
        self.extends(file, &layer, extends);
        self.open.pop();
        self.profiles(&layer, profiles);
        self.layers.files.push(layer);
    }

    /// Why a file is not to be read: a circle, or too many of them.
    fn refuse(&self, name: &str, real: &Path, cited: Option<(&KeyPath, &Origin)>) -> Option<Fault> {
        let (path, origin) = cited?;
        if let Some(start) = self.open.iter().position(|(_, open)| open == real) {
            let circle: Vec<&str> = self.open[start..]
                .iter()
                .map(|(name, _)| name.as_str())
                .chain([name])
                .collect();
            let message = format!("goes round in a circle: {}", circle.join(" → "));
            return Some(Fault::new(Code::Cycle, path, origin.clone(), message));
        }
        (self.layers.files.len() + self.open.len() >= MAX_FILES).then(|| {
            let message = format!("more than {MAX_FILES} files extend each other");
            Fault::new(Code::Cycle, path, origin.clone(), message)
        })
    }

    /// A missing file is a fault of the file that names it; the rest is still checked.
    fn unreadable(&mut self, faults: Vec<Fault>, file: &Path, cited: Option<(&KeyPath, &Origin)>) {
        for mut fault in faults {
            match cited {
                Some((key, origin)) if fault.code == Code::Unreadable => {
                    self.layers.incomplete = true;
                    fault.path = key.to_string();
                    fault.origin = Some(origin.clone());
                    self.layers
                        .faults
                        .push(fault.suggest(super::paths::sibling(self.root, file)));
                }
                _ if fault.code == Code::Unreadable => self
                    .fatal
                    .push(fault.suggest(super::paths::sibling(self.root, file))),
                _ => self.fatal.push(fault),
            }
        }
    }

    fn extends(&mut self, file: &Path, layer: &Layer, extends: Option<Value>) {
        let path = KeyPath::default().key("extends");
        let mut bases = Vec::new();
        match extends {
            None => {}
            Some(Value::String(_, base)) => bases.push((path, Some(base))),
            Some(Value::Array(_, items)) => {
                let item = |(index, item): (usize, Value)| (path.index(index), item.into_string());
                bases.extend(items.into_iter().enumerate().map(item));
            }
            Some(_) => bases.push((path, None)),
        }
        for (path, base) in bases {
            let Some(origin) = layer.origin(&path) else {
                continue;
            };
            match base {
                Some(base) => {
                    let folder = file.parent().unwrap_or(Path::new(""));
                    self.file(&normalised(&folder.join(base)), Some((&path, &origin)));
                }
                None => {
                    let message = "expected the path of a run file, or a list of them";
                    self.layers
                        .faults
                        .push(Fault::new(Code::InvalidValue, path, origin, message));
                }
            }
        }
    }

    /// Splits the profiles off a file, each as a layer of its own.
    fn profiles(&mut self, layer: &Layer, profiles: Option<Value>) {
        let top = KeyPath::default().key("profile");
        let LayerKind::File { name: file, places } = &layer.kind else {
            return;
        };
        let tables = match profiles {
            None => return,
            Some(Value::Dict(_, tables)) => tables,
            Some(_) => {
                let message = "expected tables `[profile.NAME.…]`";
                self.layers.faults.push(Fault::new(
                    Code::InvalidValue,
                    &top,
                    layer.origin(&top),
                    message,
                ));
                return;
            }
        };
        for (name, values) in tables {
            let path = top.key(&name);
            let Value::Dict(_, values) = values else {
                let message = format!("expected tables `[profile.{name}.…]`");
                self.layers.faults.push(Fault::new(
                    Code::InvalidValue,
                    &path,
                    layer.origin(&path),
                    message,
                ));
                continue;
            };
            let inside = |(at, places): (&KeyPath, &Places)| {
                let rest = at.0.strip_prefix(path.0.as_slice())?;
                Some((KeyPath(rest.to_vec()), *places))
            };
            let places = places.iter().filter_map(inside).collect();
            self.layers.profiles.push((
                name,
                Layer {
                    values,
                    kind: LayerKind::File {
                        name: file.clone(),
                        places,
                    },
                },
            ));
        }
    }
}

/// Takes `.` and `x/..` out of a path, so that messages show it as a person would write it.
fn normalised(path: &Path) -> PathBuf {
    let mut parts: Vec<Component> = Vec::new();
    for part in path.components() {
        match (part, parts.last()) {
            (Component::CurDir, _) => {}
            (Component::ParentDir, Some(Component::Normal(_))) => {
                parts.pop();
            }
            _ => parts.push(part),
        }
    }
    parts.iter().collect()
}

/// Adds the variables that set keys, and notes those that look as if they should.
fn variables(layers: &mut Layers, env: &[(String, String)]) {
    let mut found = Vec::new();
    for (name, value) in env {
        let Some(rest) = name.strip_prefix(PREFIX) else {
            continue;
        };
        if !rest.contains("__") {
            layers.notes.extend(nearly(name, rest));
            continue;
        }
        match KeyPath::from_variable(rest) {
            Ok(path) => {
                let origin = Origin::Env {
                    name: name.clone(),
                    key: path.to_string(),
                    value: value.clone(),
                };
                found.push(Layer::assignment(path, source::parse_value(value), origin));
            }
            Err(message) => {
                let origin = Origin::Env {
                    name: name.clone(),
                    key: String::new(),
                    value: value.clone(),
                };
                layers
                    .faults
                    .push(Fault::new(Code::Syntax, "", origin, message));
            }
        }
    }
    // A component is chosen before its options are set, whatever the order of the variables.
    found.sort_by_key(|layer| match &layer.kind {
        LayerKind::Assignment { path, .. } => path.last_key() != Some("use"),
        LayerKind::File { .. } => true,
    });
    layers.assignments.extend(found);
}

/// A variable with one underscore where two are needed.
fn nearly(name: &str, rest: &str) -> Option<Note> {
    let section = super::schema::SECTIONS.iter().find(|section| {
        rest.to_lowercase()
            .strip_prefix(**section)
            .is_some_and(|rest| rest.len() > 1 && rest.starts_with('_'))
    })?;
    let meant = format!(
        "{PREFIX}{}__{}",
        section.to_uppercase(),
        &rest[section.len() + 1..]
    );
    let message = format!(
        "the variable {name} sets nothing; two underscores part a table from its key: {meant}"
    );
    Some(Note {
        path: String::new(),
        origin: None,
        message,
    })
}

fn set(text: &str) -> Result<Layer, Fault> {
    let fault = |message: String| {
        let (key, value) = text.split_once('=').unwrap_or((text, ""));
        let origin = Origin::Set {
            key: key.to_owned(),
            value: value.to_owned(),
        };
        Fault::new(Code::Syntax, "", origin, message)
    };
    let (key, value) = split_assignment(text).ok_or_else(|| fault("expected KEY=VALUE".into()))?;
    let path = KeyPath::parse(key).map_err(fault)?;
    if let [Step::Key(first), ..] = path.0.as_slice()
        && ["extends", "profile"].contains(&first.as_str())
    {
        return Err(fault(format!("`{first}` can be set in a file only")));
    }
    let origin = Origin::Set {
        key: path.to_string(),
        value: value.to_owned(),
    };
    Ok(Layer::assignment(path, source::parse_value(value), origin))
}

/// Splits at the first `=` outside quotes.
fn split_assignment(text: &str) -> Option<(&str, &str)> {
    let mut quote = None;
    for (at, character) in text.char_indices() {
        match (quote, character) {
            (None, '=') => return Some((&text[..at], &text[at + 1..])),
            (None, '"' | '\'') => quote = Some(character),
            (Some(open), _) if open == character => quote = None,
            _ => {}
        }
    }
    None
}

fn choose_profile(layers: &mut Layers, request: &LoadRequest) {
    let variable = request
        .env
        .iter()
        .find(|(name, value)| name == "TENON_PROFILE" && !value.is_empty());
    let (name, origin) = match (&request.profile, variable) {
        (Some(name), _) => (name.clone(), "--profile"),
        (None, Some((_, name))) => (name.clone(), "TENON_PROFILE"),
        (None, None) => return,
    };
    let known = layers.profile_names();
    if !known.contains(&name.as_str()) && !layers.incomplete {
        let message = format!("no profile `{name}`, which {origin} asks for");
        let fault = Fault::new(Code::UnknownProfile, "profile", None, message)
            .suggest(suggest::closest(&name, known.iter().copied()));
        let note = match known.as_slice() {
            [] => "the run file has none".to_owned(),
            names => format!("profiles: {}", suggest::list(names.iter().copied(), 8)),
        };
        layers.faults.push(fault.note(note));
    }
    layers.profile = Some(name);
}
