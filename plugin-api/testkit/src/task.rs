//! A task on the bench, with data made up from its own declarations.

use serde_json::Value;
use tenon_plugin_api::host::TaskHandle;
use tenon_plugin_api::info::{
    ColumnInfo, ColumnKind, DataInfo, FieldInfo, FieldKind, Pad, TaskInfo,
};
use tenon_plugin_api::record::{Examples, RecordBatch};
use tenon_plugin_api::task::Task;
use tenon_plugin_api::tch::Tensor;
use tenon_plugin_api::tensor::TensorMap;
use tenon_plugin_api::tokenizer::Tokenizer;
use tenon_plugin_api::values::Values;

use crate::columns::Draws;
use crate::tokenizer::Whitespace;

/// Puts a task on the bench, with options as a run file would give them.
///
/// # Panics
/// The task refuses the options.
#[track_caller]
pub fn task<T: Task>(options: Value) -> TaskHandle {
    let made = TaskHandle::of::<T>(&options.to_string());
    crate::ok(made, "creating the task")
}

/// The text that made-up records are cut from.
pub const TEXT: &str = "a film that holds together like a joint without any glue at all";

/// A tokenizer that knows [`TEXT`] but for its last word.
#[must_use]
pub fn tokenizer() -> Whitespace {
    Whitespace::new(TEXT.trim_end_matches(" all"))
}

/// What a host might have found in data that the task reads: three classes in each label column,
/// classes in columns whose kind is open, room for 12 tokens.
#[must_use]
pub fn data_for(info: &TaskInfo) -> DataInfo {
    let mut data = DataInfo {
        max_length: 12,
        ..DataInfo::default()
    };
    for column in &info.columns {
        let kind = resolved(column.kind);
        if kind != column.kind {
            data.kinds.insert(column.name.clone(), kind);
        }
        if matches!(kind, ColumnKind::Label | ColumnKind::Labels) {
            let names = ["bad", "fair", "good"].map(str::to_owned);
            data.labels.insert(column.name.clone(), names.to_vec());
        }
    }
    data
}

/// Records with the columns that a task declares; `prediction` leaves out those that prediction
/// does not need.
///
/// # Panics
/// A column is of a kind that this version does not know.
#[track_caller]
#[must_use]
pub fn records_for(info: &TaskInfo, count: usize, prediction: bool) -> RecordBatch {
    let mut records = RecordBatch::new(count);
    for column in &info.columns {
        if column.for_prediction || !prediction {
            let added = records.add(&column.name, column_for(column, count), &[]);
            crate::ok(added, &column.name);
        }
    }
    records
}

fn column_for(column: &ColumnInfo, count: usize) -> Values {
    let seed = column.name.bytes().map(u64::from).sum();
    let mut draws = Draws(seed);
    let words: Vec<&str> = TEXT.split(' ').collect();
    match resolved(column.kind) {
        ColumnKind::Text => Values::text((0..count).map(|_| {
            let start = draws.below(words.len() - 1);
            let end = start + 1 + draws.below(words.len() - start);
            words[start..end.min(words.len())].join(" ")
        })),
        ColumnKind::Label => Values::labels((0..count).map(|row| (row % 3) as i64)),
        ColumnKind::Labels => {
            let set = |row: usize| (0..3).filter(|bit| row >> bit & 1 == 1).collect();
            Values::label_sets((0..count).map(set))
        }
        ColumnKind::Json => Values::text((0..count).map(|row| format!("[{row}]"))),
        ColumnKind::Number => Values::numbers((0..count).map(|_| draws.normal())),
        other => panic!("the testkit does not know columns of {other:?}"),
    }
}

/// Columns whose kind the host finds out hold classes here.
fn resolved(kind: ColumnKind) -> ColumnKind {
    match kind {
        ColumnKind::Auto => ColumnKind::Label,
        kind => kind,
    }
}

/// Packs examples of consecutive records into blocks, as a host does for training, each record a document; as they
/// are, if the task does not pack. Fields of the blocks come in the order of the declaration.
///
/// # Panics
/// A field has not one value for each token.
#[track_caller]
#[must_use]
pub fn pack(info: &TaskInfo, examples: Examples, tokenizer: &Tokenizer<'_>) -> Examples {
    let Some(pack) = &info.pack else {
        return examples;
    };
    let separator = pack.separator.as_ref().and_then(|token| {
        let id = tokenizer
            .special(token)
            .or_else(|| tokenizer.token_id(token));
        id.map(i64::from)
    });
    let of = |name: &str, example: usize| examples.ints(name, example).unwrap_or_default();
    let is_target = |name: &str| pack.target.as_deref() == Some(name);
    let mut streams = vec![Vec::new(); info.fields.len()];
    for example in 0..examples.len() {
        for (field, stream) in info.fields.iter().zip(&mut streams) {
            stream.extend_from_slice(of(&field.name, example));
            let is_token = field.length || is_target(&field.name);
            stream.extend(separator.map(|id| if is_token { id } else { 0 }));
        }
    }
    let total = streams.first().map_or(0, Vec::len);
    assert!(
        streams.iter().all(|stream| stream.len() == total),
        "fields that are packed need one value for each token"
    );
    let ahead = usize::from(pack.target.is_some());
    let mut blocks = Examples::new();
    for from in (0..total.saturating_sub(ahead)).step_by(pack.length) {
        let to = (from + pack.length).min(total - ahead);
        let mut block = blocks.example();
        for (field, stream) in info.fields.iter().zip(&streams) {
            let shifted = &stream[from + ahead..to + ahead];
            block = match () {
                () if is_target(&field.name) => block.ints(&field.name, shifted),
                () if pack.sums.contains(&field.name) => {
                    block.int(&field.name, shifted.iter().sum())
                }
                () => block.ints(&field.name, &stream[from..to]),
            };
        }
    }
    blocks
}

/// Collates examples as a host does: pads fields with several values to the longest, stacks the
/// others, and adds `attention_mask` beside the field that has the length.
///
/// # Panics
/// An example lacks a field, or stacked fields differ in length.
#[track_caller]
#[must_use]
pub fn collate(fields: &[FieldInfo], examples: &Examples, which: &[usize]) -> TensorMap {
    let present: Vec<&str> = examples.fields().collect();
    let mut batch = TensorMap::new();
    for field in fields
        .iter()
        .filter(|field| present.contains(&field.name.as_str()))
    {
        let rows: Vec<Vec<f64>> = which.iter().map(|at| row(field, examples, *at)).collect();
        if field.length && batch.get("attention_mask").is_none() {
            let ones: Vec<Vec<f64>> = rows.iter().map(|row| vec![1.0; row.len()]).collect();
            batch.insert("attention_mask", tensor(&ones, FieldKind::Int, Some(0.0)));
        }
        let pad = match field.pad {
            Pad::Stack => None,
            Pad::Token => Some(0.0),
            Pad::Value(value) => Some(value),
        };
        batch.insert(field.name.as_str(), tensor(&rows, field.kind, pad));
    }
    batch
}

fn row(field: &FieldInfo, examples: &Examples, at: usize) -> Vec<f64> {
    let values = match field.kind {
        FieldKind::Int => examples
            .ints(&field.name, at)
            .map(|ints| ints.iter().map(|int| *int as f64).collect()),
        FieldKind::Float => examples
            .floats(&field.name, at)
            .map(|floats| floats.iter().map(|float| f64::from(*float)).collect()),
    };
    match values {
        Some(values) => values,
        None => panic!("field `{}` is not of the declared type", field.name),
    }
}

/// Rows as a tensor: `[rows, longest]`, or `[rows]` of single stacked values.
fn tensor(rows: &[Vec<f64>], kind: FieldKind, pad: Option<f64>) -> Tensor {
    let longest = rows.iter().map(Vec::len).max().unwrap_or(0);
    let shortest = rows.iter().map(Vec::len).min().unwrap_or(0);
    assert!(
        pad.is_some() || longest == shortest,
        "a stacked field has {shortest} values in one example and {longest} in another"
    );
    let mut flat = Vec::with_capacity(rows.len() * longest);
    for row in rows {
        flat.extend_from_slice(row);
        flat.resize(flat.len() + longest - row.len(), pad.unwrap_or(0.0));
    }
    let tensor = match kind {
        FieldKind::Int => {
            Tensor::from_slice(&flat.iter().map(|value| *value as i64).collect::<Vec<_>>())
        }
        FieldKind::Float => {
            Tensor::from_slice(&flat.iter().map(|value| *value as f32).collect::<Vec<_>>())
        }
    };
    match pad.is_none() && longest == 1 {
        true => tensor,
        false => tensor.reshape([rows.len() as i64, longest as i64]),
    }
}
