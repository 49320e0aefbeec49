//! Single values, set by environment variables and by `--set`.

use super::keypath::{KeyPath, Step};
use super::layers::{Layer, LayerKind, Layers, PREFIX};
use super::origin::Origin;
use super::report::{Code, Fault, Note};
use super::schema::SECTIONS;
use super::source;

/// Adds the variables that set keys, and notes those that look as if they should.
pub(super) fn variables(layers: &mut Layers, env: &[(String, String)]) {
    let mut found = Vec::new();
    for (name, value) in env {
        let Some(rest) = name.strip_prefix(PREFIX) else {
            continue;
        };
        if !rest.contains("__") {
            layers.notes.extend(nearly(name, rest));
            continue;
        }
        match KeyPath::from_variable(rest) {
            Ok(path) => {
                let origin = Origin::Env {
                    name: name.clone(),
                    key: path.to_string(),
                    value: value.clone(),
                };
                found.push(Layer::assignment(path, source::parse_value(value), origin));
            }
            Err(message) => {
                let origin = Origin::Env {
                    name: name.clone(),
                    key: String::new(),
                    value: value.clone(),
                };
                layers
                    .faults
                    .push(Fault::new(Code::Syntax, "", origin, message));
            }
        }
    }
    // A component is chosen before its options are set, whatever the order of the variables.
    found.sort_by_key(|layer| match &layer.kind {
        LayerKind::Assignment { path, .. } => path.last_key() != Some("use"),
        LayerKind::File { .. } => true,
    });
    layers.assignments.extend(found);
}

/// A variable with one underscore where two are needed.
fn nearly(name: &str, rest: &str) -> Option<Note> {
    let section = SECTIONS.iter().find(|section| {
        rest.to_lowercase()
            .strip_prefix(**section)
            .is_some_and(|rest| rest.len() > 1 && rest.starts_with('_'))
    })?;
    let meant = format!(
        "{PREFIX}{}__{}",
        section.to_uppercase(),
        &rest[section.len() + 1..]
    );
    let message = format!(
        "the variable {name} sets nothing; two underscores part a table from its key: {meant}"
    );
    Some(Note {
        path: String::new(),
        origin: None,
        message,
    })
}

/// Reads `KEY=VALUE`.
///
/// # Errors
/// What is wrong with the text.
pub(super) fn set(text: &str) -> Result<Layer, Box<Fault>> {
    let fault = |message: String| {
        let (key, value) = text.split_once('=').unwrap_or((text, ""));
        let origin = Origin::Set {
            key: key.to_owned(),
            value: value.to_owned(),
        };
        Box::new(Fault::new(Code::Syntax, "", origin, message))
    };
    let (key, value) = split_assignment(text).ok_or_else(|| {
        let message = format!("--set {text}: expected KEY=VALUE");
        Box::new(Fault::new(Code::Syntax, "", None, message))
    })?;
    let path = KeyPath::parse(key).map_err(fault)?;
    if let [Step::Key(first), ..] = path.0.as_slice()
        && ["extends", "profile"].contains(&first.as_str())
    {
        return Err(fault(format!("`{first}` can be set in a file only")));
    }
    let origin = Origin::Set {
        key: path.to_string(),
        value: value.to_owned(),
    };
    Ok(Layer::assignment(path, source::parse_value(value), origin))
}

/// Splits at the first `=` outside quotes.
pub(super) fn split_assignment(text: &str) -> Option<(&str, &str)> {
    let mut quote = None;
    for (at, character) in text.char_indices() {
        match (quote, character) {
            (None, '=') => return Some((&text[..at], &text[at + 1..])),
            (None, '"' | '\'') => quote = Some(character),
            (Some(open), _) if open == character => quote = None,
            _ => {}
        }
    }
    None
}
