//! Formats: how the rows of a file are told apart and read.
//!
//! What is asked for is [`FormatOptions`]; what the readers use is [`Format`].

use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::error::DataError;
use super::text::squad::is_squad;

/// The formats that can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FormatKind {
    /// One JSON object a line.
    Jsonl,
    /// Comma-separated values (RFC 4180), or another delimiter.
    Csv,
    /// As csv, separated by tabs.
    Tsv,
    /// One row a line without quoting: `label text`, `source ||| target`, or the text alone.
    Lines,
    /// Apache Parquet.
    Parquet,
    /// Running text: each file is a document, or several.
    Text,
    /// SQuAD JSON: one row a question.
    Squad,
}

impl FormatKind {
    const NAMES: &'static str = "jsonl, csv, tsv, lines, parquet, text, squad";

    /// The format of a file name, and whether it is compressed with gzip.
    pub fn of(path: &Path) -> Option<(Self, bool)> {
        let extension = |path: &Path| Some(path.extension()?.to_str()?.to_ascii_lowercase());
        let outer = extension(path)?;
        let gzip = outer == "gz";
        let extension = if gzip {
            extension(Path::new(path.file_stem()?))?
        } else {
            outer
        };
        let kind = match extension.as_str() {
            "jsonl" | "ndjson" | "json" => Self::Jsonl,
            "csv" => Self::Csv,
            "tsv" | "tab" => Self::Tsv,
            "txt" | "text" => Self::Lines,
            "parquet" | "pq" if !gzip => Self::Parquet,
            _ => return None,
        };
        Some((kind, gzip))
    }
}

/// The character encoding of a text file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum Encoding {
    /// UTF-8, with or without a byte order mark.
    #[default]
    #[serde(rename = "utf-8")]
    Utf8,
    /// ISO 8859-1: every byte is the character of that number.
    #[serde(rename = "latin-1")]
    Latin1,
}

/// Where a document of running text ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Documents {
    /// With its file.
    #[default]
    File,
    /// At blank lines.
    Paragraph,
}

/// A format as far as it is asked for; the rest follows the file's name and what is usual.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct FormatOptions {
    /// The format; by default that of the file's extension.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<FormatKind>,
    /// What separates columns: one ASCII character for csv (`,`) and tsv (tab), any text for
    /// lines (where the last column takes the rest of the line, delimiters included).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delimiter: Option<String>,
    /// Names of the columns of a file without a header line, or in place of its header.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub columns: Option<Vec<String>>,
    /// Whether the first row of csv or tsv is a header; by default only without `columns`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub header: Option<bool>,
    /// Whether double quotes enclose fields of csv and tsv (default true).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quoting: Option<bool>,
    /// `utf-8` (default) or `latin-1`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encoding: Option<Encoding>,
    /// Where a document of text ends: `file` (default) or `paragraph`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub documents: Option<Documents>,
}

/// An option of a format that cannot be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FormatFault {
    /// The option.
    pub key: &'static str,
    /// What is wrong with it, and what would be right.
    pub problem: String,
}

/// A format with all its choices made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Format {
    /// One JSON object a line.
    Jsonl {
        /// Its characters.
        encoding: Encoding,
    },
    /// Delimited fields, perhaps quoted.
    Csv {
        /// Between fields.
        delimiter: u8,
        /// Whether `"` encloses fields.
        quoting: bool,
        /// Whether the first row names the columns.
        header: bool,
        /// Names that replace the header or stand in for it.
        columns: Option<Vec<String>>,
        /// Its characters.
        encoding: Encoding,
    },
    /// One row a line, cut at the first delimiters.
    Lines {
        /// Between columns; unused where there is one column.
        delimiter: String,
        /// Names of the columns.
        columns: Vec<String>,
        /// Its characters.
        encoding: Encoding,
    },
    /// SQuAD JSON, one row a question.
    Squad,
    /// Apache Parquet.
    Parquet,
    /// Running text, in the column `text`.
    Text {
        /// Where a document ends.
        documents: Documents,
        /// Its characters.
        encoding: Encoding,
    },
}

impl Format {
    /// The format of `path` under `options`, and whether the file is compressed with gzip.
    ///
    /// # Errors
    /// [`DataError::Format`] for an unknown extension without `kind`, or options that do not fit.
    pub fn resolve(path: &Path, options: &FormatOptions) -> Result<(Self, bool), DataError> {
        let guess = FormatKind::of(path);
        let gzip = path
            .extension()
            .is_some_and(|extension| extension.eq_ignore_ascii_case("gz"));
        let guess = match guess {
            Some((FormatKind::Jsonl, gzip)) if is_squad(path, gzip) => Some(FormatKind::Squad),
            guess => guess.map(|(kind, _)| kind),
        };
        let kind = options.kind.or(guess).ok_or_else(|| {
            let problem = format!(
                "no format is known for this file name; set `format` to one of {}",
                FormatKind::NAMES
            );
            DataError::format(path, problem)
        })?;
        if gzip && kind == FormatKind::Parquet {
            return Err(DataError::format(
                path,
                "parquet inside gzip is not read; unpack it first",
            ));
        }
        options
            .settle(kind)
            .map(|format| (format, gzip))
            .map_err(|fault| DataError::format(path, fault.problem))
    }
}

impl FormatOptions {
    /// Whether the options fit each other and the format, where it is named. Without a name, that
    /// shows when a file is opened.
    ///
    /// # Errors
    /// The first option that does not fit.
    pub fn check(&self) -> Result<(), FormatFault> {
        match self.kind {
            Some(kind) => self.settle(kind).map(|_| ()),
            None => Ok(()),
        }
    }

    fn settle(&self, kind: FormatKind) -> Result<Format, FormatFault> {
        if let Some(columns) = &self.columns {
            check_names(columns).map_err(fault("columns"))?;
        }
        let encoding = self.encoding.unwrap_or_default();
        match kind {
            FormatKind::Jsonl => {
                self.refuse(
                    "jsonl",
                    &["delimiter", "columns", "header", "quoting", "documents"],
                )?;
                Ok(Format::Jsonl { encoding })
            }
            FormatKind::Parquet | FormatKind::Squad => {
                let (name, format) = match kind {
                    FormatKind::Parquet => ("parquet", Format::Parquet),
                    _ => ("squad", Format::Squad),
                };
                self.refuse(
                    name,
                    &[
                        "delimiter",
                        "columns",
                        "header",
                        "quoting",
                        "encoding",
                        "documents",
                    ],
                )?;
                Ok(format)
            }
            FormatKind::Lines => {
                self.refuse("lines", &["header", "quoting", "documents"])?;
                self.lines(encoding)
            }
            FormatKind::Csv => {
                self.refuse("csv", &["documents"])?;
                self.delimited(",", encoding)
            }
            FormatKind::Tsv => {
                self.refuse("tsv", &["documents"])?;
                self.delimited("\t", encoding)
            }
            FormatKind::Text => {
                self.refuse("text", &["delimiter", "columns", "header", "quoting"])?;
                Ok(Format::Text {
                    documents: self.documents.unwrap_or_default(),
                    encoding,
                })
            }
        }
    }

    fn lines(&self, encoding: Encoding) -> Result<Format, FormatFault> {
        let columns = self.columns.clone();
        let columns = columns.unwrap_or_else(|| vec!["text".to_owned()]);
        let delimiter = match (&self.delimiter, columns.len()) {
            (Some(delimiter), _) if delimiter.is_empty() || delimiter.contains('\n') => {
                let problem = "`delimiter` must be text without a line end";
                return Err(fault("delimiter")(problem.to_owned()));
            }
            (Some(delimiter), _) => delimiter.clone(),
            (None, 1) => String::new(),
            (None, _) => {
                let problem = "`lines` with several columns needs a `delimiter`";
                return Err(fault("columns")(problem.to_owned()));
            }
        };
        Ok(Format::Lines {
            delimiter,
            columns,
            encoding,
        })
    }

    fn delimited(&self, usual: &str, encoding: Encoding) -> Result<Format, FormatFault> {
        let delimiter = match self.delimiter.as_deref().unwrap_or(usual).as_bytes() {
            &[byte] if byte.is_ascii() && !b"\r\n\"".contains(&byte) => byte,
            _ => {
                return Err(fault("delimiter")(format!(
                    "`delimiter` of csv must be one ASCII character, found {:?}; \
                     `kind = \"lines\"` takes longer ones",
                    self.delimiter.as_deref().unwrap_or_default()
                )));
            }
        };
        let header = self.header.unwrap_or(self.columns.is_none());
        if !header && self.columns.is_none() {
            return Err(fault("header")(
                "`header = false` needs `columns`".to_owned(),
            ));
        }
        Ok(Format::Csv {
            delimiter,
            quoting: self.quoting.unwrap_or(true),
            header,
            columns: self.columns.clone(),
            encoding,
        })
    }

    fn refuse(&self, kind: &str, keys: &[&str]) -> Result<(), FormatFault> {
        let given = [
            ("delimiter", self.delimiter.is_some()),
            ("columns", self.columns.is_some()),
            ("header", self.header.is_some()),
            ("quoting", self.quoting.is_some()),
            ("encoding", self.encoding.is_some()),
            ("documents", self.documents.is_some()),
        ];
        match given
            .iter()
            .find(|(key, given)| *given && keys.contains(key))
        {
            Some((key, _)) => Err(fault(key)(format!("`{key}` has no meaning for {kind}"))),
            None => Ok(()),
        }
    }
}

fn fault(key: &'static str) -> impl Fn(String) -> FormatFault {
    move |problem| FormatFault { key, problem }
}

/// Column names must be there, and each only once.
pub(crate) fn check_names(columns: &[String]) -> Result<(), String> {
    if columns.is_empty() {
        return Err("`columns` names no column".to_owned());
    }
    for (index, name) in columns.iter().enumerate() {
        if columns[..index].contains(name) {
            return Err(format!("two columns are called `{name}`"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_follow_the_name() {
        let cases = [
            ("a.jsonl", Some((FormatKind::Jsonl, false))),
            ("a.JSONL.GZ", Some((FormatKind::Jsonl, true))),
            ("a.tsv", Some((FormatKind::Tsv, false))),
            (
                "train-00000-of-00004.parquet",
                Some((FormatKind::Parquet, false)),
            ),
            ("a.txt.gz", Some((FormatKind::Lines, true))),
            ("a.parquet.gz", None),
            ("stsa.binary.train", None),
            ("gz", None),
        ];
        for (name, expected) in cases {
            assert_eq!(FormatKind::of(Path::new(name)), expected, "{name}");
        }
    }

    #[test]
    fn options_that_do_not_fit_say_what_would() {
        let cases = [
            r#"{"kind": "jsonl", "delimiter": ","}"#,
            r#"{"kind": "csv", "delimiter": "||"}"#,
            r#"{"kind": "csv", "header": false}"#,
            r#"{"kind": "csv", "columns": ["a", "a"]}"#,
            r#"{"kind": "lines", "columns": ["a", "b"]}"#,
            r#"{"kind": "lines", "columns": []}"#,
            r#"{"kind": "parquet", "encoding": "latin-1"}"#,
            r#"{"kind": "jsonl", "documents": "file"}"#,
            r#"{"kind": "text", "columns": ["text"]}"#,
            r#"{"kind": "text", "documents": "line"}"#,
            r#"{"kind": "xml"}"#,
            r#"{"kind": "csv", "seperator": ";"}"#,
        ];
        let messages: Vec<_> = cases
            .iter()
            .map(|text| match serde_json::from_str::<FormatOptions>(text) {
                Err(error) => format!("{text}\n  {error}"),
                Ok(options) => match Format::resolve(Path::new("data/x"), &options) {
                    Err(error) => format!("{text}\n  {error}"),
                    Ok(format) => format!("{text}\n  accepted: {format:?}"),
                },
            })
            .collect();
        insta::assert_snapshot!(messages.join("\n"));
    }

    #[test]
    fn what_is_not_said_is_as_usual() {
        let options: FormatOptions = serde_json::from_str(r#"{"kind": "tsv"}"#).expect("valid");
        let (format, _) = Format::resolve(Path::new("x"), &options).expect("resolves");
        let expected = Format::Csv {
            delimiter: b'\t',
            quoting: true,
            header: true,
            columns: None,
            encoding: Encoding::Utf8,
        };
        assert_eq!(format, expected);
    }
}
