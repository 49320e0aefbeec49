//! Classes: their names and ids, and the form of their probabilities.
//!
//! Where the labels of both files are whole numbers from 0, they are the ids, as in
//! scikit-learn. Otherwise the labels that occur, sorted, are numbered: so are those of a run.

use std::collections::{BTreeSet, HashMap};

use super::choose::Reading;
use super::error::ScoreError;
use super::file::File;
use crate::data::{DataError, MAX_LABELS, Record, RowProblem, Value, View};

/// Names and ids of classes.
#[derive(Clone, Debug, Default)]
pub(super) struct Classes {
    /// By id; empty where labels are ids.
    pub names: Vec<String>,
    ids: HashMap<String, i64>,
    /// Whether rows hold sets of classes.
    pub sets: bool,
    /// Scores in a row of predictions; 0: they are not used.
    pub width: usize,
}

impl Classes {
    /// The id of a label.
    pub fn id(&self, label: &str) -> Option<i64> {
        match self.names.is_empty() {
            true => whole(label),
            false => self.ids.get(label).copied(),
        }
    }

    /// Looks through both files. What there is to know goes to `notes`.
    pub fn find(
        reading: &Reading,
        referred: Option<&View>,
        (predictions, predicted): (&File, &View),
        given: Option<&[String]>,
        notes: &mut Vec<String>,
    ) -> Result<Self, ScoreError> {
        let reference = reading.reference.as_deref();
        let mut seen = match referred {
            Some(referred) => look(referred, reference, None)?,
            None => Seen::default(),
        };
        let prediction = reading.prediction.as_deref();
        let probability = reading.probability.as_deref();
        seen.merge(look(predicted, prediction, probability)?)?;
        if let Some(Form::Names { all, .. }) = &seen.form {
            seen.labels.extend(all.iter().cloned());
        }
        let mut classes = Self {
            names: match given {
                Some(names) => names.to_vec(),
                None => names(&seen),
            },
            sets: seen.sets,
            ..Self::default()
        };
        let numbered = classes.names.iter().cloned().zip(0_i64..);
        classes.ids = numbered.collect();
        classes.width = classes.width(&seen, predictions, notes)?;
        if prediction.is_none() && classes.width == 0 {
            let problem = format!(
                "{}\n  help: name a column of predictions with --prediction-column",
                notes.pop().unwrap_or_else(|| "no probabilities".to_owned())
            );
            return Err(ScoreError::Probabilities {
                file: predictions.name().to_owned(),
                problem,
            });
        }
        Ok(classes)
    }

    /// How many scores a row has that can be used.
    fn width(
        &self,
        seen: &Seen,
        predictions: &File,
        notes: &mut Vec<String>,
    ) -> Result<usize, ScoreError> {
        let fault = |problem: String| ScoreError::Probabilities {
            file: predictions.name().to_owned(),
            problem,
        };
        match &seen.form {
            None => Ok(0),
            Some(Form::Single) if self.sets => Err(fault(
                "one probability a row, but sets of classes need one for each class".to_owned(),
            )),
            Some(Form::Single) => Ok(1),
            Some(Form::List(len)) if !self.names.is_empty() && self.names.len() != *len => {
                Err(fault(format!(
                    "{len} probabilities a row for {} classes ({})\n  help: name all classes in the order of their probabilities with --labels",
                    self.names.len(),
                    self.names.join(", "),
                )))
            }
            Some(Form::List(len)) => Ok(*len),
            Some(Form::Names { all, fewest }) => {
                let missing = self.names.iter().find(|name| !all.contains(*name));
                if missing.is_none() && *fewest == all.len() {
                    return Ok(self.names.len());
                }
                let why = match missing {
                    Some(name) => format!("none has a probability of `{name}`"),
                    None => "some rows lack some of them, as with `tenon predict --top-k`".into(),
                };
                notes.push(format!("the probabilities are not used: {why}"));
                Ok(0)
            }
        }
    }
}

fn whole(label: &str) -> Option<i64> {
    label.parse().ok().filter(|id| *id >= 0)
}

/// Names by id of the labels that were seen; none where the labels are ids.
fn names(seen: &Seen) -> Vec<String> {
    let ids = seen.labels.iter().all(|label| whole(label).is_some());
    let by_name = matches!(seen.form, Some(Form::Names { .. }));
    if ids && !by_name {
        return Vec::new();
    }
    let mut names: Vec<String> = seen.labels.iter().cloned().collect();
    let number = |name: &String| name.trim().parse::<i64>();
    if names.iter().all(|name| number(name).is_ok()) {
        names.sort_by_key(|name| number(name).unwrap_or_default());
    }
    names
}

/// How rows give the probabilities of classes.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Form {
    /// By name: all names, and how many the row with the fewest has.
    Names {
        all: BTreeSet<String>,
        fewest: usize,
    },
    /// One for each class, by id.
    List(usize),
    /// That of class 1 alone.
    Single,
}

/// What was seen in a file.
#[derive(Default)]
struct Seen {
    labels: BTreeSet<String>,
    sets: bool,
    form: Option<Form>,
    /// The first row whose probabilities have no form.
    fault: Option<DataError>,
}

impl Seen {
    fn merge(&mut self, other: Self) -> Result<(), DataError> {
        if let Some(fault) = other.fault {
            return Err(fault);
        }
        self.labels.extend(other.labels);
        self.sets |= other.sets;
        self.form = match (self.form.take(), other.form) {
            (
                Some(Form::Names { mut all, fewest }),
                Some(Form::Names {
                    all: more,
                    fewest: other,
                }),
            ) => {
                all.extend(more);
                let fewest = fewest.min(other);
                Some(Form::Names { all, fewest })
            }
            (None, form) | (form, _) => form,
        };
        Ok(())
    }

    fn add(&mut self, record: &Record, label: Option<&str>, probability: Option<&str>) {
        match label.and_then(|label| record.get(label)) {
            Some(Value::List(items)) => {
                self.sets = true;
                let labels = items.iter().filter_map(Value::to_label);
                self.labels.extend(labels.map(|label| label.into_owned()));
            }
            Some(cell) => {
                if let Some(label) = cell.to_label()
                    && !self.labels.contains(label.as_ref())
                {
                    self.labels.insert(label.into_owned());
                }
            }
            None => {}
        }
        let Some(column) = probability else { return };
        match form(record.get(column).unwrap_or(&Value::Null)) {
            Some(form) => {
                let other = Self {
                    form: Some(form),
                    ..Self::default()
                };
                // It holds no fault.
                let _ = self.merge(other);
            }
            None => {
                let found = record.get(column).unwrap_or(&Value::Null);
                self.fault.get_or_insert_with(|| DataError::Row {
                    at: record.at().clone(),
                    problem: RowProblem::Type {
                        column: column.to_owned(),
                        expected: "probabilities by class, a list of them, or one",
                        found: found.describe(),
                    },
                });
            }
        }
    }
}

fn form(cell: &Value) -> Option<Form> {
    match cell {
        Value::Map(entries) => Some(Form::Names {
            all: entries.iter().map(|(name, _)| name.clone()).collect(),
            fewest: entries.len(),
        }),
        Value::List(items) => Some(Form::List(items.len())),
        cell => cell.to_float().map(|_| Form::Single),
    }
}

fn look(view: &View, label: Option<&str>, probability: Option<&str>) -> Result<Seen, DataError> {
    let mut all = Seen::default();
    view.scan(
        |_, records| {
            let mut seen = Seen::default();
            for record in records {
                seen.add(record, label, probability);
            }
            seen
        },
        |seen| {
            all.merge(seen)?;
            match all.labels.len() > MAX_LABELS {
                true => Err(DataError::TooManyLabels {
                    column: label.unwrap_or_default().to_owned(),
                    limit: MAX_LABELS,
                    example: all.labels.first().cloned().unwrap_or_default(),
                }),
                false => Ok(()),
            }
        },
    )?;
    Ok(all)
}
