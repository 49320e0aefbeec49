//! Solved examples for few-shot prompts, drawn from the training data.
//!
//! Rows are tried in the order of `hash(derive_seed(seed, 0, 0, "demonstrations"), row)`, so the same seed draws the
//! same rows of the same data, and more shots only add to fewer.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use tenon_core::config::RunSettings;
use tenon_core::data::{Record, Value, rng};
use tenon_core::request::Split;
use tenon_plugin_api::info::{ColumnInfo, ColumnKind};
use tenon_plugin_api::prompt::Demonstration;

use crate::data::{Discovered, Splits, file_column};

/// Rows that are read at a time.
const CHUNK: usize = 64;

/// Draws as many as `[prompt]` asks for.
///
/// # Errors
/// There is no training data, or not enough of it that is labelled.
pub fn draw(
    settings: &RunSettings,
    splits: &Splits,
    columns: &[ColumnInfo],
    found: &Discovered,
) -> Result<Vec<Demonstration>> {
    let Some(prompt) = settings.prompt.as_ref().filter(|prompt| prompt.shots > 0) else {
        return Ok(Vec::new());
    };
    let shots = prompt.shots as usize;
    let view = splits.get(Split::Train).context(
        "prompt.shots: demonstrations are drawn from the training data, and the run file names no data.train",
    )?;
    let label = columns
        .iter()
        .find(|column| kind(column, found) == ColumnKind::Label);
    let labels = label.and_then(|label| found.labels.get(&label.name));
    let mut places = Places::new(shots, labels.filter(|_| prompt.balanced));
    let seed = rng::derive_seed(settings.run.seed, 0, 0, "demonstrations");
    let mut rows: Vec<usize> = (0..view.len()).collect();
    rows.sort_by_cached_key(|row| rng::hash(seed, *row as u64));
    let mut drawn = Vec::with_capacity(shots);
    for chunk in rows.chunks(CHUNK) {
        for record in view.get_many(chunk)? {
            let Some(solved) = solved(&record, columns, settings) else {
                continue;
            };
            let label = label.and_then(|label| solved.get(&label.name)?.first());
            if places.take(label) {
                drawn.push(solved);
            }
        }
        if drawn.len() == shots {
            return Ok(drawn);
        }
    }
    ensure!(
        drawn.len() == shots,
        "prompt.shots: the training data has only {} examples to draw {shots} from{}",
        drawn.len(),
        if labels.is_some() && prompt.balanced {
            ", with as many of each label; set prompt.balanced = false to take any"
        } else {
            ""
        }
    );
    Ok(drawn)
}

fn kind(column: &ColumnInfo, found: &Discovered) -> ColumnKind {
    let known = found.kinds.get(&column.name);
    known.copied().unwrap_or(column.kind)
}

/// What a record holds in the task's columns; `None` when one is empty, or what is to be answered is blank.
fn solved(
    record: &Record,
    columns: &[ColumnInfo],
    settings: &RunSettings,
) -> Option<Demonstration> {
    let cell = |column: &ColumnInfo| {
        let cell = record.get(file_column(&settings.data, &column.name))?;
        let texts = texts(cell, column.kind)?;
        let says = |text: &String| !text.trim().is_empty();
        let answered = column.for_prediction || texts.iter().any(says);
        answered.then(|| (column.name.clone(), texts))
    };
    columns.iter().map(cell).collect()
}

/// A cell as text, or as the texts of its list; `None` when there is none.
fn texts(cell: &Value, kind: ColumnKind) -> Option<Vec<String>> {
    match (kind, cell) {
        (_, Value::Null) => None,
        (ColumnKind::Json, Value::Text(text)) => Some(vec![text.to_string()]),
        (ColumnKind::Json, cell) => Some(vec![cell.to_json().to_string()]),
        (_, Value::List(items)) if items.is_empty() => None,
        (_, Value::List(items)) => items.iter().map(text).collect(),
        (_, cell) => text(cell).map(|text| vec![text]),
    }
}

fn text(cell: &Value) -> Option<String> {
    cell.to_label().map(|text| text.into_owned())
}

/// How many more of each label there is room for.
struct Places {
    left: usize,
    of: Option<BTreeMap<String, usize>>,
}

impl Places {
    fn new(shots: usize, labels: Option<&Vec<String>>) -> Self {
        let shares = |labels: &Vec<String>| {
            let count = labels.len().max(1);
            let share = |(at, name): (usize, &String)| {
                (
                    name.clone(),
                    shots / count + usize::from(at < shots % count),
                )
            };
            labels.iter().enumerate().map(share).collect()
        };
        Self {
            left: shots,
            of: labels.filter(|labels| !labels.is_empty()).map(shares),
        }
    }

    fn take(&mut self, label: Option<&String>) -> bool {
        if self.left == 0 {
            return false;
        }
        if let Some(places) = &mut self.of {
            match label.and_then(|label| places.get_mut(label)) {
                Some(places) if *places > 0 => *places -= 1,
                _ => return false,
            }
        }
        self.left -= 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::Places;

    #[test]
    fn each_label_has_its_share_and_the_first_ones_the_rest() {
        let labels = ["bad".to_owned(), "good".to_owned()];
        let drawn = |shots, balanced: bool| {
            let mut places = Places::new(shots, balanced.then_some(&labels.to_vec()));
            let tried = [0, 0, 0, 1, 0, 1, 1].map(|label: usize| places.take(Some(&labels[label])));
            tried.map(usize::from)
        };
        assert_eq!(drawn(4, true), [1, 1, 0, 1, 0, 1, 0]);
        assert_eq!(drawn(3, true), [1, 1, 0, 1, 0, 0, 0]);
        assert_eq!(drawn(4, false), [1, 1, 1, 1, 0, 0, 0]);
        assert_eq!(drawn(0, false), [0; 7]);
    }
}
