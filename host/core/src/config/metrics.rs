//! Metrics that a command line names: `f1,average=macro`, checked like a table of `[[metrics]]`.

use super::assignments::split_assignment;
use super::catalog::Catalog;
use super::components::Components;
use super::keypath::{KeyPath, Step};
use super::layers::Layer;
use super::merge;
use super::options::MetricOptions;
use super::origin::Origin;
use super::report::{Code, Fault, Report};
use super::schema;
use super::settings::{ComponentSettings, MetricSettings};
use super::source;
use super::tree::Located;
use super::validate::Checker;

/// Reads metrics, each `NAME` or `NAME,KEY=VALUE,…`, with the options of the component and `name`
/// as keys. Values are TOML where they can be, else text.
///
/// # Errors
/// Every fault of all of them, those of `flag`.
pub fn metrics(
    flag: &str,
    texts: &[String],
    catalog: &dyn Catalog,
) -> Result<Vec<MetricSettings>, Report> {
    let mut faults = Vec::new();
    let mut layers = Vec::new();
    for (index, text) in texts.iter().enumerate() {
        match assignments(text, &table(index)) {
            Ok(read) => layers.extend(read),
            Err(message) => {
                let message = format!("{}: {message}", super::words::text_shown(text));
                faults.push(Fault::new(Code::Syntax, "", None, message));
            }
        }
    }
    if !faults.is_empty() {
        return Err(Report::new(flag, faults));
    }
    let merged = merge::merge(layers);
    let mut components = Components::find(&merged.root, catalog);
    let mut checker = Checker {
        merged: &merged,
        find_table: &|path| components.schema(path),
        incomplete: false,
        faults: Vec::new(),
        hints: Vec::new(),
    };
    let tables: Vec<_> = (0..texts.len())
        .map(|index| {
            let written = merged.root.at(&table(index))?;
            checker.value(schema::section("metrics"), written, &table(index))
        })
        .collect();
    faults.extend(checker.faults);
    faults.append(&mut components.faults);
    faults.extend(merged.faults.iter().cloned());
    if !faults.is_empty() {
        let named = faults.into_iter().map(|fault| named(fault, texts));
        return Err(Report::new(flag, named.collect()));
    }
    let settings = tables
        .iter()
        .enumerate()
        .filter_map(|(index, checked)| settings(checked.as_ref()?, &components, index));
    Ok(settings.collect())
}

fn table(index: usize) -> KeyPath {
    KeyPath::default().key("metrics").index(index)
}

/// What one text says, as assignments to the table at `path`.
fn assignments(text: &str, path: &KeyPath) -> Result<Vec<Layer>, String> {
    let mut parts = parts(text).into_iter();
    let name = parts.next().unwrap_or_default().trim();
    if name.is_empty() || name.contains('=') {
        return Err("expected NAME or NAME,KEY=VALUE,…".to_owned());
    }
    let mut layers = vec![assignment(
        path.key("use"),
        name,
        figment::value::Value::from(name),
    )];
    for part in parts {
        let (key, value) = split_assignment(part)
            .ok_or_else(|| format!("expected KEY=VALUE after a comma, found `{part}`"))?;
        let steps = KeyPath::parse(key)?;
        if steps.0.first() == Some(&Step::Key("use".to_owned())) {
            return Err("`use` is the name, which stands first".to_owned());
        }
        let path = KeyPath([&path.0[..], &steps.0[..]].concat());
        layers.push(assignment(path, value, source::parse_value(value)));
    }
    Ok(layers)
}

fn assignment(path: KeyPath, text: &str, value: figment::value::Value) -> Layer {
    let origin = Origin::Set {
        key: path.to_string(),
        value: text.to_owned(),
    };
    Layer::assignment(path, value, origin)
}

/// Splits at commas outside quotes and brackets.
fn parts(text: &str) -> Vec<&str> {
    let (mut quote, mut depth, mut start) = (None, 0_usize, 0);
    let mut parts = Vec::new();
    for (at, character) in text.char_indices() {
        match (quote, character) {
            (None, '"' | '\'') => quote = Some(character),
            (Some(open), _) if open == character => quote = None,
            (Some(_), _) => {}
            (None, '[' | '{') => depth += 1,
            (None, ']' | '}') => depth = depth.saturating_sub(1),
            (None, ',') if depth == 0 => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

/// A fault by what the user wrote: `metrics[0].averge` is `f1.averge`.
fn named(fault: Fault, texts: &[String]) -> Fault {
    let path = texts.iter().enumerate().find_map(|(index, text)| {
        let rest = fault.path.strip_prefix(&table(index).to_string())?;
        let name = parts(text).first().copied().unwrap_or_default().trim();
        Some(match rest.strip_suffix(".use") {
            Some(_) => String::new(),
            None => format!("{name}{rest}"),
        })
    });
    Fault {
        path: path.unwrap_or_default(),
        origin: None,
        ..fault
    }
}

fn settings(checked: &Located, components: &Components, index: usize) -> Option<MetricSettings> {
    let options: MetricOptions = serde_json::from_value(checked.to_json()).ok()?;
    let (plugin, id) = components.names(&table(index).to_string())?;
    Some(MetricSettings {
        name: options.name.unwrap_or_else(|| id.clone()),
        component: ComponentSettings {
            plugin,
            id,
            options: options.options,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commas_within_lists_and_quotes_belong_to_the_value() {
        for (text, expected) in [
            ("f1", vec!["f1"]),
            ("f1,average=macro", vec!["f1", "average=macro"]),
            ("x,a=[1, 2],b=\"c,d\"", vec!["x", "a=[1, 2]", "b=\"c,d\""]),
            (
                "x,a={ b = [1,2], c = 3 },",
                vec!["x", "a={ b = [1,2], c = 3 }", ""],
            ),
        ] {
            assert_eq!(parts(text), expected);
        }
    }
}
