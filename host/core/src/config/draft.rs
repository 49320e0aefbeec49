//! From layers to settings: the whole check.

use std::path::PathBuf;

use super::catalog::{Catalog, Probe};
use super::columns;
use super::components::{Components, FULL};
use super::keypath::KeyPath;
use super::layers::{self, LayerKind, Layers, LoadRequest};
use super::merge::{self, Merged};
use super::options::{PluginsOptions, RunFile};
use super::origin::Origin;
use super::paths;
use super::report::{Code, Fault, Note, Report};
use super::resolved::Resolved;
use super::rules;
use super::schema;
use super::settings::{PluginSettings, Resolution, RunSettings};
use super::sites;
use super::templates;
use super::tree::{Data, Located};
use super::validate::{Checker, Hint};

/// What a run file is to be used for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Purpose {
    /// Training: all that the run file names must be there, and what to train on.
    #[default]
    Train,
    /// Nothing yet: all that the run file names must be there, and be enough for evaluation or for training.
    Check,
    /// Evaluation or prediction with a finished run: its data may be gone.
    Use,
}

/// A run file with all its layers, merged but not yet checked.
#[derive(Clone, Debug)]
pub struct Draft {
    file: String,
    stem: String,
    root: PathBuf,
    layers: Layers,
    merged: Merged,
}

/// Reads a run file and all its layers.
///
/// # Errors
/// That the file cannot be read, or the syntax errors of all files. All else is for
/// [`Draft::check`] to report.
pub fn load(request: &LoadRequest) -> Result<Draft, Report> {
    let file = request.file.to_string_lossy().replace('\\', "/");
    let layers = layers::gather(request).map_err(|faults| Report::new(&file, faults))?;
    let merged = merge::merge(layers.ordered(layers.profile.as_deref()));
    let stem = request
        .file
        .file_stem()
        .map_or_else(|| "run".into(), |stem| stem.to_string_lossy().into_owned());
    Ok(Draft {
        file,
        stem,
        root: request.root.clone(),
        layers,
        merged,
    })
}

/// What was found out about merged layers.
struct Checked {
    tree: Located,
    components: Components,
    faults: Vec<Fault>,
}

impl Draft {
    /// Where plugins are looked for and which may be opened, as far as the run file says it
    /// rightly. With it the catalog is made that [`check`](Self::check) needs.
    pub fn plugins(&self) -> PluginSettings {
        let path = KeyPath::default().key("plugins");
        let empty = Located::empty(Origin::Default);
        let table = self.merged.root.get("plugins").unwrap_or(&empty);
        let checked =
            self.checker(&self.merged, &|_| None)
                .value(schema::section("plugins"), table, &path);
        let options: Option<PluginsOptions> =
            checked.and_then(|table| serde_json::from_value(table.to_json()).ok());
        options.map(PluginSettings::from).unwrap_or_default()
    }

    /// What there is to know that is not a fault: variables that set nothing, options that a
    /// higher layer made pointless.
    pub fn notes(&self) -> Vec<Note> {
        self.layers
            .notes
            .iter()
            .chain(&self.merged.notes)
            .cloned()
            .collect()
    }

    /// Checks everything and resolves the settings.
    ///
    /// # Errors
    /// All faults, those of profiles that do not apply included.
    pub fn check(
        &self,
        purpose: Purpose,
        catalog: &dyn Catalog,
        probe: &dyn Probe,
    ) -> Result<Resolved, Report> {
        let mut checked = self.examine(&self.merged, purpose, catalog, probe);
        checked.faults.extend(self.layers.faults.iter().cloned());
        for name in self.layers.profile_names() {
            if self.layers.profile.as_deref() != Some(name) {
                checked
                    .faults
                    .extend(self.profile_faults(name, purpose, catalog, probe));
            }
        }
        if !checked.faults.is_empty() {
            return Err(Report::new(&self.file, checked.faults));
        }
        let mut resolved = self.resolve(checked)?;
        if purpose == Purpose::Check {
            let note = rules::without_training(&resolved.tree);
            resolved.notes.extend(note);
        }
        Ok(resolved)
    }

    fn checker<'a>(
        &'a self,
        merged: &'a Merged,
        find_table: super::validate::FindTable<'a>,
    ) -> Checker<'a> {
        let incomplete = self.layers.incomplete;
        Checker {
            merged,
            find_table,
            incomplete,
            faults: Vec::new(),
            hints: Vec::new(),
        }
    }

    fn examine(
        &self,
        merged: &Merged,
        purpose: Purpose,
        catalog: &dyn Catalog,
        probe: &dyn Probe,
    ) -> Checked {
        let mut components = Components::find(&merged.root, catalog);
        let find_table = |path: &KeyPath| components.schema(path);
        let mut checker = self.checker(merged, &find_table);
        let tree = checker.value(schema::host(), &merged.root, &KeyPath::default());
        let tree = tree.unwrap_or_else(|| Located::empty(Origin::Default));
        let Checker {
            mut faults, hints, ..
        } = checker;
        if let Some(model) = components.get("model") {
            let sites = hints.iter().filter(|hint| hint.kind == "sites");
            faults.extend(sites.filter_map(|hint| sites::check(hint, model)));
        }
        let is_template = |hint: &&Hint| ["template", "prompt"].contains(&&*hint.kind);
        let templates = hints.iter().filter(is_template);
        let named: Vec<Hint> = templates
            .flat_map(|template| templates::columns(template, &mut faults))
            .collect();
        faults.extend(rules::formats(&tree));
        if purpose != Purpose::Use {
            faults.extend(paths::missing(&tree, &self.root));
            let is_column = |hint: &&Hint| hint.kind == "column";
            let columns = hints
                .iter()
                .filter(is_column)
                .chain(&named)
                .collect::<Vec<_>>();
            let missing = columns::check(&columns, &tree, &faults, &self.root, probe);
            faults.extend(missing);
        }
        let incomplete = self.layers.incomplete;
        let broken = rules::check(&tree, &components, &faults, purpose, incomplete);
        faults.extend(broken);
        faults.append(&mut components.faults);
        faults.extend(merged.faults.iter().cloned());
        Checked {
            tree,
            components,
            faults,
        }
    }

    /// The faults that a profile would bring if it applied.
    fn profile_faults(
        &self,
        name: &str,
        purpose: Purpose,
        catalog: &dyn Catalog,
        probe: &dyn Probe,
    ) -> Vec<Fault> {
        let merged = merge::merge(self.layers.ordered(Some(name)));
        let own = |origin: &Origin| {
            self.layers
                .profiles
                .iter()
                .filter(|(profile, _)| profile == name)
                .any(|(_, layer)| match &layer.kind {
                    LayerKind::File { name, places } => places.values().any(|at| {
                        *origin == Origin::file(name, at.key)
                            || *origin == Origin::file(name, at.value)
                    }),
                    LayerKind::Assignment { .. } => false,
                })
        };
        let faults = self.examine(&merged, purpose, catalog, probe).faults;
        let faults = faults
            .into_iter()
            .filter(|fault| fault.origin.as_ref().is_some_and(own));
        faults
            .map(|fault| Fault {
                path: format!("profile.{name}.{}", fault.path),
                ..fault
            })
            .collect()
    }

    /// Settings of a run file without faults.
    fn resolve(&self, checked: Checked) -> Result<Resolved, Report> {
        let Checked {
            mut tree,
            components,
            ..
        } = checked;
        if tree.find("peft.use").and_then(Located::str) == Some(FULL)
            && let Some(entries) = tree.table_mut()
        {
            entries.shift_remove("peft");
        }
        if let Some(run) = tree
            .table_mut()
            .and_then(|entries| entries.get_mut("run")?.table_mut())
            && !run.contains_key("name")
        {
            run.shift_insert(
                0,
                "name".into(),
                Located::text(self.stem.clone(), Origin::Default),
            );
        }
        defer_to_pretrained(&mut tree);
        let internal = |message: String| {
            // The schema is made from the options, so what it accepts can be read as options.
            let fault = Fault::new(
                Code::InvalidValue,
                "",
                None,
                format!("cannot be read as settings: {message}"),
            );
            Report::new(&self.file, vec![fault])
        };
        let file: RunFile =
            serde_json::from_value(tree.to_json()).map_err(|error| internal(error.to_string()))?;
        let resolution = self
            .resolution(&tree, &components, &file)
            .ok_or_else(|| internal("a component is missing".into()))?;
        Ok(Resolved {
            file: self.file.clone(),
            settings: RunSettings::new(file, resolution),
            notes: self.notes(),
            tree,
        })
    }

    fn resolution(
        &self,
        tree: &Located,
        components: &Components,
        file: &RunFile,
    ) -> Option<Resolution> {
        let list = |section: &str| {
            let tables = tree.get(section).and_then(Located::array);
            components.list(section, tables.map_or(0, <[Located]>::len))
        };
        let pretrained = file.model.pretrained.as_deref();
        let peft = match &tree.get("peft").map(|peft| &peft.data) {
            Some(Data::Table(_)) => Some(components.names("peft")?),
            _ => None,
        };
        Some(Resolution {
            model: components.names("model")?,
            task: components.names("task")?,
            peft,
            metrics: list("metrics")?,
            processors: list("processors")?,
            pretrained: pretrained
                .map(|text| paths::pretrained(text, file.model.revision.as_deref(), &self.root)),
            name: self.stem.clone(),
        })
    }
}

/// Drops the defaults of the model's own options where its pretrained `config.json` will say them.
fn defer_to_pretrained(tree: &mut Located) {
    let model = tree
        .table_mut()
        .and_then(|entries| entries.get_mut("model")?.table_mut());
    if let Some(model) = model
        && model.contains_key("pretrained")
    {
        model.retain(|key, value| key == "dtype" || value.origin != Origin::Default);
    }
}
