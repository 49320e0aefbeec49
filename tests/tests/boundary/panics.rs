//! A panic in any method of any component is an error that names the component and the place, and
//! the process goes on.

use std::collections::BTreeSet;

use serde_json::json;
use tenon_plugin_api::cache::Cache;
use tenon_plugin_api::host::{ModelHandle, Plugin};
use tenon_plugin_api::info::{DataInfo, ModelView, OutputInfo};
use tenon_plugin_api::model::Forward;
use tenon_plugin_api::processor::{Decoding, Sequence};
use tenon_plugin_api::record::RecordBatch;
use tenon_plugin_api::resample::{Draws, Resampling};
use tenon_plugin_api::tch::{Device, Kind, Tensor};
use tenon_plugin_api::tensor::TensorMap;
use tenon_plugin_api::values::Values;
use tenon_plugin_api::{ErrorCode, Result};
use tenon_testkit::Whitespace;
use tenon_testkit::model::Weights;
use tenon_testkit::peft::stand_in;

use super::program::{open, snapshot};
use super::traits::methods;

/// Uses a metric from its first method to its last.
pub fn metric(plugin: &Plugin, options: &str) -> Result<()> {
    let pair = Values::labels([1]);
    let mut metric = plugin.metric("faulty-metric", options)?;
    metric.begin(&OutputInfo::default())?;
    assert!(metric.keep_examples()?);
    metric.update(&pair, &pair)?;
    let mut other = plugin.metric("faulty-metric", "{}")?;
    other.update(&pair, &pair)?;
    metric.merge(other)?;
    assert_eq!(metric.compute()?.get("seen"), Some(2.0));
    let draws = Draws::new(&[0, 1, 1, 1], 2, Resampling::Bootstrap);
    assert_eq!(metric.resample(draws)?, [[2.0], [2.0]]);
    Ok(())
}

/// Uses a task from its first method to its last.
pub fn task(plugin: &Plugin, options: &str) -> Result<()> {
    let mut task = plugin.task("faulty-task", options)?;
    task.prepare(&DataInfo::default())?;
    assert_eq!(task.describe()?.fields.len(), 2);
    let mut records = RecordBatch::new(1);
    records.add("text", Values::text(["a film"]), &[])?;
    records.add("label", Values::labels([1]), &[])?;
    let examples = task.encode(&records, &Whitespace::new("a film").shared())?;
    assert_eq!(examples.ints("labels", 0), Some(&[1][..]));
    let batch = TensorMap::new().with("labels", Tensor::from_slice(&[1_i64]));
    let outputs = TensorMap::new().with("logits", Tensor::from_slice2(&[[0.5_f32, 2.0]]));
    let loss = task.loss(&outputs, &batch)?;
    assert_eq!((loss.sum.double_value(&[]), loss.weight), (2.5, 1.0));
    let made = task.predict(&outputs, &batch)?;
    assert_eq!(made.predictions.label_at(0), 1);
    let prompts = task.encode_prompt(&records, &Whitespace::new("a film").shared())?;
    assert_eq!(prompts.len(), 1);
    let concluded = task.conclude(&records, &made.predictions, &[0])?;
    assert_eq!(concluded.predictions.label_at(0), 1);
    Ok(())
}

/// Uses a model from its first method to its last.
pub fn model(plugin: &Plugin, options: &str) -> Result<()> {
    let model = plugin.model("faulty-model", options, Weights::seeded(1))?;
    model.describe()?;
    let inputs = Tensor::ones([1, 2], (Kind::Float, Device::Cpu));
    let inputs = TensorMap::new().with("inputs", inputs);
    let outputs = model.forward(&inputs, &Forward::new(true, 1))?;
    assert_eq!(outputs.require("logits")?.size(), [1, 2]);
    let mut cache = Cache::new(vec![0], 1, 8)?;
    for call in [ModelHandle::prefill, ModelHandle::step] {
        let outputs = call(&model, &inputs, &mut cache, &Forward::new(false, 1))?;
        assert_eq!(outputs.require("logits")?.size(), [1, 2]);
    }
    assert_eq!((cache.rows(), cache.capacity()), (1, 8));
    Ok(())
}

/// Uses a processor from its first method to its last.
pub fn processor(plugin: &Plugin, options: &str) -> Result<()> {
    let mut processor = plugin.processor("faulty-processor", options)?;
    processor.begin(&Decoding::default())?;
    let (mut scores, tokens) = ([1.0, 2.0], [1]);
    let sequence = Sequence {
        tokens: &tokens,
        prompt: 1,
        source: &[],
        siblings: &[],
    };
    processor.process(sequence, &mut scores)?;
    assert_eq!(scores, [f32::NEG_INFINITY, 2.0]);
    Ok(())
}

/// Uses a PEFT method, and what it attaches, from its first method to its last.
pub fn peft(plugin: &Plugin, options: &str) -> Result<()> {
    let model = stand_in(1);
    let view = ModelView {
        sites: model.sites(),
        ..ModelView::default()
    };
    let mut peft = plugin.peft("faulty-peft", options)?;
    let plan = peft.plan(&view)?;
    assert_eq!(plan.sites.len(), view.sites.len());
    let (forward, site) = (Forward::new(true, 1), &view.sites[0]);
    let attached = peft.attach(site, &model.site_weights(&site.name), Weights::seeded(2))?;
    let passed = attached.forward(vec![Tensor::from(1.0)], &forward)?;
    assert_eq!(passed.len(), 1);
    assert!(attached.delta()?.is_none());
    assert!(peft.adapter_config(&view)?.is_none());
    assert_eq!(peft.file_name("a")?, "a");
    assert!(!peft.is_redundant("a")?);
    peft.after_backward(1, 2)?;
    assert!(peft.extra_loss(&forward)?.is_none());
    plugin.import_adapter("faulty-peft", options)?;
    Ok(())
}

type Use = fn(&Plugin, &str) -> Result<()>;

/// Every method that can panic, as the options of the component name it, and what uses it.
const METHODS: [(&str, &str, Use); 34] = [
    ("Metric", "new", metric),
    ("Metric", "begin", metric),
    ("Metric", "update", metric),
    ("Metric", "merge", metric),
    ("Metric", "compute", metric),
    ("Metric", "keep_examples", metric),
    ("Metric", "resample", metric),
    ("Task", "new", task),
    ("Task", "describe", task),
    ("Task", "prepare", task),
    ("Task", "encode", task),
    ("Task", "loss", task),
    ("Task", "predict", task),
    ("Task", "encode_prompt", task),
    ("Task", "conclude", task),
    ("Model", "build", model),
    ("Model", "describe", model),
    ("Model", "forward", model),
    ("Model", "prefill", model),
    ("Model", "step", model),
    ("Processor", "new", processor),
    ("Processor", "begin", processor),
    ("Processor", "process", processor),
    ("Peft", "new", peft),
    ("Peft", "plan", peft),
    ("Peft", "attach", peft),
    ("Peft", "adapter_config", peft),
    ("Peft", "import", peft),
    ("Peft", "file_name", peft),
    ("Peft", "is_redundant", peft),
    ("Peft", "after_backward", peft),
    ("Peft", "extra_loss", peft),
    ("Attach", "forward", peft),
    ("Attach", "delta", peft),
];

#[test]
fn the_components_work_where_nothing_is_wrong() {
    let plugin = open("faults");
    for (name, uses) in [
        ("metric", metric as Use),
        ("task", task),
        ("model", model),
        ("peft", peft),
    ] {
        assert!(uses(&plugin, "{}").is_ok(), "{name}");
    }
}

#[test]
fn a_panic_in_any_method_is_an_error_with_its_place() {
    let tried: BTreeSet<String> = METHODS
        .iter()
        .map(|(kind, method, _)| format!("{kind}::{method}"))
        .collect();
    let all: BTreeSet<String> = methods().into_iter().map(|(method, _)| method).collect();
    assert_eq!(tried, all, "every method of plugin-api is tried");

    let plugin = open("faults");
    let mut lines = Vec::new();
    for (kind, method, uses) in METHODS {
        let options = json!({ "panic_in": method }).to_string();
        let error = uses(&plugin, &options).expect_err("it panics");
        assert_eq!(error.code(), ErrorCode::Panic, "{error}");
        // The fixture puts the line into the message, so the place must be that very line.
        let line = error.message().rsplit(' ').next().expect("a line");
        let place = error.location().expect("a place");
        assert!(place.contains(&format!(".rs:{line}:")), "{error}");
        lines.push(format!("{kind}::{method} -> {error}"));
    }
    snapshot("panics_in_every_method", &lines.join("\n"));
}

#[test]
fn a_panic_in_a_destructor_goes_no_further() {
    let plugin = open("faults");
    let options = json!({ "panic_in": "drop" }).to_string();
    for uses in [metric as Use, task, model, peft, processor] {
        // Every use drops its component at its end; all else works.
        let _ = uses(&plugin, &options);
        assert!(uses(&plugin, "{}").is_ok());
    }
}

#[test]
fn a_component_that_panicked_goes_on_when_it_is_asked_again() {
    let plugin = open("faults");
    let pair = Values::labels([1]);
    let mut metric = plugin
        .metric("faulty-metric", r#"{"panic_in":"begin"}"#)
        .expect("a metric");
    for _ in 0..3 {
        assert!(metric.begin(&OutputInfo::default()).is_err());
        assert!(metric.update(&pair, &pair).is_ok());
    }
    assert_eq!(metric.compute().expect("scores").get("seen"), Some(3.0));
}

#[test]
fn panics_on_several_threads_keep_their_places_apart() {
    let plugin = open("faults");
    std::thread::scope(|scope| {
        for (_, method, uses) in METHODS {
            scope.spawn(move || {
                let options = json!({ "panic_in": method }).to_string();
                for _ in 0..20 {
                    let error = uses(&plugin, &options).expect_err("it panics");
                    let line = error.message().rsplit(' ').next().expect("a line");
                    let place = error.location().expect("a place");
                    assert!(place.contains(&format!(".rs:{line}:")), "{error}");
                }
            });
        }
    });
}
