//! The method: what stays trainable.

use tenon_plugin_api::peft::prelude::*;

use crate::layers::{lies_in, top_layers};
use crate::options::Options;
use crate::select::{Selector, is_head};

/// Trains a part of the model itself.
#[derive(Debug)]
pub struct Freeze {
    options: Options,
}

impl Peft for Freeze {
    const ID: &'static str = "freeze";
    const ABOUT: &'static str =
        "Trains chosen layers, norms, biases or other parts of the model itself";
    type Options = Options;

    fn new(options: Options) -> Result<Self> {
        Ok(Self { options })
    }

    fn plan(&mut self, model: &ModelView) -> Result<Plan> {
        let Options {
            layers,
            train,
            freeze,
        } = &self.options;
        let mut selector = Selector::new(model);
        let mut trained = selector.select("train", train);
        let frozen = selector.select("freeze", freeze);
        selector.finish()?;
        if layers.is_none() && train.is_empty() && !freeze.is_empty() {
            trained.extend(names(model));
        }
        if let Some(count) = layers {
            let modules = top_layers(model, *count)?;
            let inside = |name: &&str| modules.iter().any(|module| lies_in(name, module));
            trained.extend(names(model).filter(inside));
        }
        let head = model.parameters.iter().filter(|info| is_head(info));
        trained.extend(head.map(|info| info.name.as_str()));

        let left = |name: &&str| trained.contains(name) && !frozen.contains(name);
        let trainable: Vec<_> = names(model).filter(left).map(str::to_owned).collect();
        ensure!(
            !trainable.is_empty(),
            Options,
            "nothing of {} is left to train: {}",
            model.model,
            match trained.is_empty() {
                true => "it has no head for the task; set `layers`, `train` or `freeze`",
                false => "`freeze` selects all that would be",
            }
        );
        Ok(Plan {
            sites: Vec::new(),
            trainable,
        })
    }

    fn attach(&mut self, site: &SiteInfo, _: &TensorMap, _: &Build) -> Result<Box<dyn Attach>> {
        bail!(
            Unsupported,
            "`freeze` attaches nothing to {}: it trains the model itself",
            site.name
        )
    }
}

/// Names of all parameters, in the order of building.
fn names(model: &ModelView) -> impl Iterator<Item = &str> {
    model.parameters.iter().map(|info| info.name.as_str())
}
