//! Whether the columns that a run file names are in its data.

use std::path::Path;

use super::catalog::Probe;
use super::keypath::KeyPath;
use super::options::DataFormat;
use super::origin::Origin;
use super::paths::{DataPath, data_paths, is_pattern};
use super::report::{Code, Fault};
use super::suggest;
use super::tree::Located;
use super::validate::Hint;
use super::words;
use crate::data::FormatOptions;

/// Columns that a message lists.
const LISTED: usize = 10;

/// Faults of columns that the data has not. Of each split the first file is looked at, unless its
/// format is among the faults that are `told`.
pub(super) fn check(
    hints: &[&Hint],
    tree: &Located,
    told: &[Fault],
    root: &Path,
    probe: &dyn Probe,
) -> Vec<Fault> {
    let mapping = tree.find("data.columns").and_then(Located::table);
    let renamed: Vec<(&str, &Located)> = mapping
        .into_iter()
        .flatten()
        .map(|(name, column)| (name.as_str(), column))
        .collect();
    if hints.is_empty() && renamed.is_empty() {
        return Vec::new();
    }
    let mut faults = Vec::new();
    let mut seen = Vec::new();
    // A template names several columns at one path.
    let mut blamed: Vec<(KeyPath, String)> = Vec::new();
    for data in data_paths(tree) {
        if seen.contains(&data.split) || !(is_pattern(data.path) || root.join(data.path).exists()) {
            continue;
        }
        seen.push(data.split);
        if has_wrong_format(&data, told) {
            continue;
        }
        let columns = match probe.columns(&root.join(data.path), &format(&data, tree)) {
            Ok(columns) => columns,
            Err(error) => {
                let message = format!(
                    "cannot read the columns of {}: {error}",
                    words::text_shown(data.path)
                );
                faults.push(Fault::new(
                    Code::InvalidValue,
                    &data.key,
                    data.origin.clone(),
                    message,
                ));
                continue;
            }
        };
        let mut known: Vec<&str> = columns.iter().map(String::as_str).collect();
        let mut blame = |path: &KeyPath, origin: &Origin, text: &str, known: &[&str]| {
            let key = (path.clone(), text.to_owned());
            if !known.contains(&text) && !blamed.contains(&key) {
                blamed.push(key);
                faults.push(no_column(path, origin, text, known, data.path));
            }
        };
        for (name, column) in &renamed {
            let path = KeyPath::default().key("data").key("columns").key(name);
            blame(
                &path,
                &column.origin,
                column.str().unwrap_or_default(),
                &known,
            );
        }
        known.extend(renamed.iter().map(|(name, _)| *name));
        for hint in hints {
            blame(&hint.path, &hint.origin, &hint.text, &known);
        }
    }
    faults
}

fn no_column(path: &KeyPath, origin: &Origin, text: &str, known: &[&str], file: &str) -> Fault {
    let message = format!("no column {} in {file}", words::text_shown(text));
    let columns = format!("columns: {}", suggest::list(known.iter().copied(), LISTED));
    Fault::new(Code::UnknownColumn, path, origin.clone(), message)
        .suggest(suggest::closest(text, known.iter().copied()))
        .note(if *origin == Origin::Default {
            format!("the default; {columns}")
        } else {
            columns
        })
}

fn has_wrong_format(data: &DataPath<'_>, told: &[Fault]) -> bool {
    let own = format!("data.{}.format", data.split);
    let inside = |path: &str, keys: &str| {
        let rest = path.strip_prefix(keys);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    told.iter().any(|fault| {
        inside(&fault.path, &own) || data.format.is_none() && inside(&fault.path, "data.format")
    })
}

/// The format of a source: its own, or that of the section.
fn format(data: &DataPath<'_>, tree: &Located) -> FormatOptions {
    let format = data.format.or_else(|| tree.find("data.format"));
    let format: Option<DataFormat> =
        format.and_then(|format| serde_json::from_value(format.to_json()).ok());
    format.unwrap_or_default().into()
}
