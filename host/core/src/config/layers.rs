//! The layers of a run file: `extends`, the file, its profiles, variables, `--set`.

use std::collections::HashMap;
use std::path::PathBuf;

use figment::value::{Dict, Tag, Value};

use super::keypath::{KeyPath, Step};
use super::origin::Origin;
use super::report::{Code, Fault, Note};
use super::source::Places;
use super::suggest;
use super::{assignments, files};

/// Every variable that sets a key starts so and has two underscores after it.
pub(super) const PREFIX: &str = "TENON_";

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
            } => set.shares_a_branch_with(path).then(|| origin.clone()),
        }
    }

    pub fn assignment(path: KeyPath, value: Value, origin: Origin) -> Self {
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
    let mut layers = files::read(&request.file, &request.root)?;
    assignments::variables(&mut layers, &request.env);
    for text in &request.sets {
        match assignments::set(text) {
            Ok(layer) => layers.assignments.push(layer),
            Err(fault) => layers.faults.push(*fault),
        }
    }
    choose_profile(&mut layers, request);
    Ok(layers)
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
