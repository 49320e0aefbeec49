//! Inputs as files: what comes from elsewhere is kept as jsonl for as long as it is read, under the name that users
//! know.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value as Json, json};
use tempfile::NamedTempFile;
use tenon_core::request::Inputs;
use tenon_plugin_api::info::{ColumnInfo, ColumnKind};

use crate::services;

/// What texts of the command line are called, with their number, in messages.
const TEXTS: &str = "command line";
/// What standard input is called, with the line, in messages.
const STDIN: &str = "standard input";

/// How a text that is no object is read: as the one column that a prediction needs.
pub struct Texts<'a> {
    /// All columns that it needs, by their names in files.
    needed: Vec<(&'a str, ColumnKind)>,
}

impl<'a> Texts<'a> {
    /// Of a task's columns, some of which have other names in files.
    pub fn new(columns: &'a [ColumnInfo], renamed: &'a BTreeMap<String, String>) -> Self {
        let needed = columns.iter().filter(|column| column.for_prediction);
        let name = |column: &'a ColumnInfo| renamed.get(&column.name).unwrap_or(&column.name);
        Self {
            needed: needed
                .map(|column| (name(column).as_str(), column.kind))
                .collect(),
        }
    }

    /// A text as a line of jsonl.
    fn line(&self, text: &str) -> Result<String> {
        match self.needed[..] {
            [(column, ColumnKind::Text)] => Ok(json!({ column: text }).to_string()),
            [] => bail!("the task reads no column to predict"),
            _ => {
                let names = || self.needed.iter().map(|(name, _)| name);
                let list: Vec<String> = names().map(|name| format!("`{name}`")).collect();
                let cells: Vec<String> =
                    names().map(|name| format!("{}: …", json!(name))).collect();
                bail!(
                    "a text does not say all that is read to predict, which is {}: give JSON objects instead, one a \
                     line: {{{}}}",
                    list.join(", "),
                    cells.join(", ")
                )
            }
        }
    }
}

/// Files of inputs.
pub struct InputFiles {
    /// Where they are.
    pub paths: Vec<PathBuf>,
    /// What messages call them.
    pub shown: Vec<PathBuf>,
    /// Those that are no longer needed afterwards.
    kept: Vec<NamedTempFile>,
}

impl InputFiles {
    /// Inputs of a request.
    ///
    /// # Errors
    /// They cannot be read, are texts where objects are needed, or cannot be kept.
    pub fn of(inputs: &Inputs, as_texts: &Texts<'_>) -> Result<Self> {
        let mut files = Self {
            paths: Vec::new(),
            shown: Vec::new(),
            kept: Vec::new(),
        };
        match inputs {
            Inputs::Files(paths) => {
                files.paths.clone_from(paths);
                files.shown.clone_from(paths);
            }
            Inputs::Texts(texts) => {
                let lines = texts.iter().map(|text| as_texts.line(text));
                files.keep(Path::new(TEXTS), lines)?;
            }
            Inputs::TextFiles(paths) => {
                for path in paths {
                    let open = || format!("reading {}", path.display());
                    let file = BufReader::new(File::open(path).with_context(open)?);
                    let lines = file.lines().map(|text| text.with_context(open));
                    files.keep(path, lines.map(|text| as_texts.line(&text?)))?;
                }
            }
            Inputs::Stdin => {
                let mut lines = stdin_lines(as_texts).peekable();
                if lines.peek().is_none() {
                    bail!("standard input is empty");
                }
                files.keep(Path::new(STDIN), lines)?;
            }
        }
        Ok(files)
    }

    /// Writes lines of jsonl to a file of their own.
    fn keep(&mut self, shown: &Path, lines: impl Iterator<Item = Result<String>>) -> Result<()> {
        const WRITING: &str = "writing the inputs to a temporary file";
        let mut builder = tempfile::Builder::new();
        builder.prefix("tenon-inputs-").suffix(".jsonl");
        let mut out = BufWriter::new(builder.tempfile().context(WRITING)?);
        for line in lines {
            writeln!(out, "{}", line?).context(WRITING)?;
        }
        let file = out.into_inner().map_err(|error| error.into_error());
        let file = file.context(WRITING)?;
        self.paths.push(file.path().to_owned());
        self.shown.push(shown.to_owned());
        self.kept.push(file);
        Ok(())
    }
}

/// Standard input: JSON objects, one a line, where the first line is one; else texts.
fn stdin_lines(as_texts: &Texts<'_>) -> impl Iterator<Item = Result<String>> {
    let stdin = std::io::stdin();
    if stdin.is_terminal() {
        services::say("reading from the terminal: one input a line, Ctrl-D ends");
    }
    let mut objects = None;
    stdin
        .lock()
        .lines()
        .zip(1_u64..)
        .map(move |(text, number)| {
            let text = text.with_context(|| format!("reading line {number} of {STDIN}"))?;
            let is_object = || {
                text.trim_start().starts_with('{')
                    && serde_json::from_str::<Map<String, Json>>(&text).is_ok()
            };
            match *objects.get_or_insert_with(is_object) {
                true => Ok(text),
                false => as_texts.line(&text),
            }
        })
}
