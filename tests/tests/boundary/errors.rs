//! Errors keep their code, causes, help and origin on the way to the host.

use serde_json::json;
use tenon_plugin_api::ErrorCode;
use tenon_plugin_api::model::Forward;
use tenon_plugin_api::tch::{Device, Kind, Tensor};
use tenon_plugin_api::tensor::TensorMap;
use tenon_testkit::model::Weights;

use super::panics;
use super::program::{open, snapshot};

#[test]
fn an_error_arrives_with_its_causes() {
    let plugin = open("faults");
    let options = json!({ "fail_in": "update" }).to_string();
    let error = panics::metric(&plugin, &options).expect_err("it fails");
    assert_eq!(error.code(), ErrorCode::Other);
    assert_eq!(error.message(), "reading the lexicon");
    assert_eq!(
        error.chain(),
        ["line 3 holds no number", "invalid digit found in string"]
    );
    assert_eq!(error.help(), Some("mend the lexicon"));
    assert_eq!(error.component(), Some("fixture-faults::faulty-metric"));
    assert_eq!(error.location(), None);
    assert_eq!(
        error.to_string(),
        "fixture-faults::faulty-metric: reading the lexicon: line 3 holds no number: \
         invalid digit found in string\n  help: mend the lexicon"
    );
}

#[test]
fn an_error_of_each_kind_of_component_names_it() {
    let plugin = open("faults");
    let fails = |method: &str| json!({ "fail_in": method }).to_string();
    let errors = [
        panics::metric(&plugin, &fails("begin")),
        panics::task(&plugin, &fails("encode")),
        panics::model(&plugin, &fails("build")),
        panics::peft(&plugin, &fails("plan")),
        // Of what the method attached, too.
        panics::peft(&plugin, &fails("forward")),
        panics::peft(&plugin, &fails("import")),
    ];
    let names = errors.map(|error| {
        let error = error.expect_err("it fails");
        assert_eq!(error.chain().len(), 2, "{error}");
        error.component().unwrap_or_default().to_owned()
    });
    snapshot("components_of_errors", &names.join("\n"));
}

#[test]
fn what_libtorch_refuses_is_an_error_of_the_component() {
    let plugin = open("faults");
    let model = plugin.model("faulty-model", "{}", Weights::seeded(1));
    let model = model.expect("a model");
    let inputs = Tensor::ones([1, 5], (Kind::Float, Device::Cpu));
    let inputs = TensorMap::new().with("inputs", inputs);
    let error = model.forward(&inputs, &Forward::new(false, 0));
    let error = error.map(drop).expect_err("5 is not 2");
    let line = error.to_string();
    let line = line.lines().next().unwrap_or_default();
    snapshot("refused_by_libtorch", line);
}

#[test]
fn a_refused_option_names_its_key() {
    let plugin = open("faults");
    let refused = |options: &str| {
        let error = plugin.metric("faulty-metric", options).map(drop);
        error.expect_err("refused").to_string()
    };
    let lines = [
        refused(r#"{"panic_on": "update"}"#),
        refused(r#"{"panic_in": 3}"#),
        refused("[]"),
        refused("{"),
    ];
    snapshot("refused_options", &lines.join("\n"));
}

#[test]
fn what_a_plugin_does_not_have_is_said() {
    let plugin = open("faults");
    let lines = [
        plugin.metric("absent", "{}").map(drop),
        // A component of another kind has the name.
        plugin.task("faulty-metric", "{}").map(drop),
        plugin.peft("faulty-model", "{}").map(drop),
        plugin.import_adapter("faulty-task", "{}").map(drop),
    ];
    let lines = lines.map(|error| error.expect_err("absent").to_string());
    snapshot("absent_components", &lines.join("\n"));
}
