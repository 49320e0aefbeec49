//! What precision, recall and F1 share: counts a class, and averages over classes.
//!
//! With `tp`, `predicted` and `referred` counted for each class, a metric is a ratio of two
//! numbers made of them. The averages are scikit-learn's
//! (`precision_recall_fscore_support`):
//!
//! - `binary`: the ratio of the positive class;
//! - `micro`: the ratio of the counts summed over classes;
//! - `macro`: the mean of the classes' ratios; `weighted`: weighted by `referred`;
//! - `samples`: the mean of the examples' ratios (sets of classes only);
//! - `none`: each class's ratio.
//!
//! The classes are those that occur among predictions or references; with sets of classes
//! (multi-label), all that there are.

use std::collections::BTreeMap;

use tenon_plugin_api::metric::prelude::*;
use tenon_plugin_api::options::Class;

use crate::classes::{ClassNames, set};

/// Options of `precision`, `recall` and `f1`.
#[derive(Options, Debug)]
pub struct AveragingOptions {
    /// How the scores of the classes become one.
    #[default(Average::Binary)]
    pub average: Average,
    /// With `average = "binary"`: the class that counts as positive, by id or by name; 1 when
    /// absent.
    #[example("spam")]
    pub pos_label: Option<Class>,
    /// The score where it would be 0/0, such as the precision of a class that was never
    /// predicted.
    #[default(ZeroDivision::Zero)]
    pub zero_division: ZeroDivision,
}

/// How the scores of classes become one.
#[derive(Options, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Average {
    /// The score of the positive class; two classes only.
    Binary,
    /// Over the counts of all classes together.
    Micro,
    /// The mean over classes.
    Macro,
    /// The mean over classes, weighted by how often each is the reference.
    Weighted,
    /// The mean over examples; sets of classes (multi-label) only.
    Samples,
    /// One score a class.
    None,
}

/// The score where it would be 0/0.
#[derive(Options, Clone, Copy, Debug, PartialEq, Eq)]
pub enum ZeroDivision {
    /// The worst score, 0.
    Zero,
    /// The best score, 1.
    One,
    /// Not a number; left out of averages.
    Nan,
}

/// Counts of one class, or of one example.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Count {
    /// True positives: predicted and referred to.
    pub hits: u64,
    /// True and false positives.
    pub predicted: u64,
    /// True positives and false negatives.
    pub referred: u64,
}

/// Counts of all classes, and what to make of them.
#[derive(Debug)]
pub struct Averaged {
    options: AveragingOptions,
    names: ClassNames,
    pos_label: i64,
    classes: BTreeMap<i64, Count>,
    /// How many examples had these counts, for `samples`: exact in any order of merging.
    examples: BTreeMap<Count, u64>,
    seen: u64,
}

impl Averaged {
    pub fn new(options: AveragingOptions) -> Self {
        let pos_label = match options.pos_label {
            Some(Class::Id(id)) => id,
            _ => 1,
        };
        let (classes, examples) = Default::default();
        Self {
            options,
            names: ClassNames::default(),
            pos_label,
            classes,
            examples,
            seen: 0,
        }
    }

    pub fn begin(&mut self, output: &OutputInfo) -> Result<()> {
        self.names = ClassNames::new(output);
        if let Some(class) = &self.options.pos_label {
            self.pos_label = self.names.id("pos_label", class)?;
        }
        if self.options.average == Average::Binary && self.names.len() > 2 {
            return Err(not_binary(&format!("the data has {}", self.names.len())));
        }
        Ok(())
    }

    pub fn update(&mut self, batch: Pairs<'_, Classes>) -> Result<()> {
        let multi_label = batch.multi_label();
        self.check_average(multi_label)?;
        if multi_label {
            // Every class counts in an average, seen or not.
            for id in 0..self.names.len().max(batch.classes()) {
                self.classes.entry(id as i64).or_default();
            }
        }
        for (prediction, reference) in batch {
            self.names
                .check(multi_label, prediction.ids, reference.ids)?;
            self.count(&set(prediction.ids), &set(reference.ids));
        }
        if self.options.average == Average::Binary && !self.is_binary() {
            let found: Vec<_> = self.classes.keys().map(|id| self.names.name(*id)).collect();
            return Err(not_binary(&format!("found {}", found.join(", "))));
        }
        Ok(())
    }

    pub fn merge(&mut self, other: Self) {
        for (id, count) in other.classes {
            self.classes.entry(id).or_default().add(count);
        }
        for (count, times) in other.examples {
            *self.examples.entry(count).or_default() += times;
        }
        self.seen += other.seen;
    }

    /// The scores of a metric that is the ratio of the two numbers `ratio` gives.
    pub fn scores(&self, metric: &str, ratio: fn(Count) -> (u64, u64)) -> Scores {
        let score = |count: Count| self.divide(ratio(count));
        let classes = || self.classes.values().copied();
        let (name, value) = match self.options.average {
            Average::None => {
                return self
                    .classes
                    .iter()
                    .fold(Scores::new(), |scores, (id, count)| {
                        scored(
                            scores,
                            format!("{metric}_{}", self.names.name(*id)),
                            score(*count),
                        )
                    });
            }
            _ if self.seen == 0 => ("", f64::NAN),
            Average::Binary if !self.is_binary() => ("", f64::NAN),
            Average::Binary => {
                let count = self
                    .classes
                    .get(&self.pos_label)
                    .copied()
                    .unwrap_or_default();
                ("", score(count))
            }
            Average::Micro => {
                let mut all = Count::default();
                classes().for_each(|count| all.add(count));
                ("_micro", score(all))
            }
            Average::Macro => ("_macro", mean(classes().map(|count| (score(count), 1)))),
            Average::Weighted => (
                "_weighted",
                mean(classes().map(|count| (score(count), count.referred))),
            ),
            Average::Samples => {
                let examples = self.examples.iter();
                (
                    "_samples",
                    mean(examples.map(|(count, times)| (score(*count), *times))),
                )
            }
        };
        scored(Scores::new(), format!("{metric}{name}"), value)
    }

    fn check_average(&self, multi_label: bool) -> Result<()> {
        match self.options.average {
            Average::Binary if multi_label => Err(not_binary("the data has sets of classes")),
            Average::Samples if !multi_label => Err(Error::options(
                "`average = \"samples\"` needs sets of classes; the data has one class an example",
            )
            .with_help("set `average` to macro, micro, weighted or none")),
            _ => Ok(()),
        }
    }

    fn count(&mut self, prediction: &[i64], reference: &[i64]) {
        let mut example = Count::default();
        for id in prediction {
            let hit = u64::from(reference.contains(id));
            let count = Count {
                hits: hit,
                predicted: 1,
                referred: 0,
            };
            self.classes.entry(*id).or_default().add(count);
            example.add(count);
        }
        for id in reference {
            let count = Count {
                referred: 1,
                ..Count::default()
            };
            self.classes.entry(*id).or_default().add(count);
            example.add(count);
        }
        if self.options.average == Average::Samples {
            *self.examples.entry(example).or_default() += 1;
        }
        self.seen += 1;
    }

    /// At most two classes, the positive among them if there are two.
    fn is_binary(&self) -> bool {
        let named = self.names.len() == 2;
        match self.classes.len() {
            0 | 1 => true,
            2 => named || self.classes.contains_key(&self.pos_label),
            _ => false,
        }
    }

    fn divide(&self, (numerator, denominator): (u64, u64)) -> f64 {
        if denominator > 0 {
            return numerator as f64 / denominator as f64;
        }
        match self.options.zero_division {
            ZeroDivision::Zero => 0.0,
            ZeroDivision::One => 1.0,
            ZeroDivision::Nan => f64::NAN,
        }
    }
}

impl Count {
    fn add(&mut self, other: Self) {
        self.hits += other.hits;
        self.predicted += other.predicted;
        self.referred += other.referred;
    }
}

/// The weighted mean of what is a number; the plain mean if all weights are zero. NaN of nothing.
fn mean(scores: impl Iterator<Item = (f64, u64)> + Clone) -> f64 {
    let numbers = scores.filter(|(score, _)| !score.is_nan());
    let total: u64 = numbers.clone().map(|(_, weight)| weight).sum();
    if total == 0 {
        let count = numbers.clone().count();
        return numbers.map(|(score, _)| score).sum::<f64>() / count as f64;
    }
    numbers
        .map(|(score, weight)| score * weight as f64)
        .sum::<f64>()
        / total as f64
}

fn scored(scores: Scores, name: String, value: f64) -> Scores {
    scores.and(name, value).higher_is_better().unit("fraction")
}

fn not_binary(found: &str) -> Error {
    let message =
        format!("`average = \"binary\"` needs two classes, one of them `pos_label`; {found}");
    Error::options(message).with_help("set `average` to macro, micro, weighted or none")
}
