//! What the words of `train` and `freeze` select among a model's parameters.

use std::collections::BTreeSet;

use tenon_plugin_api::names::{closest, selects};
use tenon_plugin_api::peft::prelude::*;

use crate::layers::{lies_in, modules_of};

/// Words for parameters of a kind, in any model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Group {
    All,
    Biases,
    Norms,
    Embeddings,
    Head,
}

const GROUPS: [(&str, Group); 5] = [
    ("biases", Group::Biases),
    ("norms", Group::Norms),
    ("embeddings", Group::Embeddings),
    ("head", Group::Head),
    ("all", Group::All),
];

impl Group {
    fn named(word: &str) -> Option<Self> {
        let mut groups = GROUPS.iter();
        groups
            .find(|(name, _)| *name == word)
            .map(|(_, group)| *group)
    }

    fn has(self, info: &ParamInfo) -> bool {
        match self {
            Self::All => true,
            Self::Biases => is_bias(info),
            Self::Norms => info.role == Some(ParamRole::Norm),
            Self::Embeddings => info.role == Some(ParamRole::Embedding),
            Self::Head => is_head(info),
        }
    }
}

/// Whether a parameter is of the task's head.
pub fn is_head(info: &ParamInfo) -> bool {
    info.head || info.new
}

/// As PyTorch's modules call theirs: `bias`, `in_proj_bias`, `bias_ih_l0`. Tables of biases, such
/// as those of relative positions, are none.
fn is_bias(info: &ParamInfo) -> bool {
    let name = info.name.rsplit('.').next().unwrap_or_default();
    let called_so = name == "bias" || name.ends_with("_bias") || name.starts_with("bias_");
    called_so && info.shape.len() == 1
}

/// Reads words on a model, and remembers those that select nothing.
pub struct Selector<'a> {
    model: &'a ModelView,
    faults: Vec<String>,
}

impl<'a> Selector<'a> {
    pub fn new(model: &'a ModelView) -> Self {
        let faults = Vec::new();
        Self { model, faults }
    }

    /// Names of the parameters that any of the words of an option selects.
    pub fn select(&mut self, option: &str, words: &[String]) -> BTreeSet<&'a str> {
        let mut names = BTreeSet::new();
        for word in words {
            let selected = selected_by(word, self.model);
            if selected.is_empty() {
                self.faults
                    .push(format!("{option}: {}", fault(word, self.model)));
            }
            names.extend(selected);
        }
        names
    }

    /// # Errors
    /// A word selected nothing; all such are named.
    pub fn finish(self) -> Result<()> {
        if self.faults.is_empty() {
            return Ok(());
        }
        Err(Error::options(self.faults.join("; ")).with_help(help(self.model)))
    }
}

/// A group, else the sites of a role, else modules and parameters by their names.
fn selected_by<'a>(word: &str, model: &'a ModelView) -> Vec<&'a str> {
    let names = |is_selected: &dyn Fn(&ParamInfo) -> bool| -> Vec<&'a str> {
        let parameters = model.parameters.iter();
        let selected = parameters.filter(|info| is_selected(info));
        selected.map(|info| info.name.as_str()).collect()
    };
    if let Some(group) = Group::named(word) {
        return names(&|info| group.has(info));
    }
    let sites: Vec<_> = model
        .sites
        .iter()
        .filter(|site| site.role == word)
        .collect();
    if !sites.is_empty() {
        return names(&|info| sites.iter().any(|site| lies_in(&info.name, &site.name)));
    }
    names(&|info| outwards(&info.name).any(|name| selects(word, name)))
}

fn fault(word: &str, model: &ModelView) -> String {
    let name = &model.model;
    match Group::named(word) {
        Some(Group::Head) => return format!("{name} has no head for the task"),
        Some(_) => return format!("{name} declares no {word}"),
        None => {}
    }
    let dots = word.matches('.').count();
    let outwards = model
        .parameters
        .iter()
        .flat_map(|info| outwards(&info.name));
    let ends = outwards.map(|name| end(name, dots));
    let groups = GROUPS.iter().map(|(name, _)| *name);
    let meant = closest(word, groups.chain(roles(model)).chain(ends));
    let meant = meant.map_or_else(String::new, |meant| format!(", did you mean `{meant}`?"));
    format!("`{word}` selects nothing of {name}{meant}")
}

/// In the order of the forward pass.
fn roles(model: &ModelView) -> Vec<&str> {
    let mut roles = Vec::new();
    for site in &model.sites {
        if !roles.contains(&site.role.as_str()) {
            roles.push(site.role.as_str());
        }
    }
    roles
}

/// The end of a name that has so many dots, or the whole name.
fn end(name: &str, dots: usize) -> &str {
    let start = name.rmatch_indices('.').nth(dots);
    start.map_or(name, |(dot, _)| &name[dot + 1..])
}

/// A parameter's name, and those of the modules that hold it.
fn outwards(name: &str) -> impl Iterator<Item = &str> {
    std::iter::once(name).chain(modules_of(name))
}

fn help(model: &ModelView) -> String {
    let groups: Vec<_> = GROUPS.iter().map(|(name, _)| *name).collect();
    let roles = match roles(model) {
        none if none.is_empty() => String::new(),
        roles => format!("; roles: {}", roles.join(", ")),
    };
    let example = model.parameters.last().map_or("bias", |info| &info.name);
    format!(
        "groups: {}{roles}; or ends of names of modules or parameters such as `{example}`, or \
         patterns of whole names such as `*.bias`",
        groups.join(", ")
    )
}
