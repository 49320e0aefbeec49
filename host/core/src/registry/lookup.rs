//! Finding components by the names that users write.

use super::manifest::Component;
use super::{Entry, Problem, Registry};
use crate::config::suggest;
use crate::config::{Catalog, ComponentInfo, Kind, LookupError};

/// Names that a message lists.
const LISTED: usize = 8;

/// Why there is no component of this name, with what was probably meant.
#[must_use]
pub fn explain(kind: Kind, name: &str, error: &LookupError) -> String {
    let noun = kind.noun();
    let (installed, reason) = match error {
        LookupError::NotFound { installed, reason } => (installed, reason),
        LookupError::Ambiguous { candidates } => {
            let candidates = candidates.join(", ");
            return format!("several plugins bring a {noun} `{name}`: {candidates}");
        }
    };
    let names = || installed.iter().map(String::as_str);
    let mut text = match reason {
        Some(reason) => format!("no {noun} `{name}`: {reason}"),
        None => format!("no {noun} `{name}`"),
    };
    if let Some(meant) = suggest::closest(name, names()) {
        text.push_str(&format!("; did you mean `{meant}`?"));
    }
    match (reason, installed.is_empty()) {
        (Some(_), _) => {}
        (None, true) => text.push_str(&format!(
            " (no {noun} is installed; see `tenon plugin list`)"
        )),
        (None, false) => {
            text.push_str(&format!(" (installed: {})", suggest::list(names(), LISTED)));
        }
    }
    text
}

impl Catalog for Registry {
    fn lookup(&self, kind: Kind, name: &str) -> Result<ComponentInfo, LookupError> {
        let (entry, component) = self.find(kind, name)?;
        Ok(info(entry, component))
    }

    fn components(&self, kind: Kind) -> Vec<ComponentInfo> {
        let mut all: Vec<_> = self
            .of_kind(kind)
            .map(|(entry, found)| info(entry, found))
            .collect();
        all.sort_by(|a, b| (&a.id, &a.plugin).cmp(&(&b.id, &b.plugin)));
        all
    }
}

fn info(entry: &Entry, component: &Component) -> ComponentInfo {
    ComponentInfo {
        plugin: entry.name().to_owned(),
        id: component.id.clone(),
        doc: component.about.clone(),
        schema: component.schema.clone(),
        extra: component.entry.clone(),
    }
}

impl Registry {
    /// Finds a usable component by its short name or by `plugin::component`. Where several plugins
    /// bring one of the short name, `[plugins] prefer` decides.
    ///
    /// # Errors
    /// There is none, or more than one.
    pub fn find(&self, kind: Kind, name: &str) -> Result<(&Entry, &Component), LookupError> {
        let (plugin, id) = split(name);
        let bears = |(entry, component): &(&Entry, &Component)| {
            component.id == id && plugin.is_none_or(|plugin| entry.name() == plugin)
        };
        let found: Vec<_> = self.of_kind(kind).filter(bears).collect();
        // Files between which the user has to choose are as much in question as usable ones.
        let open: Vec<_> = self.unchosen(kind).filter(bears).collect();
        if let ([only], []) = (&found[..], &open[..]) {
            return Ok(*only);
        }
        if let (None, Some(full)) = (plugin, self.prefer.get(name))
            && full != name
        {
            return self.find(kind, full);
        }
        if found.is_empty() && open.is_empty() {
            return Err(LookupError::NotFound {
                installed: self.names(kind),
                reason: self.reason(kind, plugin, id),
            });
        }
        let full = |(entry, component): &(&Entry, &Component)| full_name(entry, component);
        let placed = |found: &(&Entry, &Component)| {
            format!("{} ({})", full(found), found.0.path().display())
        };
        let candidates = found.iter().map(full).chain(open.iter().map(placed));
        Err(LookupError::Ambiguous {
            candidates: candidates.collect(),
        })
    }

    /// Components of a kind in usable plugins.
    fn of_kind(&self, kind: Kind) -> impl Iterator<Item = (&Entry, &Component)> {
        let usable = self
            .entries
            .iter()
            .filter(|entry| entry.problem().is_none());
        usable.flat_map(move |entry| components(entry, kind))
    }

    /// Components of a kind in files that bear one plugin's name, none of which was chosen.
    fn unchosen(&self, kind: Kind) -> impl Iterator<Item = (&Entry, &Component)> {
        let unchosen = |entry: &&Entry| {
            matches!(
                entry.problem(),
                Some(Problem::DuplicateOf { chosen: false, .. })
            )
        };
        let entries = self.entries.iter().filter(unchosen);
        entries.flat_map(move |entry| components(entry, kind))
    }

    /// What the user may write: short names, full ones where a short name is ambiguous.
    fn names(&self, kind: Kind) -> Vec<String> {
        let all: Vec<_> = self.of_kind(kind).collect();
        let name = |(entry, component): &(&Entry, &Component)| {
            let same = all.iter().filter(|(_, other)| other.id == component.id);
            match same.count() {
                1 => component.id.clone(),
                _ => full_name(entry, component),
            }
        };
        let mut names: Vec<_> = all.iter().map(name).collect();
        names.sort();
        names
    }

    /// Why a component is not available that a plugin may well bring.
    fn reason(&self, kind: Kind, plugin: Option<&str>, id: &str) -> Option<String> {
        let brings = |entry: &&Entry| match entry.manifest() {
            Some(manifest) => {
                manifest.component(kind, id).is_some()
                    && plugin.is_none_or(|plugin| entry.name() == plugin)
            }
            None => entry.name() == plugin.unwrap_or(id),
        };
        let broken = self
            .entries
            .iter()
            .filter(|entry| entry.problem().is_some());
        if let Some(error) = broken.clone().find(brings).and_then(Entry::error) {
            return Some(error.line());
        }
        let plugin = plugin?;
        let mut named = self.entries.iter().filter(|entry| entry.name() == plugin);
        let Some(entry) = named.next() else {
            return Some(format!("there is no plugin `{plugin}`"));
        };
        let ids: Vec<_> = components(entry, kind)
            .map(|(_, found)| found.id.as_str())
            .collect();
        Some(match ids.is_empty() {
            true => format!("plugin {plugin} brings no {}", kind.noun()),
            false => format!("plugin {plugin} brings {}", ids.join(", ")),
        })
    }
}

fn components(entry: &Entry, kind: Kind) -> impl Iterator<Item = (&Entry, &Component)> {
    let all = entry
        .manifest()
        .into_iter()
        .flat_map(|manifest| &manifest.components);
    let of_kind = all.filter(move |component| component.kind() == Some(kind));
    of_kind.map(move |component| (entry, component))
}

fn split(name: &str) -> (Option<&str>, &str) {
    match name.split_once("::") {
        Some((plugin, id)) => (Some(plugin), id),
        None => (None, name),
    }
}

fn full_name(entry: &Entry, component: &Component) -> String {
    format!("{}::{}", entry.name(), component.id)
}
