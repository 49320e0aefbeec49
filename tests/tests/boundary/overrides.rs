//! Every method that has a default is overridden in one plugin, and each is seen to be reached:
//! a method that an adapter forgets to forward runs its default and is found here.

use std::collections::BTreeSet;

use serde_json::json;
use tenon_plugin_api::info::{DataInfo, ModelView, OutputInfo};
use tenon_plugin_api::model::Forward;
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

    let mut task = plugin.task("prepared", "{}").expect("a task");
    let data = DataInfo {
        labels: [("label".to_owned(), labels.clone())].into(),
        ..DataInfo::default()
    };
    task.prepare(&data).expect("it is prepared");
    let described = task.describe().expect("a description");
    see("Task::prepare", described.output.labels == labels);

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
