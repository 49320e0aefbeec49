//! The method: what it selects, attaches, and names.

use std::collections::BTreeMap;

use tenon_plugin_api::peft::prelude::*;

use crate::adapter;
use crate::attach::Update;
use crate::options::{InitLoraWeights, Options};
use crate::targets::{Targets, pattern_of};

/// Updates of low rank.
#[derive(Debug)]
pub struct Lora {
    options: Options,
    /// Rank and scale at each site of the plan, by the site's name.
    updates: BTreeMap<String, (usize, f64)>,
}

impl Peft for Lora {
    const ID: &'static str = "lora";
    const ABOUT: &'static str = "Trains updates of low rank beside frozen linear layers";
    const PEFT_TYPES: &'static [&'static str] = &["LORA"];
    type Options = Options;

    fn new(options: Options) -> Result<Self> {
        ensure!(
            options.lora_alpha.is_finite(),
            Options,
            "lora_alpha: expected a finite number, found {}",
            options.lora_alpha
        );
        if let Some(selector) = options.rank_pattern.iter().find(|(_, r)| **r == 0) {
            bail!(
                Options,
                "rank_pattern.{}: expected a number ≥ 1, found 0",
                selector.0
            );
        }
        if options.target_regex.is_some() && options.layers_to_transform.is_some() {
            bail!(
                Options,
                "layers_to_transform: `target_regex` chooses the layers too; set one of the two"
            );
        }
        let updates = BTreeMap::new();
        Ok(Self { options, updates })
    }

    fn plan(&mut self, model: &ModelView) -> Result<Plan> {
        let options = &self.options;
        let targets = Targets::select(options, model)?;
        let patterns = options.rank_pattern.keys().map(|key| ("rank_pattern", key));
        let more = options
            .alpha_pattern
            .keys()
            .map(|key| ("alpha_pattern", key));
        for (option, selector) in patterns.chain(more) {
            if !targets.sites.iter().any(|site| site.selected_by(selector)) {
                bail!(
                    Options,
                    "{option}: `{selector}` selects none of the layers that the targets do"
                );
            }
        }
        let update = |site: &&SiteInfo| (site.name.clone(), self.rank_and_scale(site));
        self.updates = targets.sites.iter().map(update).collect();
        Ok(Plan {
            sites: targets.sites.iter().map(|site| site.name.clone()).collect(),
            trainable: targets.trainable,
        })
    }

    fn attach(&mut self, site: &SiteInfo, _: &TensorMap, build: &Build) -> Result<Box<dyn Attach>> {
        let (r, scale) = self
            .updates
            .get(&site.name)
            .copied()
            .with_context(|| format!("attaching to {}: it is not in the plan", site.name))?;
        let init = match self.options.init_lora_weights {
            // As `torch.nn.Linear` calls it, which makes the bound 1/√in.
            InitLoraWeights::Kaiming => Init::KaimingUniform { a: 5_f64.sqrt() },
            InitLoraWeights::Gaussian => Init::Normal {
                std: 1.0 / r as f64,
            },
        };
        let r = r as i64;
        Ok(Box::new(Update {
            a: build.param("lora_A.weight", &[r, site.in_features], init)?,
            b: build.param("lora_B.weight", &[site.out_features, r], Init::Zeros)?,
            scale,
            dropout: self.options.lora_dropout,
            transposed: site.transposed,
        }))
    }

    fn adapter_config(&self, model: &ModelView) -> Result<Option<Map<String, Value>>> {
        adapter::write(&self.options, model).map(Some)
    }

    fn import(config: &Map<String, Value>) -> Result<Map<String, Value>> {
        adapter::read(config)
    }

    /// As `peft` names them: where it attaches, the layer itself is the update's `base_layer`.
    fn file_name(&self, parameter: &str) -> String {
        let own_bias = parameter
            .strip_suffix(".bias")
            .filter(|module| self.updates.contains_key(*module));
        match own_bias {
            Some(module) => format!("base_model.model.{module}.base_layer.bias"),
            None => format!("base_model.model.{parameter}"),
        }
    }

    /// With `bias = "all"`, `peft` writes the bias of a module that is trained whole three times:
    /// under its name, as its copy's, and as it was before training.
    fn is_redundant(&self, tensor: &str) -> bool {
        [".modules_to_save.", ".original_module."]
            .iter()
            .any(|copy| tensor.contains(copy))
    }
}

impl Lora {
    fn rank_and_scale(&self, site: &SiteInfo) -> (usize, f64) {
        let options = &self.options;
        let r = pattern_of(&options.rank_pattern, site).map_or(options.r, |r| *r);
        let alpha =
            pattern_of(&options.alpha_pattern, site).map_or(options.lora_alpha, |alpha| *alpha);
        let divisor = match options.use_rslora {
            true => (r as f64).sqrt(),
            false => r as f64,
        };
        (r, alpha / divisor)
    }
}
