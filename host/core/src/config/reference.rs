//! The references of run files and of components, generated from the schemas that run files are
//! checked against.

use std::fmt::Write;

use serde_json::{Map, Value};

use super::catalog::{Catalog, ComponentInfo, Kind};
use super::schema::{LISTS, SECTIONS, either, host, section};
use super::words;

/// The reference as Markdown: every table and key with type, default, doc and example.
pub fn reference() -> String {
    let mut text = String::from(INTRODUCTION);
    for name in SECTIONS {
        table(&mut text, name);
    }
    text
}

const INTRODUCTION: &str = r#"# Run file

<!-- Generated from the code by `cargo xtask docs`; do not edit. -->

A run file is TOML that names the components of a run and their options. `tenon check RUN.toml` says
all that is wrong with one, and prints it with every value filled in and where it came from.

Keys that are not listed here, and that are no option of the component that the table names, are
errors. `tenon plugin inspect NAME` lists the options of a component.

**Paths** are relative to the directory in which `tenon` is started, whichever file, variable or
argument names them. The paths in `extends` alone are relative to the file that holds them.

## Layers

A value may be set in several places. The later of these wins:

1. the defaults listed below;
2. the files that `extends` names, in their order: `extends = "base/classification.toml"`, or a list;
3. the run file;
4. a profile, the tables `[profile.NAME.…]`, chosen by `--profile NAME` or `TENON_PROFILE`;
5. environment variables: `TENON_TRAIN__EPOCHS=1` sets `train.epochs`, `TENON_METRICS__0__USE=f1` sets
   `metrics[0].use`;
6. arguments: `--set train.epochs=1`, `--set 'metrics[0].use="f1"'`.

Values of variables and arguments are TOML where they can be, else text. Tables are merged key by key;
any other value, lists included, is replaced whole, and an index reaches into a list (the index after
the last entry appends). Two rules keep layers from getting in each other's way:

- where a higher layer names another component with `use`, the options that lower layers give for
  theirs no longer count;
- of keys that exclude each other, the choice of the highest layer counts: `--set train.max_steps=10`
  replaces the `train.epochs` of the file.

## Editors

`tenon config schema > run.schema.json` writes a JSON Schema with the options of the installed
components. With the line `#:schema run.schema.json` at the top of a run file, editors that use taplo
(Even Better TOML and others) complete and check it.
"#;

/// The components of a catalog as Markdown: what each is, and every option that it has.
pub fn component_reference(catalog: &dyn Catalog) -> String {
    let mut text = String::from(COMPONENTS);
    for (table, kind, title) in [
        ("model", Kind::Model, "Models"),
        ("task", Kind::Task, "Tasks"),
        ("peft", Kind::Peft, "PEFT methods"),
        ("metrics", Kind::Metric, "Metrics"),
        ("processors", Kind::Processor, "Processors"),
    ] {
        let components = catalog.components(kind);
        if components.is_empty() {
            continue;
        }
        let _ = write!(text, "\n## {title}\n");
        text.push_str(match kind {
            Kind::Model => PRETRAINED,
            Kind::Peft => FULL_TRAINING,
            _ => "",
        });
        for component in &components {
            describe(&mut text, table, kind, component);
        }
    }
    text
}

const COMPONENTS: &str = r"# Components

<!-- Generated from the plugins' manifests by `tenon plugin reference`; do not edit. -->

What a run file may name with `use`, and the options of each, which stand in the same table. The
keys that these tables have besides are in the reference of run files (`tenon config reference`). A
component also has a full name, `plugin::component`, for where several share the short one.
";

const PRETRAINED: &str = r"
Of a pretrained model the folder's `config.json` sets these options; what the run file says goes
before it, the defaults come after it.
";

const FULL_TRAINING: &str = r"
`full`, which is also what a run file without `[peft]` does, trains every parameter and needs no
plugin.
";

/// A component and its options.
fn describe(text: &mut String, table: &str, kind: Kind, component: &ComponentInfo) {
    let _ = write!(text, "\n### `{}`\n\n", component.id);
    let about = component.doc.trim_end_matches('.');
    let full = component.full_name();
    let _ = writeln!(text, "{}. In full: `{full}`.", escaped(about));
    for line in facts(kind, &component.extra) {
        let _ = write!(text, "\n{line}\n");
    }
    let example = format!("{}\nuse = \"{}\"", header(table), component.id);
    let _ = write!(text, "\n```toml\n{example}\n```\n");
    let Some(options) = component.schema["properties"].as_object() else {
        return;
    };
    if options.is_empty() {
        text.push_str("\nIt has no options.\n");
    }
    let place = Place {
        table,
        example: &example,
        level: "####",
        defaults: false,
    };
    for (key, option) in options {
        entry(
            text,
            &place,
            key,
            option,
            is_required(&component.schema, key),
        );
    }
}

/// What a manifest says of a component besides its options, one sentence a line.
fn facts(kind: Kind, manifest: &Value) -> Vec<String> {
    let words = |key: &str| -> Vec<String> {
        let items = manifest[key].as_array().into_iter().flatten();
        let words = items.filter_map(|item| item.as_str().or(item["role"].as_str()));
        words.map(|word| format!("`{word}`")).collect()
    };
    let lines: &[(&str, &str, &str)] = match kind {
        Kind::Model => &[
            (
                "Loads folders whose `config.json` has the `model_type`",
                "model_types",
                "",
            ),
            ("Offers", "offers", ""),
            ("Takes the inputs", "inputs", "; one with `?` may be absent"),
            ("Its sites have the roles", "sites", ""),
        ],
        Kind::Task => &[("Predicts values of the kind", "outputs", "")],
        Kind::Peft => &[(
            "Reads and writes adapter folders with the `peft_type`",
            "peft_types",
            "",
        )],
        Kind::Metric => &[("Compares values of the kind", "inputs", "")],
        Kind::Processor => &[],
    };
    let sentence = |(head, key, tail): &(&str, &str, &str)| {
        let words = words(key);
        (!words.is_empty()).then(|| format!("{head} {}{tail}.", words.join(", ")))
    };
    lines.iter().filter_map(sentence).collect()
}

/// How a table begins in a run file.
fn header(table: &str) -> String {
    match LISTS.contains(&table) {
        true => format!("[[{table}]]"),
        false => format!("[{table}]"),
    }
}

/// Where the keys of an [`entry`] stand.
struct Place<'a> {
    table: &'a str,
    /// What comes before the key in an example.
    example: &'a str,
    /// The marks of the key's heading.
    level: &'a str,
    /// Whether a default is an example too, where there is no other.
    defaults: bool,
}

fn table(text: &mut String, name: &str) {
    let schema = section(name);
    let header = header(name);
    let _ = write!(text, "\n## `{header}`\n\n");
    let table = &host()["properties"][name];
    let doc = table["description"].as_str().unwrap_or_default();
    let _ = writeln!(text, "{}", escaped(doc));
    if LISTS.contains(&name) {
        let entry = schema["description"].as_str().unwrap_or_default();
        let _ = write!(text, "\n{}\n", escaped(entry));
    }
    for group in either(schema) {
        let keys: Vec<String> = group.iter().map(|key| format!("`{key}`")).collect();
        let _ = write!(text, "\nOnly one of {} may be set.\n", keys.join(", "));
    }
    let place = Place {
        table: name,
        example: &header,
        level: "###",
        defaults: true,
    };
    for (key, property) in properties(schema) {
        entry(text, &place, key, property, is_required(schema, key));
    }
}

fn entry(text: &mut String, place: &Place<'_>, key: &str, property: &Value, required: bool) {
    let Place {
        table,
        example: head,
        level,
        defaults,
    } = place;
    let _ = write!(text, "\n{level} `{table}.{key}`\n\n");
    let _ = write!(
        text,
        "{}\n\n",
        escaped(property["description"].as_str().unwrap_or_default())
    );
    let default = match property.get("default") {
        Some(default) => format!("default `{}`", toml(default)),
        None if required => "required".into(),
        None => "no default".into(),
    };
    let _ = writeln!(text, "*{}*, {default}.", words::expected(property));
    words_of_enum(text, property);
    for inner in nested(property) {
        let keys = properties(inner).map(|(key, property)| {
            let doc = property["description"].as_str().unwrap_or_default();
            format!(
                "- `{key}` (*{}*): {}\n",
                words::expected(property),
                escaped(doc).replace("\n\n", " ")
            )
        });
        let _ = write!(text, "\nAs a table:\n\n{}", keys.collect::<String>());
    }
    let example = property["examples"]
        .as_array()
        .and_then(|examples| examples.first());
    let default = property
        .get("default")
        .filter(|default| *defaults && !is_empty(default));
    if let Some(value) = example.or(default) {
        let _ = write!(text, "\n```toml\n{head}\n{key} = {}\n```\n", toml(value));
    }
}

/// The words of an enum with their docs, also where the enum is one form of several.
fn words_of_enum(text: &mut String, property: &Value) {
    let forms = property["anyOf"].as_array().map_or(&[][..], Vec::as_slice);
    let documented = |form: &&Value| form.get("enumDescriptions").is_some();
    let Some(form) = [property].into_iter().chain(forms).find(documented) else {
        return;
    };
    let (Some(words), Some(docs)) = (form["enum"].as_array(), form["enumDescriptions"].as_array())
    else {
        return;
    };
    text.push('\n');
    for (word, doc) in words.iter().zip(docs) {
        let _ = writeln!(
            text,
            "- `{word}`: {}",
            escaped(doc.as_str().unwrap_or_default())
        );
    }
}

/// The tables that the value may be or hold.
fn nested(property: &Value) -> impl Iterator<Item = &Value> {
    let branches = property["anyOf"]
        .as_array()
        .or(property["items"]["anyOf"].as_array());
    branches
        .into_iter()
        .flatten()
        .filter(|branch| branch.get("properties").is_some())
}

fn properties(schema: &Value) -> impl Iterator<Item = (&str, &Value)> {
    schema["properties"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(key, property)| (key.as_str(), property))
}

fn is_required(schema: &Value, key: &str) -> bool {
    schema["required"]
        .as_array()
        .is_some_and(|keys| keys.iter().any(|required| required == key))
}

fn is_empty(value: &Value) -> bool {
    value.as_array().is_some_and(Vec::is_empty) || value.as_object().is_some_and(Map::is_empty)
}

/// A value as TOML writes it.
fn toml(value: &Value) -> String {
    match value {
        Value::Array(items) => format!(
            "[{}]",
            items.iter().map(toml).collect::<Vec<_>>().join(", ")
        ),
        Value::Object(entries) if entries.is_empty() => "{}".into(),
        Value::Object(entries) => {
            let entry = |(key, value): (&String, &Value)| {
                format!("{} = {}", super::keypath::quoted(key), toml(value))
            };
            format!(
                "{{ {} }}",
                entries.iter().map(entry).collect::<Vec<_>>().join(", ")
            )
        }
        other => other.to_string(),
    }
}

/// Docs of Rust link types in brackets; there are none here, but `<` would be HTML.
fn escaped(doc: &str) -> String {
    doc.replace('<', "&lt;")
}
