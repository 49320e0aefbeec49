//! Which columns a metric reads, and as what.
//!
//! A column that the user names is taken; else the first of the usual names that the file has,
//! those that `tenon predict` writes among them; else the only column that there is.

use tenon_plugin_api::values::ValueKind;

use super::ColumnNames;
use super::error::ScoreError;
use super::file::File;
use crate::data::{DataError, Value};

/// Columns that hold the probabilities of classes.
const PROBABILITIES: [&str; 2] = ["probabilities", "probability"];
/// The column that holds, beside an answer, the probability that there is none.
const NO_ANSWER: [&str; 1] = ["no_answer_probability"];

/// How a metric reads both files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reading {
    pub family: Family,
    /// Whether the metric reads one class a row, and whether it reads sets of classes.
    pub classes: (bool, bool),
    /// Column of the references, where there are any.
    pub reference: Option<String>,
    /// Column of the predictions; `None`: the most probable class is the prediction.
    pub prediction: Option<String>,
    /// Column of the probabilities of the classes, or beside a text that there is no answer.
    pub probability: Option<String>,
}

/// Kinds of values that stand in like columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    Classes,
    Number,
    Numbers,
    Text,
    Tokens,
}

impl Family {
    fn of(input: &str) -> Option<Self> {
        match ValueKind::from_name(input)? {
            ValueKind::Label | ValueKind::Labels => Some(Self::Classes),
            ValueKind::Number => Some(Self::Number),
            ValueKind::Numbers => Some(Self::Numbers),
            ValueKind::Text => Some(Self::Text),
            ValueKind::Tokens => Some(Self::Tokens),
            _ => None,
        }
    }

    fn of_predictions(self) -> &'static [&'static str] {
        match self {
            Self::Classes => &["prediction", "label", "labels"],
            Self::Number => &["prediction", "value", "score"],
            Self::Numbers => &["prediction", "numbers"],
            Self::Text => &["prediction", "text"],
            Self::Tokens => &["prediction", "tokens"],
        }
    }

    fn of_references(self) -> &'static [&'static str] {
        match self {
            Self::Classes => &["reference", "label", "labels"],
            Self::Number => &["reference", "value", "score", "label"],
            // Where only the predictions count, they may stand for the references too.
            Self::Numbers => &["reference", "numbers", "prediction"],
            Self::Text => &["reference", "references", "text"],
            Self::Tokens => &["reference", "tokens"],
        }
    }

    /// Whether a cell may be of this kind, as far as one cell tells.
    fn fits(self, cell: &Value) -> bool {
        let ids = |items: &[Value]| items.iter().all(|item| matches!(item, Value::Int(_)));
        let numbers = |items: &[Value]| items.iter().all(|item| item.to_float().is_some());
        match (self, cell) {
            (_, Value::Null | Value::Map(_)) => false,
            (Self::Tokens, Value::List(items)) => ids(items),
            (Self::Numbers, Value::List(items)) => numbers(items),
            (Self::Tokens | Self::Numbers, _) => false,
            (Self::Number, cell) => cell.to_float().is_some(),
            (Self::Classes | Self::Text, _) => true,
        }
    }
}

/// How `metric`, which reads values of the kinds `inputs`, reads two files.
pub(super) fn reading(
    metric: &str,
    inputs: &[String],
    references: Option<&File>,
    predictions: &File,
    names: &ColumnNames,
) -> Result<Reading, ScoreError> {
    let mut families: Vec<Family> = Vec::new();
    for family in inputs.iter().filter_map(|input| Family::of(input)) {
        if !families.contains(&family) {
            families.push(family);
        }
    }
    let has = |name: &str| inputs.iter().any(|input| input == name);
    let chooser = Chooser {
        metric,
        references,
        predictions,
        names,
        classes: (has("label"), has("labels")),
    };
    match families.as_slice() {
        [] => Err(ScoreError::Kind {
            metric: metric.to_owned(),
            reads: inputs.join(" or "),
            found: "files can give labels, numbers, lists of them, texts and tokens".to_owned(),
        }),
        [only] => chooser.columns(*only),
        several => chooser.first_that_fits(several, &inputs.join(" or ")),
    }
}

struct Chooser<'a> {
    metric: &'a str,
    references: Option<&'a File>,
    predictions: &'a File,
    names: &'a ColumnNames,
    classes: (bool, bool),
}

impl Chooser<'_> {
    /// The first kind for which both files have a column, and values that may be of the kind.
    fn first_that_fits(&self, families: &[Family], reads: &str) -> Result<Reading, ScoreError> {
        let mut fault = None;
        for family in families {
            match self.columns(*family) {
                Ok(reading) if self.fits(&reading)? => return Ok(reading),
                Ok(_) => {}
                Err(error) => fault = fault.or(Some(error)),
            }
        }
        Err(fault.unwrap_or_else(|| ScoreError::Kind {
            metric: self.metric.to_owned(),
            reads: reads.to_owned(),
            found: "the first rows hold something else".to_owned(),
        }))
    }

    fn fits(&self, reading: &Reading) -> Result<bool, ScoreError> {
        let first = |file: &File, column: &str| -> Result<bool, ScoreError> {
            let view = file.view(&[column], &[])?;
            let row = view.get(0)?;
            Ok(row
                .get(column)
                .is_some_and(|cell| reading.family.fits(cell)))
        };
        let prediction = match &reading.prediction {
            Some(column) => first(self.predictions, column)?,
            None => true,
        };
        match (self.references, &reading.reference) {
            (Some(references), Some(column)) => Ok(prediction && first(references, column)?),
            _ => Ok(prediction),
        }
    }

    fn columns(&self, family: Family) -> Result<Reading, ScoreError> {
        let probability = match family {
            Family::Classes => self.probability(&PROBABILITIES)?,
            Family::Text => self.probability(&NO_ANSWER)?,
            _ => None,
        };
        let named = self.names.reference.as_deref();
        let reference = self.references.map(|file| {
            let found = pick(file, named, family.of_references())?;
            found.ok_or_else(|| self.no_column(file, false))
        });
        let reference = reference.transpose()?;
        let prediction = pick(
            self.predictions,
            self.names.prediction.as_deref(),
            family.of_predictions(),
        )?
        .filter(|column| self.names.prediction.is_some() || Some(column) != probability.as_ref());
        let from_probabilities = family == Family::Classes && probability.is_some();
        if prediction.is_none() && !from_probabilities {
            return Err(self.no_column(self.predictions, true));
        }
        Ok(Reading {
            family,
            classes: self.classes,
            reference,
            prediction,
            probability,
        })
    }

    fn probability(&self, names: &[&str]) -> Result<Option<String>, ScoreError> {
        let file = self.predictions;
        match &self.names.probability {
            Some(name) => named(file, name).map(Some),
            None => Ok(usual(file, names)),
        }
    }

    fn no_column(&self, file: &File, predictions: bool) -> ScoreError {
        let (side, flag) = match predictions {
            true => ("predictions", "--prediction-column"),
            false => ("references", "--reference-column"),
        };
        ScoreError::NoColumn {
            file: file.name().to_owned(),
            side,
            metric: self.metric.to_owned(),
            found: crate::data::quoted(file.columns()),
            flag,
        }
    }
}

fn pick(file: &File, asked: Option<&str>, names: &[&str]) -> Result<Option<String>, ScoreError> {
    if let Some(name) = asked {
        return named(file, name).map(Some);
    }
    let only = || match file.columns() {
        [only] => Some(only.clone()),
        _ => None,
    };
    Ok(usual(file, names).or_else(only))
}

/// The column that the user names, which must be there.
fn named(file: &File, name: &str) -> Result<String, ScoreError> {
    if file.columns().iter().any(|column| column == name) {
        return Ok(name.to_owned());
    }
    let path = std::path::Path::new(file.name());
    Err(DataError::missing_column(path, name, file.columns()).into())
}

fn usual(file: &File, names: &[&str]) -> Option<String> {
    let there = |name: &&&str| file.columns().iter().any(|column| column == **name);
    names.iter().find(there).map(|name| (*name).to_owned())
}
