//! Labels: the distinct values of a column, numbered.

use std::collections::{HashMap, HashSet};

use super::error::DataError;
use super::value::Value;
use super::view::View;

/// More distinct values than this are no labels.
pub const MAX_LABELS: usize = 10_000;

/// Label names by number and numbers by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Labels {
    names: Vec<String>,
    ids: HashMap<String, usize>,
}

impl Labels {
    /// These labels, in this order.
    ///
    /// # Errors
    /// [`DataError::Labels`] where there are none, or one stands twice; `column` is for the message.
    pub fn new(names: Vec<String>, column: &str) -> Result<Self, DataError> {
        let fault = |problem: String| DataError::Labels {
            column: column.to_owned(),
            problem,
        };
        if names.is_empty() {
            return Err(fault("no labels".to_owned()));
        }
        let mut ids = HashMap::with_capacity(names.len());
        for (id, name) in names.iter().enumerate() {
            if ids.insert(name.clone(), id).is_some() {
                return Err(fault(format!("label `{name}` is given twice")));
            }
        }
        Ok(Self { names, ids })
    }

    /// The distinct values of `column`, in one pass. In a list each item is a label (multi-label
    /// data); null is none. Numbered in ascending order where all are integers, else in the order
    /// of their bytes, never in that of the rows, so that shuffled files give the same numbers.
    ///
    /// # Errors
    /// A bad row, a column without labels, or more than [`MAX_LABELS`] of them.
    pub fn discover(view: &View, column: &str) -> Result<Self, DataError> {
        Self::discover_in(&[view], column, [])
    }

    /// The distinct values of `column` in all `views` and those that are `known`, numbered as by
    /// [`discover`](Self::discover).
    ///
    /// # Errors
    /// As there.
    pub fn discover_in<'a>(
        views: &[&View],
        column: &str,
        known: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, DataError> {
        let mut found: HashSet<String> = known.into_iter().map(str::to_owned).collect();
        for view in views {
            collect(view, column, &mut found)?;
        }
        let mut names: Vec<String> = found.into_iter().collect();
        let integers: Option<Vec<i64>> =
            names.iter().map(|name| name.trim().parse().ok()).collect();
        match integers {
            Some(_) => names.sort_by_cached_key(|name| {
                (name.trim().parse::<i64>().unwrap_or_default(), name.clone())
            }),
            None => names.sort_unstable(),
        }
        Self::new(names, column)
    }

    /// Label names, by number (`id2label`).
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The number of a label (`label2id`).
    pub fn id(&self, name: &str) -> Option<usize> {
        self.ids.get(name).copied()
    }

    /// Number of labels.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Never true: there is always a label.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// The class of each row of `view`, for a stratified split: the number of its label, or one
    /// class more for rows without a known one. The first counts where a row has several.
    ///
    /// # Errors
    /// A bad row.
    pub fn classes(&self, view: &View, column: &str) -> Result<Vec<u32>, DataError> {
        let mut classes = Vec::with_capacity(view.len());
        let class_of = |value: &Value| {
            let mut first = None;
            each_label(value, &mut |label| first = first.or_else(|| self.id(label)));
            first.unwrap_or(self.len()) as u32
        };
        view.scan(
            |_, records| -> Vec<u32> {
                records
                    .iter()
                    .map(|record| class_of(record.get(column).unwrap_or(&Value::Null)))
                    .collect()
            },
            |chunk| {
                classes.extend(chunk);
                Ok(())
            },
        )?;
        Ok(classes)
    }
}

/// Adds the distinct values of a column to `found`.
fn collect(view: &View, column: &str, found: &mut HashSet<String>) -> Result<(), DataError> {
    view.scan(
        |_, records| {
            // Most chunks repeat a few values, so they are made distinct off this thread.
            let mut distinct: HashSet<String> = HashSet::new();
            for record in records {
                each_label(record.get(column).unwrap_or(&Value::Null), &mut |label| {
                    if !distinct.contains(label) {
                        distinct.insert(label.to_owned());
                    }
                });
            }
            distinct
        },
        |distinct| {
            let example = distinct.iter().min().cloned();
            found.extend(distinct);
            match found.len() > MAX_LABELS {
                true => Err(DataError::TooManyLabels {
                    column: column.to_owned(),
                    limit: MAX_LABELS,
                    example: shorten(&example.unwrap_or_default()),
                }),
                false => Ok(()),
            }
        },
    )
}

fn each_label(value: &Value, visit: &mut dyn FnMut(&str)) {
    match value {
        Value::List(items) => items.iter().for_each(|item| each_label(item, visit)),
        _ => {
            if let Some(label) = value.to_label() {
                visit(&label);
            }
        }
    }
}

fn shorten(text: &str) -> String {
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{:?}…", &text[..end]),
        None => format!("{text:?}"),
    }
}
