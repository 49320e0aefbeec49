//! A checked run file: its settings, and the file as TOML with every value filled in.

use std::fmt::Write;

use super::keypath::{KeyPath, quoted};
use super::origin::Origin;
use super::report::Note;
use super::settings::RunSettings;
use super::tree::{Data, Entries, Located};

/// Column up to which origins are aligned.
const ALIGNED: usize = 48;

/// A run file without faults.
#[derive(Clone, Debug)]
pub struct Resolved {
    pub(super) file: String,
    pub(super) tree: Located,
    /// The settings.
    pub settings: RunSettings,
    /// What there is to know that is not a fault.
    pub notes: Vec<Note>,
}

impl Resolved {
    /// The run file, as the user names it.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The whole run file as TOML without layers: what the folder of a run keeps. Loaded again
    /// from the same directory, it gives the same settings.
    pub fn to_toml(&self) -> String {
        self.render(&|_| None)
    }

    /// The same with the origin of each value behind it: `epochs = 3  # configs/spam.toml:31`.
    pub fn to_annotated_toml(&self) -> String {
        self.render(&|value| Some(comment(value)))
    }

    /// The same as data: each value, tables and lists of plain values resolved.
    pub fn to_json(&self) -> serde_json::Value {
        self.tree.to_json()
    }

    /// What set the value at a key, such as `train.epochs` or `metrics[0].use`.
    pub fn origin(&self, key: &str) -> Option<&Origin> {
        self.tree
            .at(&KeyPath::parse(key).ok()?)
            .map(|value| &value.origin)
    }

    fn render(&self, comment: &dyn Fn(&Located) -> Option<String>) -> String {
        let mut text = String::new();
        for (section, value) in self.tree.table().into_iter().flatten() {
            match &value.data {
                Data::Table(entries) if !entries.is_empty() => {
                    block(
                        &mut text,
                        &format!("[{}]", quoted(section)),
                        entries,
                        comment,
                    );
                }
                Data::Array(tables) => {
                    for entries in tables.iter().filter_map(Located::table) {
                        block(
                            &mut text,
                            &format!("[[{}]]", quoted(section)),
                            entries,
                            comment,
                        );
                    }
                }
                _ => {}
            }
        }
        text
    }
}

/// A table: a header and a line for each value, tables in it as dotted keys.
fn block(
    text: &mut String,
    header: &str,
    entries: &Entries,
    comment: &dyn Fn(&Located) -> Option<String>,
) {
    let mut lines = Vec::new();
    collect(&mut lines, "", entries, comment);
    let widths = lines.iter().map(|(line, _)| line.chars().count());
    let width = widths.filter(|width| *width <= ALIGNED).max().unwrap_or(0);
    if !text.is_empty() {
        text.push('\n');
    }
    let _ = writeln!(text, "{header}");
    for (line, comment) in lines {
        let _ = match comment {
            Some(comment) => writeln!(text, "{line:width$}  # {comment}"),
            None => writeln!(text, "{line}"),
        };
    }
}

fn collect(
    lines: &mut Vec<(String, Option<String>)>,
    prefix: &str,
    entries: &Entries,
    comment: &dyn Fn(&Located) -> Option<String>,
) {
    for (key, value) in entries {
        let key = format!("{prefix}{}", quoted(key));
        match &value.data {
            Data::Table(inner) if !inner.is_empty() => {
                collect(lines, &format!("{key}."), inner, comment)
            }
            _ => lines.push((format!("{key} = {}", inline(value)), comment(value))),
        }
    }
}

/// A value on one line.
fn inline(value: &Located) -> String {
    match &value.data {
        Data::Bool(flag) => flag.to_string(),
        Data::Integer(integer) => integer.to_string(),
        Data::Float(float) => format!("{float:?}"),
        Data::Text(text) => string(text),
        Data::Array(items) => format!(
            "[{}]",
            items.iter().map(inline).collect::<Vec<_>>().join(", ")
        ),
        Data::Table(entries) if entries.is_empty() => "{}".into(),
        Data::Table(entries) => {
            let entry =
                |(key, value): (&String, &Located)| format!("{} = {}", quoted(key), inline(value));
            format!(
                "{{ {} }}",
                entries.iter().map(entry).collect::<Vec<_>>().join(", ")
            )
        }
    }
}

/// A basic string, always on one line.
fn string(text: &str) -> String {
    let mut quoted = String::from('"');
    for character in text.chars() {
        let _ = match character {
            '"' => write!(quoted, "\\\""),
            '\\' => write!(quoted, "\\\\"),
            '\n' => write!(quoted, "\\n"),
            '\t' => write!(quoted, "\\t"),
            '\r' => write!(quoted, "\\r"),
            control if control.is_control() => write!(quoted, "\\u{:04X}", u32::from(control)),
            other => write!(quoted, "{other}"),
        };
    }
    quoted.push('"');
    quoted
}

/// The origins of a value and of what it holds, each once: `configs/spam.toml:31`.
fn comment(value: &Located) -> String {
    let mut shown = Vec::new();
    gather(value, &mut shown);
    shown.join(", ")
}

fn gather(value: &Located, shown: &mut Vec<String>) {
    match &value.data {
        Data::Array(items) if !items.is_empty() => {
            items.iter().for_each(|item| gather(item, shown))
        }
        Data::Table(entries) if !entries.is_empty() => {
            entries.values().for_each(|entry| gather(entry, shown))
        }
        _ => {
            let origin = match &value.origin {
                Origin::File { file, line, .. } => format!("{file}:{line}"),
                // One comment is one line, whatever a variable or argument holds.
                Origin::Env { name, .. } => name.clone(),
                Origin::Set { key, .. } => format!("--set {key}"),
                Origin::Default => "default".into(),
            };
            if !shown.contains(&origin) {
                shown.push(origin.chars().filter(|c| !c.is_control()).collect());
            }
        }
    }
}
