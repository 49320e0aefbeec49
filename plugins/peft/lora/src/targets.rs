//! Which sites the options select in a model, and which of its own parameters stay trainable.

use std::collections::BTreeSet;

use regex::Regex;
use tenon_plugin_api::names::{closest, selects};
use tenon_plugin_api::peft::prelude::*;

use crate::options::{Bias, Options};

/// Selects every linear layer but those of modules that are trained whole.
pub const ALL_LINEAR: &str = "all-linear";

/// Roles that are attached to where the options do not say: what makes queries and values, whatever layers a model has
/// for it. These are the targets that `peft` chooses for models that it knows by name.
const USUAL: [&str; 3] = ["query", "value", "query_key_value"];

/// Names of modules that `peft` takes for the head of some task.
pub const HEADS: [&str; 3] = ["classifier", "score", "qa_outputs"];

/// Those that `peft` trains whole for the model's task; a language model's head it leaves alone.
fn heads(model: &ModelView) -> &'static [&'static str] {
    match model.head.as_ref().map(|head| head.kind.as_str()) {
        Some("question-answering") => &HEADS[2..],
        Some("causal-lm" | "seq2seq-lm" | "masked-lm") => &[],
        _ => &HEADS[..2],
    }
}

/// What the options select in a model.
#[derive(Debug)]
pub struct Targets<'a> {
    /// Where the method attaches, in the order of the forward pass.
    pub sites: Vec<&'a SiteInfo>,
    /// The same before `layers_to_transform` chose among them.
    pub in_all_layers: Vec<&'a SiteInfo>,
    /// Names of the model's own parameters that stay trainable.
    pub trainable: Vec<String>,
    /// What `modules_to_save` of the adapter file says: the option's, the task's among [`HEADS`], and the names of
    /// other new modules.
    pub saved_modules: Vec<String>,
}

impl<'a> Targets<'a> {
    /// Applies the options to a model.
    ///
    /// # Errors
    /// A selector selects nothing; all such are named.
    pub fn select(options: &Options, model: &'a ModelView) -> Result<Self> {
        let saved_modules = saved_modules(options, model)?;
        let is_saved = |name: &str| saved_modules.iter().any(|saved| is_within(name, saved));
        let free = |site: &SiteInfo| site.kind == SiteKind::Linear && !is_saved(&site.name);

        let (linear, whole): (Vec<_>, Vec<_>) = model
            .sites
            .iter()
            .filter(|site| site.kind == SiteKind::Linear)
            .partition(|site| free(site));
        let all = Candidates {
            model,
            linear: &linear,
            whole: &whole,
        };
        let excluded = all.names("exclude_sites", &options.exclude_sites)?;
        let mut targeted = match &options.target_regex {
            Some(regex) => all.matching(regex)?,
            None => match &options.target_sites {
                Some(selectors) => all.names("target_sites", selectors)?,
                None => all.usual()?,
            },
        };
        targeted.retain(|name| !excluded.contains(name));
        let chosen = linear.into_iter();
        let in_all_layers: Vec<_> = chosen
            .filter(|site| targeted.contains(site.name.as_str()))
            .collect();
        let sites = in_layers(options, model, &in_all_layers)?;
        ensure!(
            !sites.is_empty(),
            Options,
            "no layer is left of those that the targets select in {}",
            model.model
        );

        let trains = |parameter: &&ParamInfo| {
            let name = parameter.name.as_str();
            let bias = match options.bias {
                Bias::None => false,
                Bias::All => name.ends_with(".bias"),
                Bias::LoraOnly => name
                    .strip_suffix(".bias")
                    .is_some_and(|module| sites.iter().any(|site| site.name == module)),
            };
            bias || is_saved(name)
        };
        let parameters = model.parameters.iter().filter(trains);
        let trainable = parameters.map(|parameter| parameter.name.clone()).collect();
        Ok(Self {
            sites,
            in_all_layers,
            trainable,
            saved_modules,
        })
    }
}

/// The value of the first pattern that selects a site, in the order of the patterns.
pub fn pattern_of<'a, T>(
    patterns: impl IntoIterator<Item = (&'a String, T)>,
    site: &SiteInfo,
) -> Option<T> {
    let mut patterns = patterns.into_iter();
    patterns
        .find(|(selector, _)| site.selected_by(selector))
        .map(|(_, value)| value)
}

/// Names of the modules that hold `name`, from the nearest outwards.
pub fn modules_of(name: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(name.rsplit_once('.'), |(module, _)| module.rsplit_once('.'))
        .map(|(module, _)| module)
}

/// The linear layers of a model.
struct Candidates<'a, 'b> {
    model: &'a ModelView,
    /// Those that the method may attach to.
    linear: &'b [&'a SiteInfo],
    /// Those of modules that are trained whole.
    whole: &'b [&'a SiteInfo],
}

impl<'a> Candidates<'a, '_> {
    /// Names of the sites that any of the selectors selects.
    fn names(&self, option: &str, selectors: &[String]) -> Result<BTreeSet<&'a str>> {
        let mut names = BTreeSet::new();
        let mut faults = Vec::new();
        for selector in selectors {
            let before = names.len();
            let selected = self
                .linear
                .iter()
                .filter(|site| selector == ALL_LINEAR || site.selected_by(selector));
            let mut any = false;
            names.extend(
                selected
                    .inspect(|_| any = true)
                    .map(|site| site.name.as_str()),
            );
            if !any && names.len() == before {
                faults.push(self.fault(selector));
            }
        }
        if faults.is_empty() {
            return Ok(names);
        }
        let message = format!("{option}: {}", faults.join("; "));
        Err(Error::options(message).with_help(self.help()))
    }

    /// Names of the sites of the [`USUAL`] roles.
    fn usual(&self) -> Result<BTreeSet<&'a str>> {
        let of_role = self
            .linear
            .iter()
            .filter(|site| USUAL.contains(&site.role.as_str()));
        let names: BTreeSet<_> = of_role.map(|site| site.name.as_str()).collect();
        if names.is_empty() {
            let (model, roles) = (&self.model.model, USUAL.join(", "));
            let message = format!(
                "target_sites: missing, and {model} has no layer of the roles that it stands for ({roles})"
            );
            return Err(Error::options(message).with_help(self.help()));
        }
        Ok(names)
    }

    /// Names of the sites whose whole name the regular expression matches.
    fn matching(&self, regex: &str) -> Result<BTreeSet<&'a str>> {
        let whole = Regex::new(&format!("^(?:{regex})$"))
            .map_err(|error| Error::options(format!("target_regex: {error}")))?;
        let names = self.linear.iter().map(|site| site.name.as_str());
        let names: BTreeSet<_> = names.filter(|name| whole.is_match(name)).collect();
        if names.is_empty() {
            let model = &self.model.model;
            let message = format!("target_regex: `{regex}` matches no linear layer of {model}");
            return Err(Error::options(message).with_help(self.help()));
        }
        Ok(names)
    }

    fn fault(&self, selector: &str) -> String {
        let model = &self.model.model;
        if self.whole.iter().any(|site| site.selected_by(selector)) {
            return format!("`{selector}` is trained whole, so it takes no update");
        }
        if self
            .model
            .sites
            .iter()
            .any(|site| site.selected_by(selector))
        {
            return format!("`{selector}` is no linear layer of {model}");
        }
        let ends = self
            .linear
            .iter()
            .filter_map(|site| site.name.rsplit('.').next());
        let meant = closest(
            selector,
            self.roles().into_iter().chain(ends).chain([ALL_LINEAR]),
        );
        let meant = meant.map_or_else(String::new, |meant| format!(", did you mean `{meant}`?"));
        format!("`{selector}` selects no layer of {model}{meant}")
    }

    /// In the order of the forward pass.
    fn roles(&self) -> Vec<&'a str> {
        let mut roles = Vec::new();
        for site in self.linear {
            if !roles.contains(&site.role.as_str()) {
                roles.push(site.role.as_str());
            }
        }
        roles
    }

    fn help(&self) -> String {
        let example = self.linear.first().map_or("", |site| site.name.as_str());
        format!(
            "roles: {}; or ends of module names such as `{example}`, or patterns of whole names, \
             or `{ALL_LINEAR}`",
            self.roles().join(", ")
        )
    }
}

/// The option's modules, the heads, and every other module that is new.
fn saved_modules(options: &Options, model: &ModelView) -> Result<Vec<String>> {
    let parameters = || {
        model
            .parameters
            .iter()
            .map(|parameter| parameter.name.as_str())
    };
    let mut saved: Vec<String> = options.modules_to_save.to_vec();
    let unknown = saved
        .iter()
        .find(|module| !parameters().any(|name| is_within(name, module)));
    if let Some(module) = unknown {
        let ends = parameters()
            .flat_map(modules_of)
            .filter_map(|name| name.rsplit('.').next());
        let meant = tenon_plugin_api::names::did_you_mean(module, ends);
        let model = &model.model;
        bail!(
            Options,
            "modules_to_save: {model} has no module `{module}`{meant}"
        );
    }
    for head in heads(model) {
        if !saved.iter().any(|module| module == head) {
            saved.push((*head).to_owned());
        }
    }
    for parameter in model.parameters.iter().filter(|parameter| parameter.new) {
        let covered = saved
            .iter()
            .any(|module| is_within(&parameter.name, module));
        if let (false, Some(module)) = (covered, modules_of(&parameter.name).next()) {
            saved.push(module.to_owned());
        }
    }
    Ok(saved)
}

/// Whether `name` is that of the module, or lies in it.
pub fn is_within(name: &str, module: &str) -> bool {
    std::iter::once(name)
        .chain(modules_of(name))
        .any(|outer| selects(module, outer))
}

/// Those in the layers that the options name.
fn in_layers<'a>(
    options: &Options,
    model: &ModelView,
    sites: &[&'a SiteInfo],
) -> Result<Vec<&'a SiteInfo>> {
    let Some(layers) = &options.layers_to_transform else {
        return Ok(sites.to_vec());
    };
    let depth = sites.iter().filter_map(|site| site.layer).max();
    for layer in layers.iter() {
        if depth.is_none_or(|depth| *layer > depth) {
            let has = match depth {
                Some(depth) => format!("its targets lie in layers 0 to {depth}"),
                None => "its targets lie in no layer".to_owned(),
            };
            bail!(
                Options,
                "layers_to_transform: {} has no layer {layer}; {has}",
                model.model
            );
        }
    }
    let chosen = sites.iter().copied();
    Ok(chosen
        .filter(|site| site.layer.is_some_and(|layer| layers.contains(&layer)))
        .collect())
}
