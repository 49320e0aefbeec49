//! `#[derive(Options)]`: the published schema, and what is read and refused.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::{Value, json};
use tenon_plugin_api::Options;
use tenon_plugin_api::options::{Class, Column, OneOrMany, OptionValue, Sites, Template};

/// How classes are averaged.
#[derive(Options, Debug, Clone, Copy, PartialEq)]
enum Average {
    /// The unweighted mean.
    Macro,
    OverAll,
    #[option(rename = "none")]
    PerClass,
}

/// Options of `everything`.
#[derive(Options, Debug, PartialEq)]
struct Everything {
    /// Column that holds the text.
    text: Column,
    /// A "quoted" \ word,
    /// and — on — a second line.
    ///
    /// - a list
    /// - of two
    #[default(true)]
    #[option(rename = "type", alias = "kind", alias = "sort")]
    flag: bool,
    /// Rank.
    #[default(8)]
    #[range(min = 1)]
    #[example(16)]
    #[example(64)]
    r: usize,
    /// Share.
    #[default(0.25)]
    #[range(min = 0.0, exclusive_max = 1.0)]
    dropout: f64,
    /// Offset.
    #[default(-1.5)]
    offset: f32,
    /// Seed, if any.
    #[range(exclusive_min = -3)]
    seed: Option<i64>,
    /// Depth, if any.
    #[default(3)]
    depth: Option<u8>,
    /// Average.
    #[default(Average::PerClass)]
    average: Average,
    /// Averages.
    #[default([Average::Macro, Average::OverAll])]
    averages: Vec<Average>,
    /// Name.
    #[default("a\"b\n\u{1}é")]
    name: String,
    /// Folder.
    #[default("runs/x")]
    folder: PathBuf,
    /// Sites.
    #[default(["query", "value"])]
    sites: Sites,
    /// One site.
    #[default("query")]
    site: Sites,
    /// Sizes.
    #[default([1, 2])]
    sizes: OneOrMany<u16>,
    /// Labels.
    #[default({})]
    labels: BTreeMap<String, u32>,
    /// A class, if any.
    class: Option<Class>,
    /// Anything.
    #[default("x")]
    raw: Value,
    /// Nested, with a description of its own.
    #[default({})]
    nested: Nested,
    /// Many of them.
    #[default([])]
    more: Vec<Nested>,
    /// Raw identifier.
    #[default(1)]
    r#loop: u32,
}

/// A nested table.
#[derive(Options, Debug, PartialEq, Clone)]
struct Nested {
    /// Depth.
    #[default(2)]
    depth: u32,
}

#[derive(Options, Debug, PartialEq)]
struct Unit;

#[derive(Options, Debug, PartialEq)]
struct Empty {}

fn read<T: Options>(value: Value) -> Result<T, String> {
    T::from_json(&value.to_string()).map_err(|error| error.to_string())
}

#[test]
fn schema_of_everything() {
    let schema = <Everything as Options>::SCHEMA;
    let parsed: Value = serde_json::from_str(schema).expect("the schema is JSON");
    assert_eq!(parsed.to_string(), schema, "compact, no key twice");
    insta::assert_json_snapshot!("everything", parsed);
}

#[test]
fn schemas_of_plain_values() {
    let cases = [
        (
            <Unit as Options>::SCHEMA,
            r#"{"type":"object","properties":{},"additionalProperties":false}"#,
        ),
        (<Empty as Options>::SCHEMA, <Unit as Options>::SCHEMA),
        (<() as Options>::SCHEMA, <Unit as Options>::SCHEMA),
        (
            Vec::<Option<u8>>::SCHEMA,
            r#"{"type":"array","items":{"type":"integer","minimum":0,"maximum":255}}"#,
        ),
        (
            BTreeMap::<String, Vec<bool>>::SCHEMA,
            r#"{"type":"object","additionalProperties":{"type":"array","items":{"type":"boolean"}}}"#,
        ),
        (
            OneOrMany::<f64>::SCHEMA,
            r#"{"anyOf":[{"type":"number"},{"type":"array","items":{"type":"number"}}]}"#,
        ),
    ];
    for (schema, expected) in cases {
        assert_eq!(schema, expected);
    }
}

#[test]
fn absent_keys_take_their_defaults() {
    let read: Everything = read(json!({"text": "message"})).expect("only `text` is required");
    insta::assert_debug_snapshot!("defaults", read);
    assert_eq!(Nested::default(), Nested { depth: 2 });
}

/// The schema's defaults and the program's are two outputs of the macro.
#[test]
fn published_defaults_are_the_defaults_in_force() {
    let schema: Value = serde_json::from_str(<Everything as Options>::SCHEMA).expect("JSON");
    let mut spelled = json!({"text": "message"});
    for (name, property) in schema["properties"].as_object().expect("properties") {
        if let Some(default) = property.get("default") {
            spelled[name] = default.clone();
        }
    }
    assert_eq!(spelled.as_object().map(|keys| keys.len()), Some(18));
    assert_eq!(
        read::<Everything>(spelled),
        read(json!({"text": "message"}))
    );
}

#[test]
fn values_are_read() {
    let read: Everything = read(json!({
        "text": "t", "sort": false, "r": 1, "dropout": 0, "seed": null, "depth": 4,
        "average": "over_all", "averages": ["none"], "sites": "query", "site": ["a", "b"],
        "sizes": 3, "labels": {"ham": 0}, "class": "ham", "raw": {"x": [1]}, "nested": {"depth": 9},
        "more": [{}, {"depth": 1}], "loop": 7,
    }))
    .expect("all is well");
    insta::assert_debug_snapshot!("values", read);
}

#[test]
fn faults_are_named() {
    let mut cases = vec![
        json!(3),
        json!(["message"]),
        json!({}),
        json!({"text": 3}),
        json!({"text": "t", "rank": 3}),
        json!({"text": "t", "type": true, "kind": true}),
        json!({"text": "t", "type": "yes"}),
        json!({"text": "t", "r": 0}),
        json!({"text": "t", "r": -1}),
        json!({"text": "t", "r": 2.5}),
        json!({"text": "t", "dropout": 1}),
        json!({"text": "t", "dropout": "a, expected b"}),
        json!({"text": "t", "seed": -3}),
        json!({"text": "t", "depth": 256}),
        json!({"text": "t", "average": "Macro"}),
        json!({"text": "t", "average": 1}),
        json!({"text": "t", "averages": ["macro", "x"]}),
        json!({"text": "t", "sites": ["a", 1]}),
        json!({"text": "t", "sites": 1}),
        json!({"text": "t", "sizes": [1, "two"]}),
        json!({"text": "t", "sizes": -2}),
        json!({"text": "t", "labels": {"ham": "x"}}),
        json!({"text": "t", "class": -1}),
        json!({"text": "t", "class": ["ham"]}),
        json!({"text": "t", "nested": {"nested": 1}}),
        json!({"text": "t", "nested": [1]}),
        json!({"text": "t", "more": [{}, {"width": 1}]}),
        json!({"text": "t", "more": [{}, {"depth": []}]}),
    ];
    let mut all = String::new();
    for case in cases.drain(..) {
        let error = read::<Everything>(case.clone()).expect_err("the case is a fault");
        all.push_str(&format!("{case}\n    {error}\n"));
    }
    let error = read::<Unit>(json!({"x": 1})).expect_err("no options");
    all.push_str(&format!("unit: {error}\n"));
    let error = read::<()>(json!({"x": 1})).expect_err("no options");
    all.push_str(&format!("(): {error}\n"));
    let error = Unit::from_json("{").expect_err("not JSON");
    all.push_str(&format!("not JSON: {error}\n"));
    insta::assert_snapshot!("faults", all);
}

/// Options of `asking`.
#[derive(Options, Debug, PartialEq)]
struct Asking {
    /// The prompt.
    #[default("{{ question }}")]
    prompt: Template,
    /// Another.
    system: Option<Template>,
}

#[test]
fn templates_are_told_from_other_texts() {
    let schema: Value = serde_json::from_str(<Asking as Options>::SCHEMA).expect("JSON");
    for key in ["prompt", "system"] {
        let property = &schema["properties"][key];
        assert_eq!(property["type"], "string", "{key}");
        assert_eq!(property["x-tenon"], "template", "{key}");
    }
    let options: Asking = read(json!({"system": "{{ a }}"})).expect("good");
    assert_eq!(options.prompt.source(), "{{ question }}");
    assert_eq!(options.system, Some(Template::new("{{ a }}")));
    let refused = read::<Asking>(json!({"prompt": 3})).expect_err("a number");
    assert!(refused.starts_with("prompt: "), "{refused}");
}
