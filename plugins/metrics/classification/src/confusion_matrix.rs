//! Confusion matrix: how often each class is taken for each.
//!
//! The score is the number of examples; the matrix is its detail:
//! `{"labels": ["ham", "spam"], "matrix": [[48, 2], [1, 9]]}`, rows by reference, columns by
//! prediction. It covers all classes that the task named, else those that occur.
//!
//! With sets of classes (multi-label) there is a matrix a class,
//! `[[true negatives, false positives], [false negatives, true positives]]`, as of
//! scikit-learn's `multilabel_confusion_matrix`.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use tenon_plugin_api::metric::prelude::*;

use crate::classes::{ClassNames, set};

/// Options of `confusion-matrix`.
#[derive(Options, Debug)]
pub struct ConfusionMatrixOptions {
    /// What the entries are divided by.
    #[default(Normalize::None)]
    pub normalize: Normalize,
}

/// What the entries of a confusion matrix are divided by.
#[derive(Options, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Normalize {
    /// Nothing: they are counts.
    None,
    /// The references of their class, so that rows sum to 1.
    True,
    /// The predictions of their class, so that columns sum to 1.
    Pred,
    /// The examples, so that the matrix sums to 1.
    All,
}

/// How often each class is taken for each.
#[derive(Debug)]
pub struct ConfusionMatrix {
    normalize: Normalize,
    names: ClassNames,
    multi_label: bool,
    /// Classes told by scores or names, though perhaps not seen.
    width: usize,
    /// By reference and prediction; of sets, the pairs of a class with itself and, for a miss on
    /// either side, with [`ABSENT`].
    counts: BTreeMap<(i64, i64), u64>,
    seen: u64,
}

/// In place of a class that is missing from a set; no class has this id.
const ABSENT: i64 = i64::MIN;

impl Metric for ConfusionMatrix {
    const ID: &'static str = "confusion-matrix";
    const ABOUT: &'static str = "Counts of each pair of reference and predicted class";
    type Options = ConfusionMatrixOptions;
    type Input = Classes;

    fn new(options: ConfusionMatrixOptions) -> Result<Self> {
        Ok(Self {
            normalize: options.normalize,
            names: ClassNames::default(),
            multi_label: false,
            width: 0,
            counts: BTreeMap::new(),
            seen: 0,
        })
    }

    fn begin(&mut self, output: &OutputInfo) -> Result<()> {
        self.names = ClassNames::new(output);
        self.width = self.names.len();
        Ok(())
    }

    fn update(&mut self, batch: Pairs<'_, Classes>) -> Result<()> {
        self.multi_label = batch.multi_label();
        if self.multi_label && self.normalize != Normalize::None {
            return Err(
                Error::options("`normalize` is not defined for sets of classes")
                    .with_help("leave `normalize` at none"),
            );
        }
        self.width = self.width.max(batch.classes());
        for (prediction, reference) in batch {
            self.names
                .check(self.multi_label, prediction.ids, reference.ids)?;
            if self.multi_label {
                self.count_sets(&set(prediction.ids), &set(reference.ids));
            } else {
                *self
                    .counts
                    .entry((reference.id(), prediction.id()))
                    .or_default() += 1;
            }
            self.seen += 1;
        }
        Ok(())
    }

    fn merge(&mut self, other: Self) {
        for (pair, count) in other.counts {
            *self.counts.entry(pair).or_default() += count;
        }
        self.multi_label |= other.multi_label;
        self.width = self.width.max(other.width);
        self.seen += other.seen;
    }

    fn compute(&self) -> Scores {
        let ids = self.ids();
        let labels: Vec<_> = ids.iter().map(|id| self.names.name(*id)).collect();
        let matrix = if self.multi_label {
            self.of_each(&ids)
        } else {
            self.of_all(&ids)
        };
        Scores::one("confusion_matrix", self.seen as f64)
            .unit("examples")
            .detail(json!({ "labels": labels, "matrix": matrix }))
    }
}

impl ConfusionMatrix {
    fn count_sets(&mut self, prediction: &[i64], reference: &[i64]) {
        for id in prediction {
            let pair = (if reference.contains(id) { *id } else { ABSENT }, *id);
            *self.counts.entry(pair).or_default() += 1;
        }
        for id in reference.iter().filter(|id| !prediction.contains(id)) {
            *self.counts.entry((*id, ABSENT)).or_default() += 1;
        }
    }

    fn ids(&self) -> Vec<i64> {
        let seen = self
            .counts
            .keys()
            .flat_map(|(reference, prediction)| [*reference, *prediction]);
        let mut ids: BTreeSet<i64> = seen.filter(|id| *id != ABSENT).collect();
        if self.multi_label {
            let seen = ids.last().map_or(0, |last| last + 1);
            ids.extend(0..seen);
        }
        if self.multi_label || self.names.len() > 0 {
            ids.extend(0..self.width as i64);
        }
        ids.into_iter().collect()
    }

    fn at(&self, reference: i64, prediction: i64) -> u64 {
        self.counts
            .get(&(reference, prediction))
            .copied()
            .unwrap_or(0)
    }

    /// `[reference, prediction]`.
    fn of_all(&self, ids: &[i64]) -> Value {
        let row = |r: i64| ids.iter().map(|p| self.at(r, *p)).sum::<u64>();
        let column = |p: i64| ids.iter().map(|r| self.at(*r, p)).sum::<u64>();
        let entry = |r: i64, p: i64| {
            let total = match self.normalize {
                Normalize::None => return json!(self.at(r, p)),
                Normalize::True => row(r),
                Normalize::Pred => column(p),
                Normalize::All => self.seen,
            };
            // A class that never occurs has a row or column of zeros.
            json!(self.at(r, p) as f64 / total.max(1) as f64)
        };
        ids.iter()
            .map(|r| ids.iter().map(|p| entry(*r, *p)).collect::<Value>())
            .collect()
    }

    /// `[class, referred to, predicted]`.
    fn of_each(&self, ids: &[i64]) -> Value {
        let matrix = |id: &i64| {
            let hits = self.at(*id, *id);
            let (extra, missed) = (self.at(ABSENT, *id), self.at(*id, ABSENT));
            json!([[self.seen - hits - extra - missed, extra], [missed, hits]])
        };
        ids.iter().map(matrix).collect()
    }
}
