//! From the data settings of a run to splits of rows, and from batches to tensors.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use tch::{Device, Tensor};
use tenon_core::config::options::OnBadRow;
use tenon_core::config::{DataSettings, HeldOut, RunSettings, SourceSettings};
use tenon_core::data::{
    BadRows, Batch, Buffer, Dataset, FormatKind, Labels, OpenOptions, Projection, Source,
    SourceSpec, SplitOptions, Value, View, split, split_groups,
};
use tenon_core::request::Split;
use tenon_plugin_api::info::{ColumnInfo, ColumnKind};
use tenon_plugin_api::prompt::Demonstration;
use tenon_plugin_api::tensor::TensorMap;

use crate::tokenizer::trained::Trained;

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
        let open =
            |source: &SourceSettings, split: Split| open(settings, source, &[], columns, split);
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
                    group,
                    limit,
                }) => parts.push(Part {
                    split: name,
                    share: *fraction,
                    stratify: *stratify,
                    group: group.clone(),
                    limit: *limit,
                }),
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

    /// Only these files, as the split of that name. Messages call them by the names `shown`, as far as there are any.
    ///
    /// # Errors
    /// A file is missing or broken.
    pub fn of_files(
        settings: &DataSettings,
        paths: &[PathBuf],
        shown: &[PathBuf],
        columns: &[ColumnInfo],
        split: Split,
    ) -> Result<Self> {
        let known = known_source(settings);
        let format = known.map(|source| source.format.clone());
        let format = format.unwrap_or_default();
        // Read as the run's data, unless their names say that they are something else.
        let same = |path: &PathBuf| {
            let known = known.iter().flat_map(|source| &source.paths);
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
        let view = open(settings, &source, shown, columns, split)?;
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
    pub fn discover(&self, settings: &RunSettings, columns: &[ColumnInfo]) -> Result<Discovered> {
        // Without training data, the words of a prompt say of which labels there may be none in the rest.
        let prompt = settings
            .prompt
            .as_ref()
            .filter(|_| settings.data.train.is_none());
        let worded = || prompt.iter().flat_map(|prompt| prompt.verbalizers.keys());
        let settings = &settings.data;
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
                (ColumnKind::Auto, None) if worded().next().is_some() => ColumnKind::Label,
                (kind, _) => kind,
            };
            if !matches!(kind, ColumnKind::Label | ColumnKind::Labels) {
                continue;
            }
            let declared = views
                .iter()
                .find_map(|view| view.dataset().class_names(name));
            let names = match declared {
                Some(names) => names,
                None if views.is_empty() && worded().next().is_none() => Vec::new(),
                None => {
                    let known = worded().map(String::as_str);
                    let labels = Labels::discover_in(&views, name, known)?;
                    labels.names().to_vec()
                }
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
    /// Solved examples that come before every prompt.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub demonstrations: Vec<Demonstration>,
    /// The tokenizer that was trained on it, before the run has a folder to keep it in.
    #[serde(skip)]
    pub tokenizer: Option<Trained>,
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

/// Files of the run whose format others share: those of training, else those of evaluation.
fn known_source(settings: &DataSettings) -> Option<&SourceSettings> {
    let held_out = [&settings.test, &settings.validation].into_iter().flatten();
    let mut files = held_out.filter_map(|held_out| match held_out {
        HeldOut::Files(source) => Some(source),
        HeldOut::Split { .. } => None,
    });
    settings.train.as_ref().or_else(|| files.next())
}

/// The name of a task's column in the files.
pub fn file_column<'a>(settings: &'a DataSettings, column: &'a str) -> &'a str {
    settings.columns.get(column).map_or(column, String::as_str)
}

fn open(
    settings: &DataSettings,
    source: &SourceSettings,
    shown: &[PathBuf],
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
    let mut found = Source::resolve(&spec, split.name())?;
    found.show_as(shown);
    let names = |for_prediction: bool| {
        let columns = columns
            .iter()
            .filter(move |column| column.for_prediction == for_prediction);
        columns.map(|column| file_column(settings, &column.name))
    };
    let held_out = [&settings.validation, &settings.test].into_iter().flatten();
    let grouping = held_out.filter_map(|held_out| match held_out {
        HeldOut::Split { group, .. } if split == Split::Train => group.as_deref(),
        _ => None,
    });
    let options = OpenOptions {
        columns: Projection::only(names(true).chain(grouping), names(false)),
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

/// A part of the training data that is held out.
struct Part {
    split: Split,
    share: f64,
    stratify: bool,
    group: Option<String>,
    limit: Option<u64>,
}

/// Takes the parts that are held out of the training data; returns the rest.
fn divide(
    settings: &DataSettings,
    train: &View,
    columns: &[ColumnInfo],
    parts: &[Part],
    seed: u64,
    views: &mut BTreeMap<&'static str, View>,
) -> Result<View> {
    let label = columns
        .iter()
        .find(|column| column.kind == ColumnKind::Label);
    let stratify = parts.iter().any(|part| part.stratify);
    let classes = match (stratify, label) {
        (true, Some(label)) => {
            let name = file_column(settings, &label.name);
            Some(Labels::discover(train, name)?.classes(train, name)?)
        }
        _ => None,
    };
    let shares = parts.iter().map(|part| part.share).collect();
    let options = SplitOptions { shares, seed };
    let mut rows = match group_of(parts)? {
        Some(column) => split_groups(train, column, &options)?,
        None => split(train.len(), &options, classes.as_deref())?,
    };
    let rest = rows.pop().context("a split has parts")?;
    for (part, rows) in parts.iter().zip(&rows) {
        let view = train.select(rows);
        let view = match part.limit {
            Some(limit) => view.limit(limit as usize),
            None => view,
        };
        views.insert(part.split.name(), view);
    }
    Ok(train.select(&rest))
}

/// The column that keeps rows together, which all parts must name where one does: else the others would tear its
/// groups apart.
fn group_of(parts: &[Part]) -> Result<Option<&str>> {
    let mut columns = parts.iter().map(|part| part.group.as_deref());
    let first = columns.next().flatten();
    ensure!(
        columns.all(|column| column == first)
            && !(first.is_some() && parts.iter().any(|part| part.stratify)),
        "data.validation and data.test are held out of the same rows: both need the same `group`, and no `stratify`"
    );
    Ok(first)
}

/// The per-user folder for encoded data.
pub fn cache_folder() -> Option<PathBuf> {
    let explicit = std::env::var_os("TENON_CACHE").map(PathBuf::from);
    let xdg = || std::env::var_os("XDG_CACHE_HOME").map(|home| PathBuf::from(home).join("tenon"));
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache/tenon"));
    Some(explicit.or_else(xdg).or_else(home)?.join("data"))
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
