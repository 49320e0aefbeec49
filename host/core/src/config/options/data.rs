//! `[data]`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::OneOrMany;
use crate::data::{Documents, Encoding, FormatKind, FormatOptions};

/// The data.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct DataOptions {
    /// What the model learns from.
    #[schemars(example = &"data/train.jsonl")]
    pub train: Option<SourceOptions>,
    /// What the model is evaluated on during training: a source, or a part of `train`.
    #[schemars(example = serde_json::json!({ "split": 0.1 }), extend("x-tenon-also" = ["eval", "dev", "valid", "val"]))]
    pub validation: Option<HeldOutOptions>,
    /// What the result is evaluated on once, at the end: a source, or a part of `train`.
    #[schemars(example = &"data/test.jsonl")]
    pub test: Option<HeldOutOptions>,
    /// Format of the files: its name, or a table that says more of it.
    #[schemars(example = serde_json::json!({ "kind": "lines", "delimiter": " ", "columns": ["label", "text"] }))]
    pub format: DataFormat,
    /// New names for columns: `columns.text = "sentence"` has the task read the column `sentence`
    /// of the files as `text`.
    #[schemars(example = serde_json::json!({ "text": "sentence" }))]
    pub columns: BTreeMap<String, String>,
    /// What a row that cannot be read, or that the task refuses, leads to.
    pub on_bad_row: OnBadRow,
    /// Keep tokenized data between runs, in the cache of the user.
    pub cache: bool,
}

impl Default for DataOptions {
    fn default() -> Self {
        Self {
            train: None,
            validation: None,
            test: None,
            format: DataFormat::default(),
            columns: BTreeMap::new(),
            on_bad_row: OnBadRow::default(),
            cache: true,
        }
    }
}

/// A path, a list of paths, or a table.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum SourceOptions {
    /// One path or several.
    Paths(OneOrMany<String>),
    /// With more to say.
    Table(SourceTable),
}

/// Files with what there is to say about them.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct SourceTable {
    /// A path or a list of paths.
    #[schemars(extend("format" = "path"))]
    pub path: OneOrMany<String>,
    /// Format of the files, if not `data.format`; a name or a table, as there.
    pub format: Option<DataFormat>,
    /// Rows to read at most, from the start.
    #[schemars(range(min = 1), extend("x-tenon-also" = ["max_train_samples", "max_samples", "rows"]))]
    pub limit: Option<u64>,
}

/// A path, a list of paths, or a table, which may also ask for a part of the training data.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum HeldOutOptions {
    /// One path or several.
    Paths(OneOrMany<String>),
    /// With more to say.
    Table(HeldOutTable),
}

/// Files, or a part of the training data.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-tenon-either" = [["path", "split"]]))]
pub struct HeldOutTable {
    /// A path or a list of paths.
    #[schemars(extend("format" = "path"))]
    pub path: Option<OneOrMany<String>>,
    /// Fraction of the training data that is held out, drawn with `run.seed`.
    #[schemars(extend("exclusiveMinimum" = 0, "exclusiveMaximum" = 1, "x-tenon-also" = ["test_size"]))]
    pub split: Option<f64>,
    /// Hold out the same fraction of each label.
    #[serde(default)]
    #[schemars(extend("x-tenon-also" = ["stratify_by_column"]))]
    pub stratify: bool,
    /// Column of the files whose rows of one value stay together, such as `title` for questions about articles: all of
    /// them are held out, or none.
    #[schemars(example = &"title", extend("x-tenon" = "column", "x-tenon-also" = ["groups", "group_by"]))]
    pub group: Option<String>,
    /// Format of the files, if not `data.format`; a name or a table, as there.
    pub format: Option<DataFormat>,
    /// Rows to read at most, from the start.
    #[schemars(range(min = 1), extend("x-tenon-also" = ["max_eval_samples", "max_samples", "rows"]))]
    pub limit: Option<u64>,
}

/// Format of data files: a name, or a table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum DataFormat {
    /// Read as is usual for files of that name.
    Name(FormatName),
    /// With more to say.
    Table(FormatTable),
}

impl Default for DataFormat {
    fn default() -> Self {
        Self::Name(FormatName::Auto)
    }
}

/// The formats that can be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum FormatName {
    /// By the ending of the file's name; SQuAD's `.json` by its beginning.
    #[default]
    Auto,
    /// One JSON object on each line.
    Jsonl,
    /// Comma-separated, with a header.
    Csv,
    /// Tab-separated, with a header.
    Tsv,
    /// One row on each line, without quoting: the column `text`, or those of a table's `columns`.
    Lines,
    /// Apache Parquet.
    Parquet,
    /// Running text in the column `text`, to be packed by a task such as `causal-lm`: each file is
    /// a document, or several.
    Text,
    /// SQuAD's JSON, one row a question: columns `id`, `title`, `context`, `question` and `answers`.
    Squad,
}

/// A format with what there is to say about it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct FormatTable {
    /// The format.
    #[schemars(extend("x-tenon-also" = ["type", "name"]))]
    pub kind: FormatName,
    /// What separates the columns: one ASCII character for `csv` (default `,`) and `tsv` (default
    /// a tab), any text for `lines`, where the last column takes the rest of the line.
    #[schemars(extend("x-tenon-also" = ["sep", "separator"]))]
    pub delimiter: Option<String>,
    /// Names of the columns, in order, of files without a header, or in place of their header.
    #[schemars(extend("x-tenon-also" = ["names", "column_names", "fields"]))]
    pub columns: Option<Vec<String>>,
    /// Whether the first row of `csv` or `tsv` names the columns. Without this key it does where
    /// `columns` is absent.
    #[schemars(extend("x-tenon-also" = ["has_header"]))]
    pub header: Option<bool>,
    /// Whether double quotes enclose fields of `csv` and `tsv`, as they do without this key.
    #[schemars(extend("x-tenon-also" = ["quote", "quotechar"]))]
    pub quoting: Option<bool>,
    /// Encoding of the characters, UTF-8 without this key.
    #[schemars(extend("x-tenon-also" = ["charset"]))]
    pub encoding: Option<Encoding>,
    /// Where a document of `text` ends: with its `file`, as without this key, or with its
    /// `paragraph`, at blank lines.
    pub documents: Option<Documents>,
}

impl From<DataFormat> for FormatOptions {
    fn from(format: DataFormat) -> Self {
        let table = match format {
            DataFormat::Table(table) => table,
            DataFormat::Name(kind) => FormatTable {
                kind,
                ..FormatTable::default()
            },
        };
        Self {
            kind: match table.kind {
                FormatName::Auto => None,
                FormatName::Jsonl => Some(FormatKind::Jsonl),
                FormatName::Csv => Some(FormatKind::Csv),
                FormatName::Tsv => Some(FormatKind::Tsv),
                FormatName::Lines => Some(FormatKind::Lines),
                FormatName::Parquet => Some(FormatKind::Parquet),
                FormatName::Text => Some(FormatKind::Text),
                FormatName::Squad => Some(FormatKind::Squad),
            },
            delimiter: table.delimiter,
            columns: table.columns,
            header: table.header,
            quoting: table.quoting,
            encoding: table.encoding,
            documents: table.documents,
        }
    }
}

/// What a bad row leads to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnBadRow {
    /// The run stops and names file and line.
    #[default]
    Error,
    /// The row is left out and counted.
    Skip,
}
