//! Which modules are the layers of a model, as its sites tell.

use std::collections::BTreeMap;

use tenon_plugin_api::peft::prelude::*;

/// The modules that are the top `count` layers; of each stack, where the model has several.
///
/// # Errors
/// No stack has so many layers.
pub fn top_layers(model: &ModelView, count: usize) -> Result<Vec<&str>> {
    let stacks = stacks(model);
    let Some(depth) = stacks.values().map(BTreeMap::len).max() else {
        bail!(
            Options,
            "layers: {} declares no layers; name what to train in `train`",
            model.model
        );
    };
    ensure!(
        count <= depth,
        Options,
        "layers: expected a number from 1 to {depth}, the layers of {}; found {count}",
        model.model
    );
    let top = stacks.into_values().flat_map(|layers| {
        let from_the_top = layers.into_values().rev();
        from_the_top.take(count).collect::<Vec<_>>()
    });
    Ok(top.collect())
}

/// Layers by their number, in stacks: those that lie in the same module (`bert.encoder.layer`).
fn stacks(model: &ModelView) -> BTreeMap<&str, BTreeMap<usize, &str>> {
    let mut stacks: BTreeMap<&str, BTreeMap<usize, &str>> = BTreeMap::new();
    for site in &model.sites {
        if let Some(number) = site.layer {
            let module = layer_of(site, model);
            let stack = module.rsplit_once('.').map_or("", |(stack, _)| stack);
            stacks.entry(stack).or_default().insert(number, module);
        }
    }
    stacks
}

/// The module that is a site's layer: the outermost one that holds the site, and no site that is
/// of another layer or of none.
fn layer_of<'a>(site: &'a SiteInfo, model: &ModelView) -> &'a str {
    let only_holds_the_layer = |module: &&str| {
        let mut inside = model
            .sites
            .iter()
            .filter(|other| lies_in(&other.name, module));
        inside.all(|other| other.layer == site.layer)
    };
    let outwards = modules_of(&site.name).take_while(only_holds_the_layer);
    outwards.last().unwrap_or(&site.name)
}

/// Names of the modules that hold `name`, from the nearest outwards.
pub fn modules_of(name: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(name.rsplit_once('.'), |(module, _)| module.rsplit_once('.'))
        .map(|(module, _)| module)
}

/// Whether a parameter or module of that name lies in the module.
pub fn lies_in(name: &str, module: &str) -> bool {
    name.strip_prefix(module)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}
