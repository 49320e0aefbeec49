//! Every method that has a default is overridden in one plugin, and each is seen to be reached:
//! a method that an adapter forgets to forward runs its default and is found here.

use std::collections::BTreeSet;

use serde_json::json;
use tenon_plugin_api::cache::Cache;
use tenon_plugin_api::host::ModelHandle;
use tenon_plugin_api::info::{DataInfo, ModelView, OutputInfo};
use tenon_plugin_api::model::Forward;
use tenon_plugin_api::processor::{Decoding, Sequence};
use tenon_plugin_api::record::RecordBatch;
use tenon_plugin_api::resample::{Draws, Resampling};
use tenon_plugin_api::tch::Tensor;
use tenon_plugin_api::tensor::TensorMap;
use tenon_plugin_api::values::Values;
use tenon_plugin_api::{Context as _, Result};
use tenon_testkit::Whitespace;
use tenon_testkit::model::Weights;
use tenon_testkit::peft::stand_in;

use super::program::open;
use super::traits::methods;

#[test]
fn every_overridden_default_is_reached() {
    let plugin = open("overrides");
    let mut reached = BTreeSet::new();
    let mut see = |method: &str, is_reached: bool| {
        assert!(
            is_reached,
            "{method} was overridden, but its default answered"
        );
        reached.insert(method.to_owned());
    };
    let labels = vec!["bad".to_owned(), "good".to_owned()];

    let mut metric = plugin.metric("told", "{}").expect("a metric");
    let output = OutputInfo {
        kind: "label".into(),
        labels: labels.clone(),
    };
    metric.begin(&output).expect("it begins");
    let told = metric.compute().expect("scores").get("told");
    see("Metric::begin", told == Some(2.0));
    let kept = metric.keep_examples().expect("an answer");
    see("Metric::keep_examples", kept);
    let draws = Draws::new(&[0, 1, 7, 7], 2, Resampling::Exchange);
    let sums = metric.resample(draws).expect("scores");
    see("Metric::resample", sums == [[1.0, 1.0], [14.0, 1.0]]);

    let mut task = plugin.task("prepared", "{}").expect("a task");
    let data = DataInfo {
        labels: [("label".to_owned(), labels.clone())].into(),
        ..DataInfo::default()
    };
    task.prepare(&data).expect("it is prepared");
    let described = task.describe().expect("a description");
    see("Task::prepare", described.output.labels == labels);

    let mut records = RecordBatch::new(2);
    let texts = Values::text(["a", "abc"]);
    records.add("text", texts, &[]).expect("a column");
    let prompts = task.encode_prompt(&records, &Whitespace::new("a").shared());
    let prompts = prompts.expect("prompts");
    see(
        "Task::encode_prompt",
        prompts.ints("input_ids", 1) == Some(&[3][..]),
    );
    let found = Values::text(["x", "y", "z"]);
    let made = task.conclude(&records, &found, &[0, 1, 1]);
    let made = made.expect("predictions");
    let counts = [made.predictions.number_at(0), made.predictions.number_at(1)];
    see("Task::conclude", counts == [1.0, 2.0]);
    assert!(made.references.is_some());

    let writer = plugin.model("writer", "{}", Weights::seeded(1));
    let writer = writer.expect("a model");
    let (prefilled, stepped) = write(&writer).expect("two steps");
    see("Model::prefill", prefilled == [5, 6, 7, 8]);
    // Both rows go on from what the second row was.
    see("Model::step", stepped == [8, 8]);

    let mut processor = plugin.processor("begun", "{}").expect("a processor");
    let decoding = Decoding {
        vocab_size: 3,
        eos: vec![2],
        ..Decoding::default()
    };
    processor.begin(&decoding).expect("it begins");
    let (mut scores, tokens) = ([0.0; 3], [1, 1, 1]);
    let sequence = Sequence {
        tokens: &tokens,
        prompt: 1,
        source: &[],
        siblings: &[],
    };
    processor.process(sequence, &mut scores).expect("scores");
    see("Processor::begin", scores == [2.0, 0.0, f32::NEG_INFINITY]);

    let mut peft = plugin.peft("everything", "{}").expect("a method");
    let view = ModelView {
        model: "bert".into(),
        ..ModelView::default()
    };
    let config = peft.adapter_config(&view).expect("a file");
    let config = config.map(serde_json::Value::Object);
    see(
        "Peft::adapter_config",
        config == Some(json!({ "model": "bert" })),
    );
    let options = plugin.import_adapter("everything", r#"{"r":8}"#);
    let options = serde_json::Value::Object(options.expect("options"));
    see("Peft::import", options == json!({ "imported": { "r": 8 } }));
    let name = peft.file_name("a.weight").expect("a name");
    see("Peft::file_name", name == "file.a.weight");
    let redundant = |name| peft.is_redundant(name).expect("an answer");
    see("Peft::is_redundant", redundant("copy") && !redundant("a"));
    peft.after_backward(3, 7).expect("a step");
    let loss = peft.extra_loss(&Forward::new(true, 1)).expect("a loss");
    let loss = loss.map(|loss| loss.double_value(&[]));
    see("Peft::after_backward", loss == Some(307.0));
    see("Peft::extra_loss", loss.is_some());

    let model = stand_in(1);
    let site = &model.sites()[0];
    let weights = model.site_weights(&site.name);
    let attached = peft.attach(site, &weights, Weights::seeded(1));
    let delta = attached.expect("attached").delta().expect("a delta");
    let bias = delta.and_then(|delta| Some(delta.get("bias")?.double_value(&[])));
    see("Attach::delta", bias == Some(3.0));

    let defaulted = methods().into_iter().filter(|(_, defaulted)| *defaulted);
    let defaulted: BTreeSet<String> = defaulted.map(|(method, _)| method).collect();
    assert_eq!(
        reached, defaulted,
        "tests/plugins/overrides overrides every method of plugin-api that has a default"
    );
}

/// The outputs of a prefill of two prompts, and of a step of two rows that both go on from the second.
fn write(model: &ModelHandle) -> Result<(Vec<i64>, Vec<i64>)> {
    let mut cache = Cache::new(vec![0, 0], 2, 3)?;
    let forward = Forward::new(false, 0);
    let ids = |ids: &[i64]| Tensor::from_slice(ids);
    let prompts = ids(&[5, 6, 7, 8]).f_view([2, 2])?;
    let inputs = TensorMap::new().with("input_ids", prompts);
    let prefilled = model.prefill(&inputs, &mut cache, &forward)?;
    cache.advance(2)?;
    cache.select(&[1, 1])?;
    let inputs = TensorMap::new().with("input_ids", ids(&[9, 10]));
    let stepped = model.step(&inputs, &mut cache, &forward)?;
    cache.advance(1)?;
    assert_eq!((cache.rows(), cache.owners()), (2, &[1, 1][..]));
    let table = Vec::<i32>::try_from(cache.table().context("a table")?.f_reshape([-1])?)?;
    assert_eq!(table, [1, 1, 0, 1, 1, 1]);
    let kept = cache.get("tokens").context("tokens")?.f_reshape([-1])?;
    assert_eq!(Vec::<i64>::try_from(&kept)?, [5, 6, 9, 7, 8, 10]);
    assert!(cache.advance(1).is_err(), "there is no room");
    let flat = |outputs: &TensorMap| -> Result<Vec<i64>> {
        let logits = outputs.require("logits")?.f_reshape([-1])?;
        Ok(Vec::try_from(&logits)?)
    };
    Ok((flat(&prefilled)?, flat(&stepped)?))
}

#[test]
fn what_a_plugin_does_not_override_runs_its_default() {
    let plugin = open("faults");
    let mut metric = plugin.metric("faulty-metric", "{}").expect("a metric");
    metric.begin(&OutputInfo::default()).expect("it begins");
    let plain = open("plain");
    let mut hits = plain.metric("hits", "{}").expect("a metric");
    hits.begin(&OutputInfo::default()).expect("the default");
    let peft = open("earlier");
    let peft = peft.peft("earlier-shift", "{}").expect("a method");
    let name = peft.file_name("a.weight").expect("a name");
    assert_eq!(name, "base_model.model.a.weight");
    assert_eq!(
        peft.adapter_config(&ModelView::default()).expect("none"),
        None
    );
}
