//! A PEFT method on the bench, with linear layers of its own to attach to.

use serde_json::Value;
use tenon_plugin_api::Result;
use tenon_plugin_api::host::{AttachedHandle, BuildHost, PeftHandle};
use tenon_plugin_api::info::{Init, ModelView, ParamRole, Plan, SiteInfo, SiteKind};
use tenon_plugin_api::model::Forward;
use tenon_plugin_api::peft::Peft;
use tenon_plugin_api::tch::Tensor;
use tenon_plugin_api::tensor::TensorMap;

use crate::columns::Draws;
use crate::model::{Weights, largest_difference};

/// Puts a method on the bench, with options as a run file would give them.
///
/// # Panics
/// The method refuses the options.
#[track_caller]
pub fn peft<P: Peft>(options: Value) -> PeftHandle {
    let made = PeftHandle::of::<P>(&options.to_string());
    crate::ok(made, "creating the PEFT method")
}

/// The sizes of the stand-in's linear layers.
const SHAPES: [(&str, &str, i64, i64); 6] = [
    ("attention.self.query", "query", 8, 8),
    ("attention.self.key", "key", 8, 8),
    ("attention.self.value", "value", 8, 8),
    ("attention.output.dense", "attention_output", 8, 8),
    ("intermediate.dense", "intermediate", 8, 12),
    ("output.dense", "output", 12, 8),
];

/// The sites of a model of two layers, named and shaped as BERT's, and nothing else of it: enough
/// to plan on and to attach to. Hidden size 8, intermediate size 12.
#[must_use]
pub fn stand_in(seed: u64) -> Weights {
    let mut weights = Weights::seeded(seed).head("sequence-classification", 2);
    let std = Init::Normal { std: 0.5 };
    for layer in 0..2 {
        let block = format!("bert.encoder.layer.{layer}");
        for (path, role, inputs, outputs) in SHAPES {
            let name = format!("{block}.{path}");
            let site = SiteInfo {
                name: name.clone(),
                role: role.to_owned(),
                kind: SiteKind::Linear,
                layer: Some(layer),
                in_features: inputs,
                out_features: outputs,
                transposed: false,
            };
            declare(&mut weights, site, std);
        }
        norm(&mut weights, &format!("{block}.attention.output.LayerNorm"));
        norm(&mut weights, &format!("{block}.output.LayerNorm"));
    }
    for (name, shape) in [
        ("classifier.weight", vec![2, 8]),
        ("classifier.bias", vec![2]),
    ] {
        let _ = crate::ok(weights.param(name, &shape, std, true), name);
    }
    weights
}

fn declare(weights: &mut Weights, site: SiteInfo, init: Init) {
    let name = site.name.clone();
    let shape = [site.out_features, site.in_features];
    let weight = weights.param(&format!("{name}.weight"), &shape, init, false);
    let bias = weights.param(&format!("{name}.bias"), &shape[..1], init, false);
    let tensors = TensorMap::new()
        .with("weight", crate::ok(weight, &name))
        .with("bias", crate::ok(bias, &name));
    crate::ok(weights.site(site, tensors), &name);
}

fn norm(weights: &mut Weights, name: &str) {
    for (part, init) in [("weight", Init::Ones), ("bias", Init::Zeros)] {
        let name = format!("{name}.{part}");
        let _ = crate::ok(weights.param(&name, &[8], init, false), &name);
        weights.role(&name, ParamRole::Norm);
    }
}

/// A method attached to one linear site.
pub struct Attached {
    /// The site.
    pub site: SiteInfo,
    /// The site's own weights.
    pub weights: TensorMap,
    /// The attached computation.
    pub handle: AttachedHandle,
    /// The parameters that the method asked for, by full name.
    pub parameters: Vec<(String, Tensor)>,
}

/// Attaches a method to a site of `model`, with parameters drawn from `seed`.
///
/// # Panics
/// The method cannot attach there, or there is no such site.
#[track_caller]
pub fn attach(peft: &mut PeftHandle, model: &Weights, site: &str, seed: u64) -> Attached {
    let weights = model.site_weights(site);
    let Some(site) = model.sites().into_iter().find(|info| info.name == site) else {
        panic!("the model declared no site `{site}`")
    };
    let own = Weights::seeded(seed);
    let made = peft.attach(&site, &weights, own.clone());
    let handle = crate::ok(made, &format!("attaching to `{}`", site.name));
    let parameters = own.parameters().into_iter().map(|info| {
        let tensor = own.parameter(&info.name);
        (info.name, tensor)
    });
    Attached {
        parameters: parameters.collect(),
        site,
        weights,
        handle,
    }
}

impl Attached {
    /// An input for the site: `[2, 3, in_features]`, drawn from `seed`.
    pub fn input(&self, seed: u64) -> Tensor {
        random(&[2, 3, self.site.in_features], seed)
    }

    /// The linear layer without the attachment: `[…, in_features]` to `[…, out_features]`.
    ///
    /// # Panics
    /// The weights are not those of a linear layer.
    pub fn base(&self, input: &Tensor) -> Tensor {
        linear(input, &self.weights, self.site.transposed)
    }

    /// The layer with the attachment.
    ///
    /// # Errors
    /// Those of the method.
    pub fn forward(&self, input: &Tensor, forward: &Forward) -> Result<Tensor> {
        let base = self.base(input);
        let out = self
            .handle
            .forward(vec![input.shallow_clone(), base], forward)?;
        let [out] = <[Tensor; 1]>::try_from(out).map_err(|out| {
            tenon_plugin_api::Error::data(format!(
                "a linear site gives one tensor, the attachment gave {}",
                out.len()
            ))
        })?;
        Ok(out)
    }

    /// Gives every parameter values other than those it starts with (half of the methods start as
    /// no change at all).
    pub fn disturb(&self, seed: u64) {
        for (index, (_, parameter)) in self.parameters.iter().enumerate() {
            let noise = random(&parameter.size(), seed + index as u64) * 0.3;
            tenon_plugin_api::tch::no_grad(|| {
                let _ = parameter.shallow_clone().g_add_(&noise);
            });
        }
    }

    /// The largest difference between the layer with its attachment and one with `delta` added to
    /// its weights; `None` when the method cannot be merged.
    ///
    /// # Errors
    /// Those of the method.
    pub fn merge_error(&self, input: &Tensor) -> Result<Option<f64>> {
        let Some(delta) = self.handle.delta()? else {
            return Ok(None);
        };
        let merged: TensorMap = self
            .weights
            .iter()
            .map(|(name, weight)| match delta.get(name) {
                Some(delta) => (name, weight + delta),
                None => (name, weight.shallow_clone()),
            })
            .collect();
        let attached = self.forward(input, &Forward::new(false, 0))?;
        let merged = linear(input, &merged, self.site.transposed);
        Ok(Some(largest_difference(&attached, &merged)))
    }
}

/// What a plan must hold to on the model it is for.
///
/// # Panics
/// It names a site or parameter that the model does not have, or one twice.
#[track_caller]
pub fn check_plan(plan: &Plan, view: &ModelView) {
    let sites: Vec<_> = view.sites.iter().map(|site| &site.name).collect();
    let parameters: Vec<_> = view
        .parameters
        .iter()
        .map(|parameter| &parameter.name)
        .collect();
    for (what, named, known) in [
        ("site", &plan.sites, sites),
        ("parameter", &plan.trainable, parameters),
    ] {
        for (index, name) in named.iter().enumerate() {
            assert!(
                known.contains(&name),
                "the plan names the unknown {what} `{name}`"
            );
            assert!(
                !named[..index].contains(name),
                "the plan names the {what} `{name}` twice"
            );
        }
    }
}

fn linear(input: &Tensor, weights: &TensorMap, transposed: bool) -> Tensor {
    let weight = crate::ok(weights.require("weight"), "a linear site");
    let weight = if transposed {
        weight.tr()
    } else {
        weight.shallow_clone()
    };
    input.linear(&weight, weights.get("bias"))
}

fn random(shape: &[i64], seed: u64) -> Tensor {
    let mut draws = Draws(tenon_plugin_api::services::mix(seed));
    let count: i64 = shape.iter().product();
    let values: Vec<f32> = (0..count).map(|_| draws.normal() as f32).collect();
    Tensor::from_slice(&values).reshape(shape)
}
