//! What a call across the plugin boundary costs, in nanoseconds, and opening a plugin, in
//! milliseconds. Prints one JSON object; `cargo xtask bench` makes a table of it.
//!
//! Each call is timed three ways: `direct`, the Rust method itself; `linked`, through the generated
//! adapter within this program; `opened`, through the adapter in a library opened at run time. The
//! difference between the first and the last is what a plugin pays for being one.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::anyhow;
use clap::Parser;
use serde_json::{Value, json};
use tenon_bench::{Blind, Echo, Through};
use tenon_plugin_api::error::StdError;
use tenon_plugin_api::host::{AttachedHandle, MetricHandle, ModelHandle, PeftHandle, Plugin};
use tenon_plugin_api::info::{SiteInfo, SiteKind};
use tenon_plugin_api::metric::{Metric, Pairs};
use tenon_plugin_api::model::{Forward, Model};
use tenon_plugin_api::peft::Attach;
use tenon_plugin_api::tch::{Device, Kind, Tensor, no_grad};
use tenon_plugin_api::tensor::TensorMap;
use tenon_plugin_api::values::Values;
use tenon_plugin_api::{Context as _, Result};
use tenon_testkit::model::Weights;

/// Rounds of which the fastest counts: what slows one down comes from outside.
const ROUNDS: usize = 20;
/// Calls in a round.
const CALLS: u32 = 50_000;

/// Time calls across the plugin boundary
#[derive(Parser)]
struct Arguments {
    /// The plugin of components that do nothing (`target/release/examples/libnoop.so`)
    noop: PathBuf,
    /// Libraries of plugins to time the opening of
    plugins: Vec<PathBuf>,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    // Opening a plugin must not pay for what libtorch does at its first operation.
    let one = Tensor::ones([1], (Kind::Float, Device::Cpu));
    let mut opened = BTreeMap::new();
    for path in &arguments.plugins {
        let began = Instant::now();
        open(path)?;
        opened.insert(name(path), began.elapsed().as_secs_f64() * 1e3);
    }
    let noop = open(&arguments.noop)?;
    let calls = no_grad(|| -> Result<_> {
        Ok(json!({
            "metric update, 0 examples": updates(&noop)?,
            "model forward, 1 tensor": forwards(&noop, &one)?,
            "attached computation, 1 tensor": attachments(&noop, &one)?,
        }))
    });
    let calls = calls.map_err(StdError)?;
    let scale = json!({
        "share a tensor and free it": time(|| drop(black_box(one.shallow_clone()))),
        "add two numbers in libtorch": no_grad(|| time(|| drop(black_box(&one + &one)))),
    });
    println!(
        "{}",
        json!({"calls_ns": calls, "scale_ns": scale, "open_ms": opened})
    );
    Ok(())
}

fn open(path: &Path) -> anyhow::Result<Plugin> {
    let opened = tenon_testkit::open(path);
    opened.map_err(|error| anyhow!("{}: {error}", path.display()))
}

fn name(path: &Path) -> String {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    stem.strip_prefix("lib").unwrap_or(&stem).to_owned()
}

/// Nanoseconds of a call of `action`.
fn time(mut action: impl FnMut()) -> f64 {
    let mut best = f64::INFINITY;
    for _ in 0..ROUNDS {
        let began = Instant::now();
        for _ in 0..CALLS {
            action();
        }
        best = best.min(began.elapsed().as_secs_f64());
    }
    best / f64::from(CALLS) * 1e9
}

fn updates(noop: &Plugin) -> Result<Value> {
    let none = Values::labels([]);
    let mut metric = Blind::new(())?;
    let mut direct = || -> Result<()> {
        let (predictions, references) = black_box((&none, &none));
        black_box(&mut metric).update(Pairs::new(predictions, references)?)
    };
    direct()?;
    let through = |mut handle: MetricHandle| -> Result<f64> {
        handle.update(&none, &none)?;
        Ok(time(|| {
            let _ = black_box(handle.update(black_box(&none), black_box(&none)));
        }))
    };
    Ok(json!({
        "linked": through(MetricHandle::of::<Blind>("{}")?)?,
        "opened": through(noop.metric("blind", "{}")?)?,
        "direct": time(|| drop(black_box(direct()))),
    }))
}

fn forwards(noop: &Plugin, tensor: &Tensor) -> Result<Value> {
    let inputs = TensorMap::new().with("hidden_states", tensor.shallow_clone());
    let forward = Forward::new(false, 0);
    let through = |handle: ModelHandle| -> Result<f64> {
        let outputs = handle.forward(&inputs, &forward)?;
        outputs.require("hidden_states")?;
        Ok(time(|| {
            let _ = black_box(handle.forward(black_box(&inputs), black_box(&forward)));
        }))
    };
    let weights = Weights::default;
    Ok(json!({
        "linked": through(ModelHandle::of::<Echo>("{}", weights())?)?,
        "opened": through(noop.model("echo", "{}", weights())?)?,
        "direct": time(|| {
            let _ = black_box(black_box(&Echo).forward(black_box(&inputs), black_box(&forward)));
        }),
    }))
}

fn attachments(noop: &Plugin, tensor: &Tensor) -> Result<Value> {
    let forward = Forward::new(false, 0);
    let site = SiteInfo {
        name: "site".into(),
        role: "query".into(),
        kind: SiteKind::Linear,
        layer: None,
        in_features: 1,
        out_features: 1,
        transposed: false,
    };
    let through = |mut method: PeftHandle| -> Result<f64> {
        let attached: AttachedHandle =
            method.attach(&site, &TensorMap::new(), Weights::default())?;
        let pass = |attached: &AttachedHandle| {
            attached.forward(vec![tensor.shallow_clone()], black_box(&forward))
        };
        let through = pass(&attached)?;
        through.first().context("the tensor that went in")?;
        Ok(time(|| drop(black_box(pass(black_box(&attached))))))
    };
    Ok(json!({
        "linked": through(PeftHandle::of::<Through>("{}")?)?,
        "opened": through(noop.peft("through", "{}")?)?,
        "direct": time(|| {
            let tensors = vec![black_box(tensor).shallow_clone()];
            let _ = black_box(black_box(&Through).forward(tensors, black_box(&forward)));
        }),
    }))
}
