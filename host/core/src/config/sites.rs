//! Whether a name selects a site of a model.
//!
//! An entry of a list of sites is `all-linear`, a role (`query`), the end of a module's name
//! (`attention.self.query`), its whole name, or a pattern with `*`, `?` and `[…]` that matches
//! whole names (`*.layer.[0-3].*`).

use serde_json::Value;
use tenon_plugin_api::names::selects;

use super::catalog::ComponentInfo;
use super::origin::Origin;
use super::report::{Code, Fault};
use super::suggest;
use super::validate::Hint;
use super::words;

/// Selects every linear layer.
const ALL_LINEAR: &str = "all-linear";
/// Layers in which a name is tried.
const LAYERS: usize = 128;
/// Roles that a message lists.
const LISTED: usize = 8;

/// What is wrong with a value that should select sites of the model.
pub(super) fn check(hint: &Hint, model: &ComponentInfo) -> Option<Fault> {
    let sites: Vec<Site> = model.extra["sites"]
        .as_array()?
        .iter()
        .filter_map(Site::read)
        .collect();
    if sites.is_empty()
        || hint.text == ALL_LINEAR
        || sites.iter().any(|site| site.is_selected_by(&hint.text))
    {
        return None;
    }
    let mut roles: Vec<&str> = sites.iter().map(|site| site.role).collect();
    roles.sort_unstable();
    roles.dedup();
    let ends = sites.iter().filter_map(|site| site.path.rsplit('.').next());
    let meant = suggest::closest(
        &hint.text,
        roles.iter().copied().chain(ends).chain([ALL_LINEAR]),
    );
    let message = format!(
        "{} matches no site of {}",
        words::text_shown(&hint.text),
        model.id
    );
    let fault =
        Fault::new(Code::UnknownSite, &hint.path, hint.origin.clone(), message).suggest(meant);
    let roles = format!("roles: {}", suggest::list(roles, LISTED));
    let is_default = hint.origin == Origin::Default;
    Some(fault.note(if is_default {
        format!("the default; {roles}")
    } else {
        roles
    }))
}

struct Site<'a> {
    role: &'a str,
    /// Name of the module with `{layer}` in place of numbers.
    path: &'a str,
}

impl<'a> Site<'a> {
    fn read(site: &'a Value) -> Option<Self> {
        Some(Self {
            role: site["role"].as_str()?,
            path: site["path"].as_str()?,
        })
    }

    /// Whether a name selects this site in some layer, by the rule that PEFT methods go by.
    fn is_selected_by(&self, name: &str) -> bool {
        let in_layer = |layer: usize| self.path.replace("{layer}", &layer.to_string());
        name == self.role || (0..LAYERS).any(|layer| selects(name, &in_layer(layer)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_select_sites() {
        let site = Site {
            role: "query",
            path: "bert.encoder.layer.{layer}.attention.self.query",
        };
        for (name, expected) in [
            ("query", true),
            ("self.query", true),
            ("layer.3.attention.self.query", true),
            ("bert.encoder.layer.0.attention.self.query", true),
            ("*.layer.3.*.query", true),
            ("*.layer.[0-2].*", true),
            ("*query", true),
            ("layer.x.attention.self.query", false),
            ("uery", false),
            ("roberta.encoder.layer.0.attention.self.query", false),
            ("x.bert.encoder.layer.0.attention.self.query", false),
            ("*.layer.[0-2", false),
            ("*.key", false),
            ("", false),
        ] {
            assert_eq!(site.is_selected_by(name), expected, "{name}");
        }
    }
}
