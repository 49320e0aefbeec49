//! Everything that is wrong with a run file, at once.

use std::fmt;

use serde::Serialize;

use super::origin::Origin;

/// Faults shown in full; the rest are counted.
const SHOWN: usize = 50;
/// Width beyond which a key path no longer pushes the column of the messages.
const PATH_WIDTH: usize = 36;

/// What is wrong with a run file.
#[derive(Clone, Debug, Serialize, thiserror::Error)]
#[error("{}", self.text())]
pub struct Report {
    /// The run file, as the user names it.
    pub file: String,
    /// The faults: those of the run file by line, then the others.
    pub faults: Vec<Fault>,
}

/// One fault.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Fault {
    /// What kind of fault it is.
    pub code: Code,
    /// Path of the key; empty where the fault is not that of a key.
    pub path: String,
    /// What set the offending value; for a key that is missing, the table that lacks it.
    pub origin: Option<Origin>,
    /// What is wrong.
    pub message: String,
    /// What was probably meant.
    pub suggestion: Option<String>,
    /// More that helps.
    pub note: Option<String>,
}

/// Kinds of faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Code {
    /// A file cannot be read.
    Unreadable,
    /// A file is not TOML, or `--set` or a variable not understood.
    Syntax,
    /// `extends` goes round in a circle.
    Cycle,
    /// The profile that was asked for is in none of the files.
    UnknownProfile,
    /// No such key.
    UnknownKey,
    /// A key is missing.
    MissingKey,
    /// A value has the wrong type, is out of range, or is none of those allowed.
    InvalidValue,
    /// Keys or values contradict each other.
    Conflict,
    /// No such component.
    UnknownComponent,
    /// Several plugins bring a component of this name.
    AmbiguousComponent,
    /// A file or folder that the run needs is missing.
    MissingFile,
    /// No such column in the data.
    UnknownColumn,
    /// No such site in the model.
    UnknownSite,
    /// No such score among those of the metrics.
    UnknownScore,
}

/// Something to know that is not a fault.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Note {
    /// Path of the key.
    pub path: String,
    /// What set it.
    pub origin: Option<Origin>,
    /// What there is to know.
    pub message: String,
}

impl Fault {
    pub(super) fn new(
        code: Code,
        path: impl ToString,
        origin: impl Into<Option<Origin>>,
        message: impl Into<String>,
    ) -> Self {
        Self {
            code,
            path: path.to_string(),
            origin: origin.into(),
            message: message.into(),
            suggestion: None,
            note: None,
        }
    }

    pub(super) fn suggest(mut self, suggestion: Option<impl Into<String>>) -> Self {
        self.suggestion = suggestion.map(Into::into);
        self
    }

    pub(super) fn note(mut self, note: impl Into<String>) -> Self {
        self.note = Some(note.into());
        self
    }

    /// Where it is in `file`, or behind all lines of it.
    fn rank(&self, file: &str) -> (u8, String, u32, u32) {
        match &self.origin {
            Some(Origin::File {
                file: other,
                line,
                column,
            }) => (u8::from(other != file), other.clone(), *line, *column),
            Some(Origin::Env { name, .. }) => (2, name.clone(), 0, 0),
            Some(Origin::Set { .. }) => (3, String::new(), 0, 0),
            Some(Origin::Default) | None => (4, String::new(), 0, 0),
        }
    }
}

/// The message with suggestion and note, without path and place.
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if let Some(suggestion) = &self.suggestion {
            let named = matches!(
                self.code,
                Code::UnknownKey | Code::UnknownComponent | Code::UnknownProfile | Code::Syntax
            );
            let quote = if named { '`' } else { '"' };
            write!(f, "; did you mean {quote}{suggestion}{quote}?")?;
        }
        match &self.note {
            Some(note) => write!(f, " ({note})"),
            None => Ok(()),
        }
    }
}

impl Report {
    pub(super) fn new(file: &str, mut faults: Vec<Fault>) -> Self {
        faults.sort_by_cached_key(|fault| fault.rank(file));
        Self {
            file: file.to_owned(),
            faults,
        }
    }

    fn text(&self) -> String {
        let count = self.faults.len();
        let mut text = format!(
            "{}: {count} problem{}",
            self.file,
            if count == 1 { "" } else { "s" }
        );
        let shown = &self.faults[..count.min(SHOWN)];
        let width = |cell: fn(&Fault, &str) -> String, limit: usize| {
            let widths = shown
                .iter()
                .map(|fault| cell(fault, &self.file).chars().count());
            widths.filter(|width| *width <= limit).max().unwrap_or(0)
        };
        let (place_width, path_width) = (width(place, usize::MAX), width(path, PATH_WIDTH));
        for fault in shown {
            let mut line = String::from("  ");
            for (cell, width) in [
                (place(fault, &self.file), place_width),
                (path(fault, &self.file), path_width),
            ] {
                if width > 0 {
                    line.push_str(&format!("{cell:width$}  "));
                }
            }
            line.push_str(&fault.to_string());
            line.push_str(&elsewhere(fault, &self.file));
            // What a user typed may hold anything; one fault stays one line.
            text.push('\n');
            text.extend(line.chars().filter(|character| !character.is_control()));
        }
        if count > shown.len() {
            text.push_str(&format!("\n  … and {} more", count - shown.len()));
        }
        text
    }
}

/// `line:column` of a fault in the run file itself.
fn place(fault: &Fault, file: &str) -> String {
    match &fault.origin {
        Some(Origin::File {
            file: other,
            line,
            column,
        }) if other == file => format!("{line}:{column}"),
        _ => String::new(),
    }
}

fn path(fault: &Fault, _: &str) -> String {
    fault.path.clone()
}

/// Where a fault is that is not in the run file itself.
fn elsewhere(fault: &Fault, file: &str) -> String {
    match &fault.origin {
        Some(Origin::File { file: other, .. }) if other == file => String::new(),
        Some(origin @ Origin::File { .. }) => format!(" (in {origin})"),
        Some(origin @ (Origin::Env { .. } | Origin::Set { .. })) => format!(" (set by {origin})"),
        Some(Origin::Default) | None => String::new(),
    }
}
