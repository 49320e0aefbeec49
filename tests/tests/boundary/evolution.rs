//! Plugins built against other versions of plugin-api, held against the present host.

use tenon_plugin_api::host::OpenError;
use tenon_plugin_api::info::ModelView;
use tenon_plugin_api::manifest::API_VERSION;
use tenon_plugin_api::model::Forward;
use tenon_plugin_api::tch::{Device, Kind, Tensor};
use tenon_plugin_api::values::Values;
use tenon_testkit::peft::{attach, stand_in};

use super::program::{Program, fixture, open, snapshot};

fn api_of(plugin: &tenon_plugin_api::host::Plugin) -> String {
    let manifest: serde_json::Value = serde_json::from_str(plugin.manifest()).expect("JSON");
    manifest["api"].as_str().expect("a version").to_owned()
}

#[test]
fn a_plugin_of_an_earlier_minor_version_works() {
    let plugin = open("earlier");
    assert!(api_of(&plugin).as_str() < API_VERSION);
    let pair = Values::labels([1, 0, 1]);
    let mut metric = plugin.metric("earlier-count", "{}").expect("a metric");
    metric.update(&pair, &pair).expect("an update");
    assert_eq!(metric.compute().expect("scores").get("count"), Some(3.0));

    let model = stand_in(1);
    let view = ModelView {
        sites: model.sites(),
        ..ModelView::default()
    };
    let mut peft = plugin.peft("earlier-shift", "{}").expect("a method");
    let plan = peft.plan(&view).expect("a plan");
    assert_eq!(plan.sites.len(), 2);
    let attached = attach(&mut peft, &model, &plan.sites[0], 1);
    let input = Tensor::ones([1, 8], (Kind::Float, Device::Cpu));
    let forward = Forward::new(false, 0);
    let out = attached.forward(&input, &forward).expect("an output");
    let shift = (out - attached.base(&input)).abs().max().double_value(&[]);
    assert!((shift - 1.0).abs() < 1e-5, "{shift}");
    // What its version had is reached.
    let error = peft.after_backward(3, 4).expect_err("reached");
    assert_eq!(
        error.to_string(),
        "fixture-earlier::earlier-shift: reached at step 3"
    );
    // What came later runs its default, whatever the plugin would say.
    assert!(peft.extra_loss(&forward).expect("the default").is_none());
    assert!(!peft.is_redundant("copy").expect("the default"));
    assert!(attached.handle.delta().expect("the default").is_none());
}

#[test]
fn the_layouts_of_the_next_minor_version_fit_too() {
    // Below the version check, which refuses it by name: the table is longer than the host's, and
    // the host's services are fewer than the plugin's.
    let plugin = open("next");
    assert!(api_of(&plugin).as_str() > API_VERSION);
    let pair = Values::labels([1, 0]);
    let mut metric = plugin.metric("next-count", "{}").expect("a metric");
    metric.update(&pair, &pair).expect("an update");
    let scores = metric.compute().expect("scores");
    assert_eq!(scores.get("count"), Some(2.0));
    // The service that this host does not have.
    assert!(scores.get("later").expect("a score").is_nan());
}

#[test]
fn versions_of_the_api_live_side_by_side() {
    let pair = Values::labels([1]);
    let plugins = [
        ("earlier", "earlier-count"),
        ("next", "next-count"),
        ("faults", "faulty-metric"),
    ];
    let mut metrics = plugins.map(|(plugin, id)| open(plugin).metric(id, "{}").expect("a metric"));
    for _ in 0..3 {
        for metric in &mut metrics {
            metric.update(&pair, &pair).expect("an update");
        }
    }
    for metric in &metrics {
        assert_eq!(metric.compute().expect("scores").as_slice()[0].value, 3.0);
    }
}

#[test]
fn types_that_differ_are_named() {
    let path = fixture("foreign");
    match tenon_testkit::open(&path) {
        Err(OpenError::Layout { first, dump }) => {
            assert!(dump.lines().count() > 10, "{dump}");
            snapshot("the_first_type_that_differs", &first);
        }
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("a plugin with other types was opened"),
    }
}

#[test]
fn the_program_judges_versions() {
    let program = Program::new();
    for name in ["earlier", "next", "foreign", "plain"] {
        program.install(name, "plugins");
    }
    // An API from before the earliest that is served cannot exist yet, another major version can.
    program.install_patched("faults", "plugins", r#""api":"0.1.0""#, r#""api":"1.0.0""#);
    let list = program.run(&["plugin", "list", "--plugin-dir", "plugins"]);
    let mut shown = vec![program.shown(&list)];
    for name in ["earlier", "next", "foreign", "faults", "plain"] {
        let name = format!("fixture-{name}");
        let arguments = [
            "plugin",
            "inspect",
            &name,
            "--open",
            "--plugin-dir",
            "plugins",
        ];
        let outcome = program.run(&arguments);
        shown.push(format!("{name}: {}", first_lines(&program.shown(&outcome))));
    }
    snapshot("versions_in_the_program", &shown.join("\n"));
}

/// Without the components.
fn first_lines(shown: &str) -> String {
    let (head, code) = (shown.split("\n\n").next(), shown.rsplit_once("\n("));
    match (head, code) {
        (Some(head), Some((_, code))) if shown.contains("\n\n") => format!("{head}\n({code}"),
        _ => shown.to_owned(),
    }
}
