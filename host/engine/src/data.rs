//! From the run's data settings to encoded examples and tensors: the engine's side of the data path.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use tch::{Device, Tensor};
use tenon_core::config::options::OnBadRow;
use tenon_core::config::{DataSettings, HeldOut, SourceSettings};
use tenon_core::data::{
    BadRows, Batch, Buffer, CacheKey, Collate, DType, DataError, Dataset, Encode, EncodeOptions,
    Examples, Field, FieldSpec, FormatKind, HfTokenizer, Labels, OpenOptions, PrepareOptions,
    Prepared, Projection, Record, RecordError, Source, SourceSpec, SplitOptions, Tokenize,
    Truncation, Value, View, split,
};
use tenon_core::request::Split;
use tenon_plugin_api::error::StdError;
use tenon_plugin_api::host::TaskHandle;
use tenon_plugin_api::info::{ColumnInfo, ColumnKind, FieldKind, Pad, TaskInfo};
use tenon_plugin_api::record::RecordBatch;
use tenon_plugin_api::tensor::TensorMap;
use tenon_plugin_api::tokenizer::{self as api, HostTokenizer, SharedTokenizer};
use tenon_plugin_api::values::{ValueKind, Values};

use crate::evaluate::Stopped;
use crate::services;

/// The splits of a run's data; each holds different rows.
#[derive(Clone, Default)]
pub struct Splits {
    views: BTreeMap<&'static str, View>,
}

impl Splits {
    /// Opens the data and splits it. `columns` are those that the task reads.
    ///
    /// # Errors
    /// A file is missing or broken, or a split would be empty.
    pub fn open(settings: &DataSettings, columns: &[ColumnInfo], seed: u64) -> Result<Self> {
        let mut views = BTreeMap::new();
        let open = |source: &SourceSettings, split: Split| open(settings, source, columns, split);
        let train = settings
            .train
            .as_ref()
            .map(|source| open(source, Split::Train))
            .transpose()?;
        let held = [
            (Split::Validation, &settings.validation),
            (Split::Test, &settings.test),
        ];
        let mut parts = Vec::new();
        for (name, held) in held {
            match held {
                Some(HeldOut::Files(source)) => {
                    drop(views.insert(name.name(), open(source, name)?))
                }
                Some(HeldOut::Split {
                    fraction,
                    stratify,
                    limit,
                }) => {
                    parts.push((name, *fraction, *stratify, *limit));
                }
                None => {}
            }
        }
        let Some(train) = train else {
            return Ok(Self { views });
        };
        let rest = match parts.is_empty() {
            true => train,
            false => divide(settings, &train, columns, &parts, seed, &mut views)?,
        };
        views.insert(Split::Train.name(), rest);
        Ok(Self { views })
    }

    /// Only these files, as the split of that name.
    ///
    /// # Errors
    /// A file is missing or broken.
    pub fn of_files(
        settings: &DataSettings,
        paths: &[PathBuf],
        columns: &[ColumnInfo],
        split: Split,
    ) -> Result<Self> {
        let format = settings
            .train
            .as_ref()
            .map(|source| source.format.clone())
            .unwrap_or_default();
        // Read as the training data, unless their names say that they are something else.
        let same = |path: &PathBuf| {
            let known = settings.train.iter().flat_map(|source| &source.paths);
            FormatKind::of(path).is_none()
                || known
                    .into_iter()
                    .any(|known| known.extension() == path.extension())
        };
        let format = if paths.iter().all(same) {
            format
        } else {
            Default::default()
        };
        let source = SourceSettings {
            paths: paths.to_vec(),
            format,
            limit: None,
        };
        let view = open(settings, &source, columns, split)?;
        Ok(Self {
            views: BTreeMap::from([(split.name(), view)]),
        })
    }

    /// The rows of a split.
    pub fn get(&self, split: Split) -> Option<&View> {
        self.views.get(split.name())
    }

    /// What the columns hold: the kind of those that the task leaves open, and the class names of
    /// those with labels. Class names are those that a parquet file declares, else the distinct
    /// values of the training data (of all splits, if there is none).
    ///
    /// # Errors
    /// A bad row, or too many distinct values.
    pub fn discover(&self, settings: &DataSettings, columns: &[ColumnInfo]) -> Result<Discovered> {
        let mut found = Discovered::default();
        let views = match self.get(Split::Train) {
            Some(train) => vec![train],
            None => self.views.values().collect(),
        };
        for column in columns {
            let name = file_column(settings, &column.name);
            let kind = match (column.kind, views.first()) {
                (ColumnKind::Auto, Some(view)) => {
                    let kind = kind_of(view, name)?;
                    found.kinds.insert(column.name.clone(), kind);
                    kind
                }
                (kind, _) => kind,
            };
            if !matches!(kind, ColumnKind::Label | ColumnKind::Labels) {
                continue;
            }
            let declared = views
                .iter()
                .find_map(|view| view.dataset().class_names(name));
            let names = match (declared, views.first()) {
                (Some(names), _) => names,
                (None, Some(view)) => Labels::discover(view, name)?.names().to_vec(),
                (None, None) => Vec::new(),
            };
            found.labels.insert(column.name.clone(), names);
        }
        Ok(found)
    }
}

/// What was found in the data, kept in the run folder for evaluation and prediction.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Discovered {
    /// Class names by id of each label column.
    #[serde(default)]
    pub labels: BTreeMap<String, Vec<String>>,
    /// Kinds of the columns that the task leaves open.
    #[serde(default)]
    pub kinds: BTreeMap<String, ColumnKind>,
}

/// Rows that are looked at to tell what a column holds.
const ROWS_LOOKED_AT: usize = 4096;

/// What a column holds: lists are `Labels`, numbers of which some have a fraction `Number`, all
/// else `Label`.
fn kind_of(view: &View, column: &str) -> Result<ColumnKind> {
    let rows: Vec<usize> = (0..view.len().min(ROWS_LOOKED_AT)).collect();
    let mut fraction = false;
    for record in view.get_many(&rows)? {
        match record.get(column).unwrap_or(&Value::Null) {
            Value::List(_) => return Ok(ColumnKind::Labels),
            Value::Null => {}
            cell => match cell.to_float() {
                Some(number) => fraction |= number.fract() != 0.0,
                None => return Ok(ColumnKind::Label),
            },
        }
    }
    Ok(if fraction {
        ColumnKind::Number
    } else {
        ColumnKind::Label
    })
}

fn file_column<'a>(settings: &'a DataSettings, column: &'a str) -> &'a str {
    settings.columns.get(column).map_or(column, String::as_str)
}

fn open(
    settings: &DataSettings,
    source: &SourceSettings,
    columns: &[ColumnInfo],
    split: Split,
) -> Result<View> {
    let spec = SourceSpec {
        paths: source
            .paths
            .iter()
            .map(|path| path.to_string_lossy().into_owned())
            .collect(),
        format: source.format.clone(),
        base: PathBuf::new(),
    };
    let found = Source::resolve(&spec, split.name())?;
    let names = |for_prediction: bool| {
        let columns = columns
            .iter()
            .filter(move |column| column.for_prediction == for_prediction);
        columns.map(|column| file_column(settings, &column.name))
    };
    let options = OpenOptions {
        columns: Projection::only(names(true), names(false)),
        bad_rows: match settings.on_bad_row {
            OnBadRow::Error => BadRows::Error,
            OnBadRow::Skip => BadRows::Skip,
        },
        cache: settings.cache.then(cache_folder).flatten(),
        ..OpenOptions::default()
    };
    let dataset = Dataset::open(&found, &options)?;
    let skipped = dataset.skipped();
    if skipped.count > 0 {
        let first = skipped.first.first().map_or("", String::as_str);
        tracing::warn!(
            "{}: {} bad rows were skipped, the first: {first}",
            found.name,
            skipped.count
        );
    }
    let view = View::all(Arc::new(dataset));
    Ok(match source.limit {
        Some(limit) => view.limit(limit as usize),
        None => view,
    })
}

/// Takes the parts that are held out of the training data; returns the rest.
fn divide(
    settings: &DataSettings,
    train: &View,
    columns: &[ColumnInfo],
    parts: &[(Split, f64, bool, Option<u64>)],
    seed: u64,
    views: &mut BTreeMap<&'static str, View>,
) -> Result<View> {
    let label = columns
        .iter()
        .find(|column| column.kind == ColumnKind::Label);
    let stratify = parts.iter().any(|(_, _, stratify, _)| *stratify);
    let classes = match (stratify, label) {
        (true, Some(label)) => {
            let name = file_column(settings, &label.name);
            Some(Labels::discover(train, name)?.classes(train, name)?)
        }
        _ => None,
    };
    let shares = parts.iter().map(|(_, share, _, _)| *share).collect();
    let mut rows = split(
        train.len(),
        &SplitOptions { shares, seed },
        classes.as_deref(),
    )?;
    let rest = rows.pop().context("a split has parts")?;
    for ((name, _, _, limit), rows) in parts.iter().zip(&rows) {
        let view = train.select(rows);
        let view = match limit {
            Some(limit) => view.limit(*limit as usize),
            None => view,
        };
        views.insert(name.name(), view);
    }
    Ok(train.select(&rest))
}

/// The per-user folder for encoded data.
pub fn cache_folder() -> Option<PathBuf> {
    let explicit = std::env::var_os("TENON_CACHE").map(PathBuf::from);
    let xdg = || std::env::var_os("XDG_CACHE_HOME").map(|home| PathBuf::from(home).join("tenon"));
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache/tenon"));
    Some(explicit.or_else(xdg).or_else(home)?.join("data"))
}

/// A task with what it needs to encode records.
pub struct TaskEncoder {
    task: Arc<TaskHandle>,
    tokenizer: Arc<SharedTokenizer>,
    columns: Vec<(ColumnInfo, String)>,
    labels: BTreeMap<String, BTreeMap<String, i64>>,
    specs: Vec<FieldSpec>,
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
            task,
            tokenizer,
        }
    }

    /// Reads no column that prediction does without.
    pub fn without_references(&mut self) {
        self.columns.retain(|(column, _)| column.for_prediction);
    }

    /// Drops the fields that the task does not make of `record`, as those of labels when there
    /// are none.
    ///
    /// # Errors
    /// The record cannot be encoded.
    pub fn only_fields_of(&mut self, record: &Record) -> Result<()> {
        let batch = self
            .batch(std::slice::from_ref(record))
            .map_err(|error| anyhow::anyhow!(error.source))?;
        let examples = self
            .task
            .encode(&batch, &self.tokenizer)
            .map_err(StdError)?;
        self.specs
            .retain(|spec| examples.fields().any(|field| field == spec.name));
        Ok(())
    }

    /// Records as the task reads them.
    fn batch(&self, records: &[Record]) -> Result<RecordBatch, RecordError> {
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

    fn encode(&self, records: &[Record], examples: &mut Examples<'_>) -> Result<(), RecordError> {
        let batch = self.batch(records)?;
        let made = match self.task.encode(&batch, &self.tokenizer) {
            Ok(made) => made,
            Err(error) => {
                // The call does not say which record was at fault: ask for each.
                let alone = |record: &Record| -> bool {
                    let batch = self.batch(std::slice::from_ref(record));
                    batch.is_ok_and(|batch| self.task.encode(&batch, &self.tokenizer).is_err())
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
            let fields = format!("{:?}", encoder.specs);
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

/// The tensors of a batch on `device`: its fields, and `attention_mask`.
///
/// # Errors
/// Memory runs out.
pub fn tensors(batch: &Batch, length_field: Option<&str>, device: Device) -> Result<TensorMap> {
    let mut map = TensorMap::new();
    for field in &batch.fields {
        let shape: Vec<i64> = field.shape.iter().map(|size| *size as i64).collect();
        let flat = match &field.data {
            Buffer::Ints(values) => Tensor::f_from_slice(values)?,
            Buffer::Floats(values) => Tensor::f_from_slice(values)?,
            Buffer::Bools(values) => Tensor::f_from_slice(values)?,
        };
        let tensor = flat.f_view(shape.as_slice())?;
        if Some(field.name.as_str()) == length_field && shape.len() == 2 {
            map.insert(
                "attention_mask",
                to(&mask(&batch.lengths, shape[1] as usize)?, device)?,
            );
        }
        map.insert(field.name.clone(), to(&tensor, device)?);
    }
    Ok(map)
}

fn to(tensor: &Tensor, device: Device) -> Result<Tensor> {
    Ok(match device {
        Device::Cpu => tensor.shallow_clone(),
        device => tensor.f_to_device(device)?,
    })
}

/// 1 for a token, 0 for padding: `[batch, longest]`.
fn mask(lengths: &[u32], longest: usize) -> Result<Tensor> {
    let mut values = vec![0_i64; lengths.len() * longest];
    for (row, length) in values.chunks_mut(longest.max(1)).zip(lengths) {
        row[..(*length as usize).min(longest)].fill(1);
    }
    Ok(Tensor::f_from_slice(&values)?.f_view([lengths.len() as i64, longest as i64])?)
}

/// The tokenizer of the run, as plugins see it.
pub struct RunTokenizer {
    /// The tokenizer.
    pub tokenizer: HfTokenizer,
    /// The most tokens of an input, whatever a task asks for.
    pub limit: Option<usize>,
}

impl HostTokenizer for RunTokenizer {
    fn encode(&self, text: &str, how: &api::Encode<'_>) -> tenon_plugin_api::Result<api::Encoding> {
        let options = EncodeOptions {
            max_length: [how.max_length, self.limit].into_iter().flatten().min(),
            truncation: match how.truncation {
                api::Truncation::LongestFirst => Truncation::LongestFirst,
                api::Truncation::OnlyFirst => Truncation::OnlyFirst,
                api::Truncation::OnlySecond => Truncation::OnlySecond,
                api::Truncation::Never => Truncation::Never,
            },
            special_tokens: !how.no_special_tokens,
            offsets: how.offsets,
            words: how.words,
        };
        let encoding = self.tokenizer.encode(text, how.pair, &options)?;
        Ok(api::Encoding {
            ids: encoding.ids.into_iter().map(i64::from).collect(),
            type_ids: encoding.type_ids.into_iter().map(i64::from).collect(),
            offsets: encoding.offsets,
            words: encoding
                .words
                .into_iter()
                .map(|word| word.map(|word| word as usize))
                .collect(),
            sequences: encoding.sequences,
        })
    }

    fn decode(&self, ids: &[u32], skip_special_tokens: bool) -> tenon_plugin_api::Result<String> {
        Ok(self.tokenizer.decode(ids, skip_special_tokens)?)
    }

    fn token_id(&self, token: &str) -> Option<u32> {
        self.tokenizer.token_id(token)
    }

    fn special(&self, role: &str) -> Option<u32> {
        self.tokenizer.special(role)
    }

    fn vocab_size(&self) -> usize {
        self.tokenizer.vocab_size()
    }
}

/// Checks that the tokenizer's ids fit the model's embedding, where the config tells its size.
///
/// # Errors
/// They do not.
pub fn check_vocabulary(tokenizer: &HfTokenizer, vocab_size: Option<u64>) -> Result<()> {
    if let Some(size) = vocab_size {
        let ids = tokenizer.vocab_size() as u64;
        ensure!(
            ids <= size,
            "the tokenizer has {ids} tokens and the model embeddings for {size}: they do not belong together",
        );
    }
    Ok(())
}
