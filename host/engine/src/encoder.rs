//! From records to encoded examples: a task with the tokenizer and the columns that it reads.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Result;
use tenon_core::config::DataSettings;
use tenon_core::config::options::OnBadRow;
use tenon_core::data::{
    BadRows, CacheKey, Collate, DType, DataError, Encode, Examples, Field, FieldSpec, Packing,
    PrepareOptions, Prepared, Record, RecordError, Value, View,
};
use tenon_plugin_api::error::StdError;
use tenon_plugin_api::host::TaskHandle;
use tenon_plugin_api::info::{ColumnInfo, ColumnKind, FieldKind, PackInfo, Pad, TaskInfo};
use tenon_plugin_api::record::RecordBatch;
use tenon_plugin_api::tokenizer::{SharedTokenizer, Tokenizer};
use tenon_plugin_api::values::{ValueKind, Values};

use crate::data::{cache_folder, file_column};
use crate::evaluate::Stopped;
use crate::services;

/// Rows that are tried to learn which fields a task makes.
const ROWS_TRIED: usize = 1024;

/// A task with what it needs to encode records.
pub struct TaskEncoder {
    task: Arc<TaskHandle>,
    tokenizer: Arc<SharedTokenizer>,
    columns: Vec<(ColumnInfo, String)>,
    labels: BTreeMap<String, BTreeMap<String, i64>>,
    specs: Vec<FieldSpec>,
    /// Whether prompts are made, not examples.
    prompts: bool,
    /// How examples are packed, or why they cannot be.
    packing: Option<Result<Packing, String>>,
}

impl TaskEncoder {
    /// An encoder for a prepared task. `labels` are the class names by id of each label column;
    /// `pad` is the tokenizer's padding id.
    pub fn new(
        task: Arc<TaskHandle>,
        tokenizer: Arc<SharedTokenizer>,
        info: &TaskInfo,
        settings: &DataSettings,
        labels: &BTreeMap<String, Vec<String>>,
    ) -> Self {
        let pad = tokenizer.as_tokenizer().special("pad").unwrap_or(0);
        let numbered = |names: &Vec<String>| names.iter().cloned().zip(0_i64..).collect();
        let columns = info.columns.iter();
        Self {
            columns: columns
                .map(|c| (c.clone(), file_column(settings, &c.name).to_owned()))
                .collect(),
            labels: labels
                .iter()
                .map(|(column, names)| (column.clone(), numbered(names)))
                .collect(),
            specs: info.fields.iter().map(|field| spec(field, pad)).collect(),
            packing: info
                .pack
                .as_ref()
                .map(|pack| packing(pack, info, &tokenizer.as_tokenizer())),
            prompts: false,
            task,
            tokenizer,
        }
    }

    /// Makes the prompts of records instead of their examples.
    pub fn for_prompts(mut self, info: &TaskInfo) -> Self {
        let pad = self.tokenizer.as_tokenizer().special("pad").unwrap_or(0);
        self.specs = info.prompt.iter().map(|field| spec(field, pad)).collect();
        (self.prompts, self.packing) = (true, None);
        self
    }

    /// Whether it makes prompts.
    pub fn makes_prompts(&self) -> bool {
        self.prompts
    }

    fn made(
        &self,
        batch: &RecordBatch,
    ) -> tenon_plugin_api::Result<tenon_plugin_api::record::Examples> {
        match self.prompts {
            true => self.task.encode_prompt(batch, &self.tokenizer),
            false => self.task.encode(batch, &self.tokenizer),
        }
    }

    /// Reads no column that prediction does without.
    pub fn without_references(&mut self) {
        self.columns.retain(|(column, _)| column.for_prediction);
    }

    /// Packs blocks that do not overlap, as training wants them.
    pub fn without_overlap(&mut self) {
        if let Some(Ok(packing)) = &mut self.packing {
            packing.stride = packing.length;
        }
    }

    /// Drops the fields that the task does not make of the rows, as those of labels when there are none. The first
    /// row of which it makes an example decides; what is wrong with those before it, encoding them all tells.
    pub fn only_fields_of(&mut self, view: &View) {
        let made = |row: usize| {
            let record = view.get(row).ok()?;
            let batch = self.batch(std::slice::from_ref(&record)).ok()?;
            let examples = self.made(&batch).ok()?;
            (!examples.is_empty()).then_some(examples)
        };
        let Some(examples) = (0..view.len().min(ROWS_TRIED)).find_map(made) else {
            return;
        };
        self.specs
            .retain(|spec| examples.fields().any(|field| field == spec.name));
    }

    /// Records as the task reads them.
    pub fn batch(&self, records: &[Record]) -> Result<RecordBatch, RecordError> {
        let mut batch = RecordBatch::new(records.len());
        for (column, name) in &self.columns {
            let mut values = Values::new(match column.kind {
                ColumnKind::Label => ValueKind::Label,
                ColumnKind::Labels => ValueKind::Labels,
                ColumnKind::Number => ValueKind::Number,
                _ => ValueKind::Text,
            });
            let mut missing = vec![false; records.len()];
            for (row, record) in records.iter().enumerate() {
                let cell = record.get(name).unwrap_or(&Value::Null);
                missing[row] = matches!(cell, Value::Null);
                self.push(column, cell, &mut values)
                    .map_err(|problem| RecordError {
                        record: Some(row),
                        source: problem.into(),
                    })?;
            }
            let missing = if missing.contains(&true) {
                missing
            } else {
                Vec::new()
            };
            batch
                .add(&column.name, values, &missing)
                .map_err(|error| RecordError {
                    record: None,
                    source: Box::new(StdError(error)),
                })?;
        }
        Ok(batch)
    }

    fn push(&self, column: &ColumnInfo, cell: &Value, values: &mut Values) -> Result<(), String> {
        let found = || format!("column `{}`: ", column.name);
        let id = |cell: &Value| -> Result<i64, String> {
            let name = cell
                .to_label()
                .ok_or_else(|| format!("{}{} is not a label", found(), cell.describe()))?;
            let known = self
                .labels
                .get(&column.name)
                .and_then(|labels| labels.get(name.as_ref()));
            known.copied().ok_or_else(|| {
                format!(
                    "{}label {name:?} does not occur in the training data",
                    found()
                )
            })
        };
        match (column.kind, cell) {
            (ColumnKind::Label, Value::Null) => values.push_label(-1),
            (ColumnKind::Label, cell) => values.push_label(id(cell)?),
            (ColumnKind::Labels, Value::Null) => values.push_ints(&[]),
            (ColumnKind::Labels, Value::List(items)) => {
                values.push_ints(&items.iter().map(id).collect::<Result<Vec<_>, _>>()?);
            }
            (ColumnKind::Labels, cell) => values.push_ints(&[id(cell)?]),
            (ColumnKind::Number, Value::Null) => values.push_number(f64::NAN),
            (ColumnKind::Number, cell) => {
                let number = cell.to_float();
                values
                    .push_number(number.ok_or_else(|| {
                        format!("{}{} is not a number", found(), cell.describe())
                    })?);
            }
            (_, Value::Null) => values.push_text(""),
            (ColumnKind::Json, Value::Text(text)) => values.push_text(text),
            (ColumnKind::Json, cell) => values.push_text(cell.to_json().to_string()),
            (_, Value::List(items)) => {
                let text = |item: &Value| item.as_text().map(str::to_owned);
                let texts: Option<Vec<_>> = items.iter().map(text).collect();
                values
                    .push_texts(texts.ok_or_else(|| {
                        format!("{}a list of something else than texts", found())
                    })?);
            }
            (_, cell) => {
                let text = cell
                    .to_label()
                    .ok_or_else(|| format!("{}{} is not text", found(), cell.describe()))?;
                values.push_text(text);
            }
        }
        Ok(())
    }
}

/// How a task's examples are packed, with the tokenizer's separator.
fn packing(pack: &PackInfo, info: &TaskInfo, tokenizer: &Tokenizer<'_>) -> Result<Packing, String> {
    let place = |name: &String| {
        let found = info.fields.iter().position(|field| field.name == *name);
        found.ok_or_else(|| format!("the task packs `{name}`, which is no field of its own"))
    };
    let target = pack.target.as_ref().map(place).transpose()?;
    let separator = match &pack.separator {
        None => None,
        Some(role) if ROLES.contains(&role.as_str()) => tokenizer.special(role),
        Some(token) => Some(tokenizer.token_id(token).ok_or_else(|| {
            format!("the tokenizer has no token {token:?} to put between documents")
        })?),
    };
    let values = |id: u32| {
        let fields = info.fields.iter().enumerate();
        fields
            .map(|(at, field)| match field.length || target == Some(at) {
                true => i64::from(id),
                false => 0,
            })
            .collect()
    };
    Ok(Packing {
        length: pack.length,
        stride: pack.stride,
        target,
        sums: pack.sums.iter().map(place).collect::<Result<_, _>>()?,
        separator: separator.map(values),
    })
}

/// Roles of special tokens, as tokenizers know them.
const ROLES: [&str; 7] = ["pad", "cls", "sep", "mask", "unk", "bos", "eos"];

fn spec(field: &tenon_plugin_api::info::FieldInfo, pad: u32) -> FieldSpec {
    FieldSpec {
        name: field.name.clone(),
        dtype: match field.kind {
            FieldKind::Int => DType::Int,
            FieldKind::Float => DType::Float,
        },
        collate: match field.pad {
            Pad::Stack => Collate::Stack,
            Pad::Token => Collate::Pad(f64::from(pad)),
            Pad::Value(value) => Collate::Pad(value),
        },
        length: field.length,
    }
}

impl Encode for TaskEncoder {
    fn fields(&self) -> &[FieldSpec] {
        &self.specs
    }

    fn packing(&self) -> Option<Packing> {
        let packing = self.packing.as_ref()?.as_ref();
        packing.ok().cloned()
    }

    fn encode(&self, records: &[Record], examples: &mut Examples<'_>) -> Result<(), RecordError> {
        if let Some(Err(problem)) = &self.packing {
            return Err(RecordError {
                record: None,
                source: problem.clone().into(),
            });
        }
        let batch = self.batch(records)?;
        let made = match self.made(&batch) {
            Ok(made) => made,
            Err(error) => {
                // The call does not say which record was at fault: ask for each.
                let alone = |record: &Record| -> bool {
                    let batch = self.batch(std::slice::from_ref(record));
                    batch.is_ok_and(|batch| self.made(&batch).is_err())
                };
                return Err(RecordError {
                    record: records.iter().position(alone),
                    source: Box::new(StdError(error)),
                });
            }
        };
        for example in 0..made.len() {
            let mut fields = Vec::with_capacity(self.specs.len());
            for spec in &self.specs {
                let ints = made.ints(&spec.name, example).map(Field::Ints);
                let field = ints.or_else(|| made.floats(&spec.name, example).map(Field::Floats));
                fields.push(field.ok_or_else(|| RecordError {
                    record: Some(made.record_of(example)),
                    source:
                        format!("the task made no field `{}`, which it declares", spec.name).into(),
                })?);
            }
            examples.push(made.record_of(example), &fields);
        }
        Ok(())
    }
}

/// Encodes inputs in memory, without a bar.
///
/// # Errors
/// A record cannot be encoded, or the user stopped it.
pub fn prepare_inputs(view: &View, encoder: TaskEncoder) -> Result<Prepared> {
    Ok(Prepared::new(
        view,
        Arc::new(encoder),
        PrepareOptions {
            memory: 1 << 30,
            cache: None,
            bad_records: BadRows::Error,
            progress: &mut |_, _| !services::interrupted(),
        },
    )?)
}

/// Encodes a split, with a progress bar; `key` says what besides the data the result depends on.
///
/// # Errors
/// A bad row or record, or the user stopped it.
pub fn prepare(
    view: &View,
    encoder: Arc<TaskEncoder>,
    settings: &DataSettings,
    what: &str,
    key: &[(&str, &str)],
) -> Result<Prepared> {
    let cache = match (settings.cache, cache_folder()) {
        (true, Some(folder)) => {
            let parts = key
                .iter()
                .fold(CacheKey::new(view)?, |cache, (name, value)| {
                    cache.part(name, value)
                });
            let fields = format!("{:?} {:?}", encoder.specs, encoder.packing);
            Some((folder, parts.part("fields", &fields)))
        }
        _ => None,
    };
    let bar = services::bar(what, "rows", view.len() as u64);
    let prepared = Prepared::new(
        view,
        encoder,
        PrepareOptions {
            memory: 1 << 30,
            cache,
            bad_records: match settings.on_bad_row {
                OnBadRow::Error => BadRows::Error,
                OnBadRow::Skip => BadRows::Skip,
            },
            progress: &mut |done, _| {
                bar.set(done as u64);
                !services::interrupted()
            },
        },
    )
    .map_err(|error| match error {
        DataError::Cancelled => Stopped.into(),
        error => anyhow::Error::from(error),
    })?;
    let skipped = prepared.skipped();
    if skipped.count > 0 {
        let first = skipped.first.first().map_or("", String::as_str);
        tracing::warn!(
            "{what}: {} records were skipped, the first: {first}",
            skipped.count
        );
    }
    Ok(prepared)
}
