//! Chat templates, held against transformers.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use tenon_core::data::HfTokenizer;
use tenon_plugin_api::tokenizer::Message;

use super::fixture;

/// A tokenizer of a few words, with this `tokenizer_config.json` and these files beside it.
fn tokenizer(config: &Value, files: &[(&str, &str)]) -> Result<HfTokenizer, String> {
    let folder = tempfile::tempdir().expect("a folder");
    let file = json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "normalizer": null,
        "pre_tokenizer": null, "post_processor": null, "decoder": null,
        "model": {"type": "WordLevel", "vocab": {"<unk>": 0, "<s>": 1, "</s>": 2}, "unk_token": "<unk>"},
    });
    let write =
        |name: &str, text: &str| fs::write(folder.path().join(name), text).expect("written");
    write("tokenizer.json", &file.to_string());
    write("tokenizer_config.json", &config.to_string());
    files.iter().for_each(|(name, text)| write(name, text));
    HfTokenizer::load(folder.path()).map_err(|error| hidden(&error.to_string(), folder.path()))
}

fn hidden(text: &str, folder: &Path) -> String {
    text.replace(&folder.display().to_string(), "FOLDER")
}

fn config(template: &Value) -> Value {
    json!({"bos_token": "<s>", "eos_token": {"content": "</s>"}, "unk_token": "<unk>", "chat_template": template})
}

fn messages(list: &Value) -> Vec<Message> {
    serde_json::from_value(list.clone()).expect("messages")
}

#[test]
fn conversations_are_those_of_transformers() {
    let text = fs::read_to_string(fixture("chat.json")).expect("the fixture");
    let all: serde_json::Map<String, Value> = serde_json::from_str(&text).expect("JSON");
    let (mut same, mut refused) = (0, 0);
    for (name, case) in &all {
        let tokenizer = tokenizer(&config(&case["template"]), &[]).expect("a tokenizer");
        for row in case["conversations"].as_array().expect("a list") {
            for (key, prompt) in [("text", false), ("prompt", true)] {
                let ours = tokenizer.chat(&messages(&row["messages"]), prompt);
                match (ours, row[key].as_str(), row["error"].as_str()) {
                    (Ok(Some(ours)), Some(theirs), _) => {
                        assert_eq!(ours, theirs, "{name}: {}", row["messages"]);
                        same += 1;
                    }
                    (Err(error), None, Some(theirs)) => {
                        let error = error.to_string();
                        assert!(error.ends_with(theirs), "{name}: {error}, theirs {theirs}");
                        refused += 1;
                    }
                    (ours, theirs, error) => {
                        panic!("{name}: {ours:?}, theirs {theirs:?} {error:?}")
                    }
                }
            }
        }
    }
    assert_eq!((same, refused), (60, 10));
}

#[test]
fn where_a_template_is_found() {
    let say = |config: &Value, files: &[(&str, &str)]| match tokenizer(config, files) {
        Ok(tokenizer) => format!("{:?}", tokenizer.chat(&[Message::new("user", "x")], false)),
        Err(error) => error,
    };
    let named = json!([{"name": "tool_use", "template": "tools"}, {"name": "default", "template": "usual"}]);
    let others = json!([{"name": "rag", "template": "a"}, {"name": "tool_use", "template": "b"}]);
    let told = [
        say(&json!({}), &[]),
        say(&config(&Value::Null), &[]),
        say(&config(&json!("of the config")), &[]),
        say(
            &config(&json!("of the config")),
            &[("chat_template.jinja", "of the file")],
        ),
        say(&config(&named), &[]),
        say(
            &config(&json!([{"name": "only", "template": "alone"}])),
            &[],
        ),
        say(&config(&others), &[]),
        say(&config(&json!(3)), &[]),
    ];
    insta::assert_snapshot!(told.join("\n"));
}

#[test]
fn templates_that_are_broken() {
    let mut told = Vec::new();
    for template in [
        "a\n{% if x %}\nb",
        "a\n\n{{ messages[0].content.nothing() }}",
        "{{ messages[7].content }}",
        "{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}",
        "line\n{{ unknown_function() }}",
        "{{ 'a' | nothing }}",
        "{% include 'other' %}",
        "{{ strftime_now('%J') }}",
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        let made =
            tokenizer(&json!({}), &[("chat_template.jinja", template)]).expect("a tokenizer");
        let error = made
            .chat(&[Message::new("user", "x")], true)
            .expect_err("a fault")
            .to_string();
        let (_, fault) = error.split_once("chat_template.jinja").expect("the file");
        told.push(format!(
            "{template:?}\n  chat_template.jinja{}",
            hidden(fault, folder.path())
        ));
    }
    insta::assert_snapshot!(told.join("\n"));
}
