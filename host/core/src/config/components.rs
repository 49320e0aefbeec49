//! Finds the components that a run file names, and with them the schemas of their tables.

use std::collections::BTreeMap;

use serde_json::Value;

use super::catalog::{Catalog, ComponentInfo, Kind, LookupError};
use super::keypath::{KeyPath, Step};
use super::report::{Code, Fault};
use super::schema;
use super::suggest;
use super::tree::Located;

/// What `peft.use` says for full fine-tuning.
pub(super) const FULL: &str = "full";
/// Names that a message lists.
const LISTED: usize = 8;

/// The components of a run, by the path of their table.
#[derive(Debug, Default)]
pub(super) struct Components {
    found: BTreeMap<String, ComponentInfo>,
    pub faults: Vec<Fault>,
}

impl Components {
    /// Looks up every component that `root` names.
    pub fn find(root: &Located, catalog: &dyn Catalog) -> Self {
        let mut components = Self::default();
        for (section, kind) in [
            ("model", Kind::Model),
            ("task", Kind::Task),
            ("peft", Kind::Peft),
        ] {
            let path = KeyPath::default().key(section);
            components.table(root, root.get(section), &path, kind, catalog);
        }
        for (section, kind) in [("metrics", Kind::Metric), ("processors", Kind::Processor)] {
            let path = KeyPath::default().key(section);
            let tables = root.get(section).and_then(Located::array);
            for (index, table) in tables.into_iter().flatten().enumerate() {
                components.table(root, Some(table), &path.index(index), kind, catalog);
            }
        }
        components
    }

    /// The component of the table at a path.
    pub fn get(&self, path: &str) -> Option<&ComponentInfo> {
        self.found.get(path)
    }

    /// The component of the table at a path, as plugin and id.
    pub fn names(&self, path: &str) -> Option<(String, String)> {
        self.get(path)
            .map(|found| (found.plugin.clone(), found.id.clone()))
    }

    /// The components of the list at `section`, which has `count` tables.
    pub fn list(&self, section: &str, count: usize) -> Option<Vec<(String, String)>> {
        let path = KeyPath::default().key(section);
        (0..count)
            .map(|index| self.names(&path.index(index).to_string()))
            .collect()
    }

    /// Schema of the table at a path.
    pub fn schema(&self, path: &KeyPath) -> Option<Value> {
        let Some(Step::Key(section)) = path.0.first() else {
            return None;
        };
        Some(schema::with_component(
            section,
            self.get(&path.to_string())?,
        ))
    }

    fn table(
        &mut self,
        root: &Located,
        table: Option<&Located>,
        path: &KeyPath,
        kind: Kind,
        catalog: &dyn Catalog,
    ) {
        let Some(name) = table.and_then(|table| table.get("use")) else {
            return;
        };
        let Some(text) = name.str() else { return };
        if kind == Kind::Peft && text == FULL {
            return;
        }
        match look_up(root, kind, text, catalog) {
            Ok(component) => {
                self.found.insert(path.to_string(), component);
            }
            Err(error) => {
                let fault = Fault::new(
                    Code::UnknownComponent,
                    path.key("use"),
                    name.origin.clone(),
                    "",
                );
                self.faults.push(explained(fault, kind, text, error));
            }
        }
    }
}

/// Looks up a component; of several of one short name, `plugins.prefer` chooses.
fn look_up(
    root: &Located,
    kind: Kind,
    name: &str,
    catalog: &dyn Catalog,
) -> Result<ComponentInfo, LookupError> {
    let preferred = root
        .find("plugins.prefer")
        .and_then(|prefer| prefer.get(name)?.str());
    match (catalog.lookup(kind, name), preferred) {
        (Err(LookupError::Ambiguous { candidates }), Some(full))
            if candidates.iter().any(|name| name == full) =>
        {
            catalog.lookup(kind, full)
        }
        (result, _) => result,
    }
}

fn explained(mut fault: Fault, kind: Kind, name: &str, error: LookupError) -> Fault {
    let noun = kind.noun();
    match error {
        LookupError::NotFound {
            installed,
            reason: Some(reason),
        } => {
            fault.message = format!("no {noun} `{name}`: {reason}");
            fault.suggest(suggest::closest(name, installed.iter().map(String::as_str)))
        }
        LookupError::NotFound {
            mut installed,
            reason: None,
        } => {
            fault.message = format!("no {noun} `{name}`");
            if kind == Kind::Peft {
                installed.push(FULL.to_owned());
            }
            let names = installed.iter().map(String::as_str);
            let meant = suggest::closest(name, names.clone());
            fault.suggest(meant).note(match installed.len() {
                0 => format!("no {noun} is installed; see `tenon plugin list`"),
                _ => format!("installed: {}", suggest::list(names, LISTED)),
            })
        }
        LookupError::Ambiguous { candidates } => {
            fault.code = Code::AmbiguousComponent;
            let names = suggest::list(candidates.iter().map(String::as_str), LISTED);
            fault.message = format!("several plugins bring a {noun} `{name}`: {names}");
            fault.note(format!(
                "use a full name, or set plugins.prefer.{}",
                super::keypath::quoted(name)
            ))
        }
    }
}
