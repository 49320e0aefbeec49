//! Reads a run file and the files that it extends, one layer for each of them and each profile.

use std::path::{Component, Path, PathBuf};

use figment::value::Value;

use super::keypath::KeyPath;
use super::layers::{Layer, LayerKind, Layers};
use super::origin::Origin;
use super::paths;
use super::report::{Code, Fault};
use super::source::{self, Places};

/// Files beyond which something is wrong.
const MAX_FILES: usize = 100;

/// The layers of `file`, which is relative to `root`, and of all that it extends.
///
/// # Errors
/// That the run file cannot be read, or all syntax errors of all files.
pub(super) fn read(file: &Path, root: &Path) -> Result<Layers, Vec<Fault>> {
    let mut gatherer = Gatherer {
        root,
        layers: Layers::default(),
        fatal: Vec::new(),
        open: Vec::new(),
    };
    gatherer.file(file, None);
    let Gatherer {
        mut layers,
        mut fatal,
        ..
    } = gatherer;
    if fatal.is_empty() {
        return Ok(layers);
    }
    fatal.append(&mut layers.faults);
    Err(fatal)
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
            Err(fault) => return self.unreadable(*fault, file, cited),
        };
        self.fatal.extend(source.syntax);
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
    fn unreadable(&mut self, mut fault: Fault, file: &Path, cited: Option<(&KeyPath, &Origin)>) {
        if fault.code != Code::Unreadable {
            return self.fatal.push(fault);
        }
        fault.suggestion = paths::sibling(self.root, file);
        match cited {
            Some((key, origin)) => {
                self.layers.incomplete = true;
                fault.path = key.to_string();
                fault.origin = Some(origin.clone());
                self.layers.faults.push(fault);
            }
            None => self.fatal.push(fault),
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
