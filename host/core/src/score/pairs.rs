//! One pass over the rows of both files, as columns of values that metrics compare.

use std::borrow::Cow;
use std::ops::Range;

use tenon_plugin_api::error::{Error, StdError};
use tenon_plugin_api::host::MetricHandle;
use tenon_plugin_api::metric::OutputInfo;
use tenon_plugin_api::values::{ValueKind, Values};

use super::choose::{Family, Reading};
use super::classes::Classes;
use super::error::ScoreError;
use super::file::File;
use crate::data::{DataError, Record, RowProblem, Value, View, in_order};

/// Rows that metrics get at a time: enough for each of many threads.
const BATCH: usize = 4096;

/// A pass that is about to begin.
pub(super) struct Pass<'a> {
    reading: &'a Reading,
    references: Option<(&'a File, View)>,
    predictions: (&'a File, View),
    classes: Classes,
    output: OutputInfo,
    kind: ValueKind,
    /// Scores beside each prediction.
    width: usize,
    /// Whether no metric of this pass looks at references.
    pub ignores_references: bool,
    /// What there is to know.
    pub notes: Vec<String>,
}

impl<'a> Pass<'a> {
    /// Pairs the rows, and numbers the classes where classes are compared.
    pub fn new(
        reading: &'a Reading,
        references: Option<&'a File>,
        predictions: &'a File,
        labels: &Option<Vec<String>>,
    ) -> Result<Self, ScoreError> {
        let columns: Vec<&str> = reading.prediction.as_deref().into_iter().collect();
        let probabilities: Vec<&str> = reading.probability.as_deref().into_iter().collect();
        // Both are read whole, to find their rows.
        let (referred, predicted) = rayon::join(
            || {
                let columns: Vec<&str> = reading.reference.as_deref().into_iter().collect();
                let view = references.map(|file| file.view(&columns, &[]));
                view.transpose()
            },
            || predictions.view(&columns, &probabilities),
        );
        let (referred, predicted) = (references.zip(referred?), predicted?);
        if let Some((references, referred)) = &referred
            && referred.len() != predicted.len()
        {
            return Err(ScoreError::Counts {
                predictions: predictions.name().to_owned(),
                predicted: predicted.len(),
                references: references.name().to_owned(),
                referred: referred.len(),
            });
        }
        let mut notes = Vec::new();
        let classes = match reading.family {
            Family::Classes => Classes::find(
                reading,
                referred.as_ref().map(|(_, view)| view),
                (predictions, &predicted),
                labels.as_deref(),
                &mut notes,
            )?,
            _ => Classes::default(),
        };
        let kind = match reading.family {
            Family::Classes if classes.sets => ValueKind::Labels,
            Family::Classes if reading.classes.0 => ValueKind::Label,
            Family::Classes => ValueKind::Labels,
            Family::Number => ValueKind::Number,
            Family::Numbers => ValueKind::Numbers,
            Family::Text => ValueKind::Text,
            Family::Tokens => ValueKind::Tokens,
        };
        let width = match reading.family {
            Family::Classes => classes.width,
            _ => usize::from(reading.probability.is_some()),
        };
        Ok(Self {
            reading,
            width,
            references: referred,
            predictions: (predictions, predicted),
            output: OutputInfo {
                kind: kind.name().to_owned(),
                labels: classes.names.clone(),
            },
            classes,
            kind,
            ignores_references: false,
            notes,
        })
    }

    /// How many rows pair.
    pub fn rows(&self) -> usize {
        self.predictions.1.len()
    }

    /// What metrics are told of the values.
    pub fn output(&self) -> &OutputInfo {
        &self.output
    }

    /// The failure of a metric on these files.
    pub fn failed(&self, error: Error) -> ScoreError {
        ScoreError::Metric {
            file: self.predictions.0.name().to_owned(),
            source: StdError(error),
            notes: self.notes.clone(),
        }
    }

    /// Shows every pair to the metrics, which keep them if they are to be drawn from.
    pub fn run(
        &self,
        metrics: &mut [(usize, &str, MetricHandle)],
        keep: bool,
    ) -> Result<(), ScoreError> {
        let failed = |error| self.failed(error);
        for (_, _, metric) in metrics.iter_mut() {
            metric.begin(&self.output).map_err(failed)?;
            if keep {
                metric.keep_examples().map_err(failed)?;
            }
        }
        let (rows, threads) = (self.rows(), self.predictions.1.dataset().threads());
        let batch = |number: usize| self.batch(number * BATCH..rows.min((number + 1) * BATCH));
        in_order(rows.div_ceil(BATCH), threads, batch, |batch| {
            let (predictions, references) = batch?;
            metrics.iter_mut().try_for_each(|(_, _, metric)| {
                metric.update(&predictions, &references).map_err(failed)
            })
        })
    }

    /// Predictions and references of rows.
    fn batch(&self, rows: Range<usize>) -> Result<(Values, Values), ScoreError> {
        let references = match (&self.references, &self.reading.reference) {
            (Some(references), Some(column)) if !self.ignores_references => {
                self.column(references, rows.clone(), |record, into| {
                    self.push(record, column, true, into)
                })?
            }
            _ => blanks(self.kind, rows.len()),
        };
        let mut scores = Vec::new();
        let mut predictions = self.column(&self.predictions, rows, |record, into| {
            self.predicted(record, &mut scores, into)
        })?;
        let scored = predictions.set_scores(scores);
        scored.map_err(|error| self.failed(error))?;
        Ok((predictions, references))
    }

    /// The values of rows of one side: lines as they are, of other records what `push` finds.
    fn column(
        &self,
        (file, view): &(&File, View),
        rows: Range<usize>,
        mut push: impl FnMut(&Record, &mut Values) -> Result<(), DataError>,
    ) -> Result<Values, ScoreError> {
        let lines = self.kind == ValueKind::Text && self.width == 0;
        let mut into = Values::new(self.kind);
        let mut reader = view.reader();
        for row in rows {
            if lines && let Some((number, text)) = reader.line(row)? {
                unbroken(file, row, number)?;
                into.push_text(text);
                continue;
            }
            let record = reader.get(row)?;
            unbroken(file, row, record.at().number)?;
            push(&record, &mut into)?;
        }
        Ok(into)
    }

    /// A prediction, with the probabilities of its classes.
    fn predicted(
        &self,
        record: &Record,
        scores: &mut Vec<f64>,
        into: &mut Values,
    ) -> Result<(), DataError> {
        let from = scores.len();
        if let (Some(column), true) = (&self.reading.probability, self.width > 0) {
            self.probabilities(record, column, scores)?;
        }
        match &self.reading.prediction {
            Some(column) => return self.push(record, column, false, into),
            None if self.kind == ValueKind::Labels => {
                let above = scores[from..].iter().zip(0_i64..);
                let ids: Vec<i64> = above
                    .filter(|(p, _)| **p >= 0.5)
                    .map(|(_, id)| id)
                    .collect();
                into.push_ints(&ids);
            }
            None => into.push_label(most_probable(&scores[from..])),
        }
        Ok(())
    }

    fn probabilities(
        &self,
        record: &Record,
        column: &str,
        scores: &mut Vec<f64>,
    ) -> Result<(), DataError> {
        let cell = record.get(column).unwrap_or(&Value::Null);
        let expected = match self.kind {
            ValueKind::Text => "the probability that there is no answer",
            _ => "a probability for each class",
        };
        let wrong = |found: &Value| wrong(record, column, expected, found);
        let number = |cell: &Value| cell.to_float().ok_or_else(|| wrong(cell));
        let from = scores.len();
        match cell {
            Value::Map(entries) => {
                scores.resize(from + self.width, 0.0);
                for (name, value) in entries {
                    let id = self
                        .classes
                        .id(name)
                        .and_then(|id| usize::try_from(id).ok());
                    let slot = id.and_then(|id| scores.get_mut(from + id));
                    *slot.ok_or_else(|| wrong(cell))? = number(value)?;
                }
            }
            Value::List(items) => {
                for item in items {
                    scores.push(number(item)?);
                }
            }
            cell => scores.push(number(cell)?),
        }
        match scores.len() - from == self.width {
            true => Ok(()),
            false => Err(wrong(cell)),
        }
    }

    /// Adds a cell; several texts are right among `references` only.
    fn push(
        &self,
        record: &Record,
        column: &str,
        references: bool,
        into: &mut Values,
    ) -> Result<(), DataError> {
        let cell = record.get(column).unwrap_or(&Value::Null);
        let wrong = |expected| wrong(record, column, expected, cell);
        match self.kind {
            ValueKind::Label => into.push_label(self.class(record, column, cell)?),
            ValueKind::Labels => {
                let ids = match cell {
                    Value::List(items) => items
                        .iter()
                        .map(|item| self.class(record, column, item))
                        .collect::<Result<Vec<_>, _>>()?,
                    cell => vec![self.class(record, column, cell)?],
                };
                into.push_ints(&ids);
            }
            ValueKind::Number => {
                into.push_number(cell.to_float().ok_or_else(|| wrong("a number"))?);
            }
            ValueKind::Numbers if references && matches!(cell, Value::Null) => {
                into.push_numbers(&[]);
            }
            ValueKind::Numbers => {
                into.push_numbers(&numbers(cell).ok_or_else(|| wrong("a list of numbers"))?);
            }
            ValueKind::Tokens => {
                into.push_ints(&tokens(cell).ok_or_else(|| wrong("a list of token ids"))?);
            }
            _ if !references && matches!(cell, Value::List(_)) => return Err(wrong("text")),
            _ => match cell {
                // Several that would all be right.
                Value::List(items) => {
                    let all: Option<Vec<Cow<'_, str>>> =
                        items.iter().map(Value::to_label).collect();
                    into.push_texts(all.ok_or_else(|| wrong("text"))?);
                }
                cell => into.push_text(cell.to_label().ok_or_else(|| wrong("text"))?),
            },
        }
        Ok(())
    }

    fn class(&self, record: &Record, column: &str, cell: &Value) -> Result<i64, DataError> {
        let label = cell
            .to_label()
            .ok_or_else(|| wrong(record, column, "a label", cell))?;
        self.classes
            .id(&label)
            .ok_or_else(|| wrong(record, column, "one of the labels of --labels", cell))
    }
}

/// References that nobody looks at.
fn blanks(kind: ValueKind, count: usize) -> Values {
    let mut blanks = Values::new(kind);
    for _ in 0..count {
        match kind {
            ValueKind::Text => blanks.push_text(""),
            ValueKind::Numbers => blanks.push_numbers(&[]),
            ValueKind::Label => blanks.push_label(0),
            ValueKind::Number => blanks.push_number(0.0),
            _ => blanks.push_ints(&[]),
        }
    }
    blanks
}

/// Lines that are no rows would pair those after them wrongly.
fn unbroken(file: &File, row: usize, number: u64) -> Result<(), ScoreError> {
    let line = row as u64 + 1;
    if number == line || !file.is_plain_text() {
        return Ok(());
    }
    let file = file.name().to_owned();
    Err(ScoreError::EmptyLine { file, line })
}

/// The first of the most probable classes; of one probability, that of class 1, the likelier.
fn most_probable(scores: &[f64]) -> i64 {
    if let [only] = scores {
        return i64::from(*only >= 0.5);
    }
    let mut best = 0;
    for (id, score) in scores.iter().enumerate() {
        if *score > scores[best] {
            best = id;
        }
    }
    best as i64
}

fn tokens(cell: &Value) -> Option<Vec<i64>> {
    match cell {
        Value::List(items) => items.iter().map(Value::to_int).collect(),
        Value::Text(text) => text
            .split_whitespace()
            .map(|word| word.parse().ok())
            .collect(),
        _ => None,
    }
}

fn numbers(cell: &Value) -> Option<Vec<f64>> {
    match cell {
        Value::List(items) => items.iter().map(Value::to_float).collect(),
        Value::Text(text) => text
            .split_whitespace()
            .map(|word| word.parse().ok())
            .collect(),
        cell => Some(vec![cell.to_float()?]),
    }
}

fn wrong(record: &Record, column: &str, expected: &'static str, found: &Value) -> DataError {
    DataError::Row {
        at: record.at().clone(),
        problem: RowProblem::Type {
            column: column.to_owned(),
            expected,
            found: found.describe(),
        },
    }
}
