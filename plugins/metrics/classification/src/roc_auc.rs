//! Area under the ROC curve: how well scores rank a class above the rest.
//!
//! For a class with P positive and N negative examples it is the probability that a positive
//! scores above a negative, ties counting half (Mann–Whitney):
//!
//! `AUC = Σ₍p,n₎ ([sₚ > sₙ] + ½[sₚ = sₙ]) / (P·N)`
//!
//! With two classes the scores of class 1 are taken. With more, `ovr` takes each class against
//! the rest, `ovo` each against each other (Hand & Till 2001), and `average` says how these
//! become one. Sets of classes (multi-label) are taken class by class. NaN where an area that
//! the average needs is undefined, because all examples are positive or all negative.
//!
//! Scores need not be probabilities, but `micro`, `ovo` and `samples` compare them across
//! classes or examples. All scores are kept, 8 bytes each.

use tenon_plugin_api::metric::prelude::*;

use crate::classes::ClassNames;

/// Options of `roc-auc`.
#[derive(Options, Debug)]
pub struct RocAucOptions {
    /// How the areas of more than two classes become one; of two classes there is one area.
    #[default(AucAverage::Macro)]
    pub average: AucAverage,
    /// What more than two classes are compared with.
    #[default(MultiClass::Ovr)]
    pub multi_class: MultiClass,
}

/// How the areas of several classes become one.
#[derive(Options, Clone, Copy, Debug, PartialEq, Eq)]
pub enum AucAverage {
    /// The mean over classes.
    Macro,
    /// All classes' examples ranked together.
    Micro,
    /// The mean over classes, weighted by how often each is the reference.
    Weighted,
    /// The mean over examples, each ranking its classes; sets of classes (multi-label) only.
    Samples,
    /// One area a class.
    None,
}

/// What more than two classes are compared with.
#[derive(Options, Clone, Copy, Debug, PartialEq, Eq)]
pub enum MultiClass {
    /// Each class with all others.
    Ovr,
    /// Each class with each other.
    Ovo,
}

/// Area under the curve of true against false positive rates.
#[derive(Debug)]
pub struct RocAuc {
    options: RocAucOptions,
    names: ClassNames,
    multi_label: bool,
    /// Classes that are scored; 1 for two classes, of which only the second counts.
    columns: usize,
    /// `[examples, columns]`
    scores: Vec<f64>,
    /// `[examples, columns]`: whether the class is the reference, or among its set.
    positive: Vec<bool>,
}

impl Metric for RocAuc {
    const ID: &'static str = "roc-auc";
    const ABOUT: &'static str =
        "Area under the ROC curve: how well scores rank a class above the rest";
    type Options = RocAucOptions;
    type Input = Classes;

    fn new(options: RocAucOptions) -> Result<Self> {
        let one_number = matches!(options.average, AucAverage::Macro | AucAverage::Weighted);
        if options.multi_class == MultiClass::Ovo && !one_number {
            return Err(
                Error::options("`multi_class = \"ovo\"` has no such average")
                    .with_help("set `average` to macro or weighted, or `multi_class` to ovr"),
            );
        }
        Ok(Self {
            options,
            names: ClassNames::default(),
            multi_label: false,
            columns: 0,
            scores: Vec::new(),
            positive: Vec::new(),
        })
    }

    fn begin(&mut self, output: &OutputInfo) -> Result<()> {
        self.names = ClassNames::new(output);
        Ok(())
    }

    fn update(&mut self, batch: Pairs<'_, Classes>) -> Result<()> {
        if batch.is_empty() {
            return Ok(());
        }
        let (multi_label, width) = (batch.multi_label(), batch.classes());
        self.choose_columns(multi_label, width)?;
        // A single score is that of class 1, so there are two classes.
        let classes = if multi_label { width } else { width.max(2) };
        for (prediction, reference) in batch {
            for id in reference.ids {
                let scored = (0..classes as i64).contains(id);
                ensure!(
                    scored,
                    Data,
                    "reference class {id}, but the scored classes are 0 to {}",
                    classes - 1
                );
            }
            let nan = prediction.scores.iter().any(|score| score.is_nan());
            ensure!(
                !nan,
                Data,
                "a score is NaN; scores must be numbers to be ranked"
            );
            let counted = classes - self.columns..classes;
            self.positive
                .extend(counted.map(|class| reference.ids.contains(&(class as i64))));
            self.scores
                .extend(&prediction.scores[width - self.columns..]);
        }
        Ok(())
    }

    fn merge(&mut self, other: Self) {
        if self.columns == 0 {
            (self.columns, self.multi_label) = (other.columns, other.multi_label);
        }
        self.scores.extend(other.scores);
        self.positive.extend(other.positive);
    }

    fn compute(&self) -> Scores {
        if self.columns <= 1 && !self.multi_label {
            return scored(Scores::new(), "roc_auc".into(), area(self.of_class(0)));
        }
        let areas = || (0..self.columns).map(|class| area(self.of_class(class)));
        let (name, value) = match self.options.average {
            AucAverage::None => return self.by_class(areas()),
            AucAverage::Macro if self.one_versus_one() => ("ovo_macro", self.mean_of_pairs(|_| 1)),
            AucAverage::Macro => ("macro", mean(areas().map(|area| (area, 1)))),
            AucAverage::Weighted if self.one_versus_one() => {
                ("ovo_weighted", self.mean_of_pairs(|examples| examples))
            }
            // Without any reference all weights are zero, and scikit-learn says 0.
            AucAverage::Weighted if !self.positive.contains(&true) => ("weighted", 0.0),
            AucAverage::Weighted => {
                let weights = (0..self.columns).map(|class| positives(self.of_class(class)));
                ("weighted", mean(areas().zip(weights)))
            }
            AucAverage::Micro => ("micro", area(self.all())),
            AucAverage::Samples => ("samples", mean(self.rows().map(|row| (area(row), 1)))),
        };
        scored(Scores::new(), format!("roc_auc_{name}"), value)
    }
}

impl RocAuc {
    fn choose_columns(&mut self, multi_label: bool, width: usize) -> Result<()> {
        if width == 0 {
            return Err(Error::data(
                "roc-auc ranks scores, but the predictions have class ids only",
            )
            .with_help("give the predictions a score for every class"));
        }
        let columns = if multi_label || width > 2 { width } else { 1 };
        let same = self.columns == 0 || (self.columns, self.multi_label) == (columns, multi_label);
        ensure!(
            same,
            Data,
            "{width} classes are scored, in earlier batches it was another number"
        );
        if self.options.average == AucAverage::Samples && !multi_label && columns > 1 {
            return Err(Error::options(
                "`average = \"samples\"` needs sets of classes; the data has one class an example",
            )
            .with_help("set `average` to macro, micro, weighted or none"));
        }
        (self.columns, self.multi_label) = (columns, multi_label);
        Ok(())
    }

    fn by_class(&self, areas: impl Iterator<Item = f64>) -> Scores {
        areas
            .enumerate()
            .fold(Scores::new(), |scores, (class, area)| {
                let name = format!("roc_auc_{}", self.names.name(class as i64));
                scored(scores, name, area)
            })
    }

    fn one_versus_one(&self) -> bool {
        self.options.multi_class == MultiClass::Ovo && !self.multi_label
    }

    /// The mean over pairs of classes that occur; `weight` of the number of examples of both.
    fn mean_of_pairs(&self, weight: fn(u64) -> u64) -> f64 {
        let occurs = |class: &usize| positives(self.of_class(*class)) > 0;
        let classes: Vec<usize> = (0..self.columns).filter(occurs).collect();
        let mut pairs = Vec::new();
        for (index, &a) in classes.iter().enumerate() {
            for &b in &classes[index + 1..] {
                let both = (area(self.of_pair(a, b)) + area(self.of_pair(b, a))) / 2.0;
                pairs.push((both, weight(self.of_pair(a, b).count() as u64)));
            }
        }
        mean(pairs.into_iter())
    }

    /// Scores of all classes, each with whether it is the reference.
    fn all(&self) -> impl Iterator<Item = (f64, bool)> + '_ {
        self.scores
            .iter()
            .copied()
            .zip(self.positive.iter().copied())
    }

    /// The same of one class.
    fn of_class(&self, class: usize) -> impl Iterator<Item = (f64, bool)> + '_ {
        self.all().skip(class).step_by(self.columns.max(1))
    }

    /// The same of one class, of the examples of either.
    fn of_pair(&self, class: usize, other: usize) -> impl Iterator<Item = (f64, bool)> + '_ {
        let pair = self.of_class(class).zip(self.of_class(other));
        pair.filter(|((_, first), (_, second))| *first || *second)
            .map(|(first, _)| first)
    }

    /// The same of each example.
    fn rows(&self) -> impl Iterator<Item = impl Iterator<Item = (f64, bool)> + '_> + '_ {
        let width = self.columns.max(1);
        let rows = self.scores.chunks(width).zip(self.positive.chunks(width));
        rows.map(|(scores, positive)| scores.iter().copied().zip(positive.iter().copied()))
    }
}

/// The area under the ROC curve of scores with whether they should be high.
fn area(ranking: impl Iterator<Item = (f64, bool)>) -> f64 {
    let mut ranking: Vec<_> = ranking.collect();
    ranking.sort_unstable_by(|(a, _), (b, _)| a.total_cmp(b));
    let (mut below, mut positives, mut twice) = (0_u64, 0_u64, 0_u128);
    for tied in ranking.chunk_by(|(a, _), (b, _)| a == b) {
        let high = tied.iter().filter(|(_, positive)| *positive).count() as u64;
        let low = tied.len() as u64 - high;
        twice += u128::from(high) * u128::from(2 * below + low);
        below += low;
        positives += high;
    }
    // 0/0, so NaN, where one kind is missing.
    twice as f64 / (2.0 * positives as f64 * below as f64)
}

fn positives(ranking: impl Iterator<Item = (f64, bool)>) -> u64 {
    ranking.filter(|(_, positive)| *positive).count() as u64
}

/// The weighted mean; a NaN counts unless it has no weight. NaN of nothing.
fn mean(areas: impl Iterator<Item = (f64, u64)>) -> f64 {
    let weighted = areas.filter(|(_, weight)| *weight > 0);
    let (sum, total) = weighted.fold((0.0, 0), |(sum, total), (area, weight)| {
        (sum + area * weight as f64, total + weight)
    });
    sum / total as f64
}

fn scored(scores: Scores, name: String, value: f64) -> Scores {
    scores.and(name, value).higher_is_better().unit("area")
}
