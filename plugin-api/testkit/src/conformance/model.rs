//! The battery of models.

use std::collections::BTreeSet;

use serde_json::Value;
use tenon_plugin_api::ErrorCode;
use tenon_plugin_api::host::ModelHandle;
use tenon_plugin_api::info::{ParamRole, SiteKind};
use tenon_plugin_api::model::{Forward, Model};
use tenon_plugin_api::tch::{Kind, Tensor};
use tenon_plugin_api::tensor::TensorMap;

use super::{declarations, decoding};
use crate::columns::Draws;
use crate::model::{Weights, largest_difference, model as build};

/// Checks a model of token ids with each head of these that it offers, `sequence-classification` (of three classes),
/// `causal-lm` and `seq2seq-lm`, or without a head; see [`model_with`]. `options` should make it tiny, with a
/// vocabulary of at least 20.
///
/// # Panics
/// It does not pass.
#[track_caller]
pub fn model<M: Model>(options: Value) {
    model_variants::<M>(&[options]);
}

/// Checks a model as [`model`] does, with each of these options; it needs to build a declared site with one of them
/// only.
///
/// # Panics
/// It does not pass.
#[track_caller]
pub fn model_variants<M: Model>(variants: &[Value]) {
    let offered = [CLASSES, CAUSAL, SEQ2SEQ].map(|head| M::OFFERS.contains(&head).then_some(head));
    let mut heads: Vec<_> = offered.into_iter().flatten().map(Some).collect();
    if heads.is_empty() {
        heads.push(None);
    }
    let mut used = BTreeSet::new();
    for (options, head) in variants
        .iter()
        .flat_map(|options| heads.iter().map(move |head| (options, head)))
    {
        let mut weights = Weights::seeded(23);
        let mut given = inputs(["input_ids", "attention_mask"], &[6, 3, 1]);
        if let Some(head) = *head {
            weights = weights.head(head, if head == CLASSES { 3 } else { 0 });
        }
        if *head == Some(SEQ2SEQ) {
            let target = inputs(["decoder_input_ids", "decoder_attention_mask"], &[2, 5, 3]);
            for (name, tensor) in target.iter() {
                given.insert(name, tensor.shallow_clone());
            }
        }
        used.extend(checked::<M>(options.clone(), weights, &given, *head));
    }
    all_built::<M>(&used);
}

/// A class of a whole sequence.
const CLASSES: &str = "sequence-classification";
/// The token that follows.
const CAUSAL: &str = "causal-lm";
/// The token that follows, of a decoder that sees what an encoder read.
const SEQ2SEQ: &str = "seq2seq-lm";

/// Token ids of sequences of these lengths, padded with 0, with their mask.
fn inputs([ids_name, mask_name]: [&str; 2], lengths: &[i64]) -> TensorMap {
    let longest = lengths.iter().copied().max().unwrap_or(0);
    let (mut ids, mut mask) = (Vec::new(), Vec::new());
    for (row, length) in lengths.iter().enumerate() {
        let mut draws = Draws(row as u64 * 100);
        for at in 0..longest {
            ids.push(if at < *length {
                5 + draws.below(15) as i64
            } else {
                0
            });
            mask.push(i64::from(at < *length));
        }
    }
    let shape = [lengths.len() as i64, longest];
    TensorMap::new()
        .with(ids_name, Tensor::from_slice(&ids).reshape(shape))
        .with(mask_name, Tensor::from_slice(&mask).reshape(shape))
}

/// Checks a model: its declarations; that it asks for the same parameters each time, each once;
/// that evaluation is deterministic, training is for a seed, and all outputs are finite and have a
/// row an example; that padding changes nothing (where `inputs` has `attention_mask`); that
/// gradients reach its parameters; that its sites are those declared, have the shapes that they say,
/// and are all on the way to the outputs; that a missing input is an error. Of one that writes text, also that logits
/// are there only for labels where there are any, and that a decoding over a cache gives what reading whole texts
/// gives.
///
/// # Panics
/// It does not pass.
#[track_caller]
pub fn model_with<M: Model>(options: Value, weights: Weights, inputs: &TensorMap) {
    let head = [CLASSES, CAUSAL, SEQ2SEQ]
        .into_iter()
        .find(|head| weights.has_head(head));
    all_built::<M>(&checked::<M>(options, weights, inputs, head));
}

/// The declared sites that were built.
#[track_caller]
fn checked<M: Model>(
    options: Value,
    weights: Weights,
    inputs: &TensorMap,
    head: Option<&str>,
) -> BTreeSet<usize> {
    declarations::<M::Options>(M::ID, M::ABOUT);
    let built = build::<M>(options, &weights);
    let info = crate::ok(built.describe(), "describing");
    assert!(
        !info.architecture.is_empty(),
        "the model names no architecture"
    );
    parameters(&weights);
    outputs(&built, inputs);
    padding(&built, inputs);
    gradients(&built, &weights, inputs);
    let used = sites::<M>(&weights);
    on_the_way(&built, &weights, inputs);
    for name in M::INPUTS.iter().filter(|name| !name.ends_with('?')) {
        let without: TensorMap = inputs
            .iter()
            .filter(|(input, _)| input != name)
            .map(|(input, tensor)| (input, tensor.shallow_clone()))
            .collect();
        let what = format!("an input without `{name}`");
        let error = crate::error(built.forward(&without, &Forward::new(false, 0)), &what);
        assert!(error.code() != ErrorCode::Panic, "{what}: {error:?}");
    }
    if head == Some(CAUSAL) || head == Some(SEQ2SEQ) {
        decoding::labelled(&built, inputs);
        decoding::decoding(&built, inputs);
    }
    used
}

#[track_caller]
fn parameters(weights: &Weights) {
    let all = weights.parameters();
    assert!(!all.is_empty(), "the model asks for no parameter");
    for parameter in all {
        let name = &parameter.name;
        assert!(
            !name.is_empty() && !name.starts_with('.') && !name.ends_with('.'),
            "the parameter's name {name:?} has an empty part"
        );
    }
}

#[track_caller]
fn run(model: &ModelHandle, inputs: &TensorMap, forward: &Forward) -> TensorMap {
    crate::ok(model.forward(inputs, forward), "forward")
}

#[track_caller]
fn outputs(model: &ModelHandle, inputs: &TensorMap) {
    let rows = inputs.iter().next().map_or(0, |(_, input)| input.size()[0]);
    let evaluated = run(model, inputs, &Forward::new(false, 1));
    assert!(!evaluated.is_empty(), "the model gives no output");
    for (name, output) in evaluated.iter() {
        assert_eq!(
            output.size().first(),
            Some(&rows),
            "rows of the output `{name}`"
        );
        assert!(
            output.isfinite().all().int64_value(&[]) == 1,
            "the output `{name}` is not finite"
        );
    }
    for (what, training, seeds) in [
        ("evaluation with two seeds", false, [1, 2]),
        ("training with one seed", true, [5, 5]),
    ] {
        let [one, other] = seeds.map(|seed| run(model, inputs, &Forward::new(training, seed)));
        for (name, output) in one.iter() {
            let again = crate::ok(other.require(name), what);
            let difference = largest_difference(output, again);
            assert!(
                difference == 0.0,
                "{what}: `{name}` differs by {difference:e}"
            );
        }
    }
}

/// An example alone, without its padding, gives what it gave in the batch. Only outputs of one row an example (logits,
/// pooled states) and logits of tokens are compared.
#[track_caller]
fn padding(model: &ModelHandle, inputs: &TensorMap) {
    let Some(mask) = inputs.get("attention_mask") else {
        return;
    };
    let forward = Forward::new(false, 0);
    let whole = run(model, inputs, &forward);
    for row in 0..mask.size()[0] {
        let alone = run(model, &row_of(inputs, row), &forward);
        for (name, output) in whole.iter() {
            let other = crate::ok(alone.require(name), "an example alone");
            let output = output.narrow(0, row, 1);
            let output = match output.dim() {
                2 => output,
                3 if name == "logits" => output.narrow(1, 0, other.size()[1]),
                _ => continue,
            };
            let difference = largest_difference(&output, other);
            assert!(
                difference < 1e-4,
                "`{name}` of example {row} differs by {difference:e} without its padding"
            );
        }
    }
}

/// One row of a batch without its padding.
pub(super) fn row_of(inputs: &TensorMap, row: i64) -> TensorMap {
    let length = |name: &str| {
        let mask = match name.starts_with("decoder_") {
            true => "decoder_attention_mask",
            false => "attention_mask",
        };
        inputs
            .get(mask)
            .map(|mask| mask.select(0, row).sum(Kind::Int64).int64_value(&[]))
    };
    let cut = |(name, input): (&str, &Tensor)| {
        let row = input.narrow(0, row, 1);
        let cut = match length(name) {
            Some(length) if row.dim() > 1 => row.narrow(1, 0, length),
            _ => row,
        };
        (name.to_owned(), cut)
    };
    inputs.iter().map(cut).collect()
}

#[track_caller]
fn gradients(model: &ModelHandle, weights: &Weights, inputs: &TensorMap) {
    let outputs = run(model, inputs, &Forward::new(false, 0));
    let total = outputs
        .iter()
        .map(|(_, output)| output.square().sum(None))
        .reduce(|sum, next| sum + next);
    if let Some(total) = total {
        total.backward();
    }
    let all = weights.parameters();
    for parameter in all
        .iter()
        .filter(|parameter| parameter.role != Some(ParamRole::Buffer))
    {
        assert!(
            weights.parameter(&parameter.name).grad().defined(),
            "no gradient reaches `{}`",
            parameter.name
        );
    }
}

/// The declared sites that were built, by their places in the declaration.
#[track_caller]
fn sites<M: Model>(weights: &Weights) -> BTreeSet<usize> {
    let mut used = BTreeSet::new();
    for site in weights.sites() {
        let layer = site
            .layer
            .map_or_else(String::new, |layer| layer.to_string());
        let declared = M::SITES.iter().position(|declared| {
            declared.role == site.role && declared.path.replace("{layer}", &layer) == site.name
        });
        let Some(at) = declared else {
            panic!(
                "site `{}` ({}) is not declared in `SITES`",
                site.name, site.role
            )
        };
        used.insert(at);
        if site.kind == SiteKind::Linear {
            let held = weights.site_weights(&site.name);
            let weight = crate::ok(held.require("weight"), &site.name);
            let mut shape = vec![site.out_features, site.in_features];
            if site.transposed {
                shape.reverse();
            }
            assert_eq!(
                weight.size(),
                shape,
                "weight of the linear site `{}`",
                site.name
            );
        }
    }
    used
}

#[track_caller]
fn all_built<M: Model>(used: &BTreeSet<usize>) {
    for (at, declared) in M::SITES.iter().enumerate() {
        assert!(
            used.contains(&at),
            "the declared site `{}` was not built",
            declared.path
        );
    }
}

/// What is attached to a site changes the outputs, and nothing is left of it afterwards.
#[track_caller]
fn on_the_way(model: &ModelHandle, weights: &Weights, inputs: &TensorMap) {
    let forward = Forward::new(false, 0);
    let before = run(model, inputs, &forward);
    let differs = |outputs: &TensorMap| {
        let mut pairs = before.iter().zip(outputs.iter());
        pairs.any(|((_, one), (_, other))| largest_difference(one, other) > 0.0)
    };
    for site in weights.sites() {
        let linear = site.kind == SiteKind::Linear;
        weights.attach(
            &site.name,
            Box::new(move |tensors, _| {
                let skip = usize::from(linear);
                Ok(tensors
                    .iter()
                    .skip(skip)
                    .map(|tensor| tensor * 1.5)
                    .collect())
            }),
        );
        let changed = run(model, inputs, &forward);
        weights.detach_all();
        assert!(
            differs(&changed),
            "what is attached at site `{}` does not reach the outputs",
            site.name
        );
    }
    assert!(
        !differs(&run(model, inputs, &forward)),
        "something is left of attachments that were taken away"
    );
}
