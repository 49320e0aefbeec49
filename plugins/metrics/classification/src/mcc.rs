//! Matthews correlation coefficient: the correlation of predicted with true classes.
//!
//! Of the confusion counts with `t` and `p` the totals of references and predictions by class,
//! `c` the hits and `n` the examples (Gorodkin 2004, R_K for any number of classes):
//!
//! `(c·n − Σ tₖpₖ) / √((n² − Σ pₖ²)(n² − Σ tₖ²))`
//!
//! 0 when predictions or references have one class only, as scikit-learn says.

use std::collections::BTreeMap;

use tenon_plugin_api::metric::prelude::*;

use crate::classes::ClassNames;

/// Correlation of predicted with true classes.
#[derive(Debug, Default)]
pub struct Mcc {
    names: ClassNames,
    /// References and predictions by class.
    totals: BTreeMap<i64, (u64, u64)>,
    hits: u64,
    seen: u64,
}

impl Metric for Mcc {
    const ID: &'static str = "mcc";
    const ABOUT: &'static str = "Matthews correlation coefficient of predicted with true classes";
    type Options = ();
    type Input = Label;

    fn new((): ()) -> Result<Self> {
        Ok(Self::default())
    }

    fn begin(&mut self, output: &OutputInfo) -> Result<()> {
        self.names = ClassNames::new(output);
        Ok(())
    }

    fn update(&mut self, batch: Pairs<'_, Label>) -> Result<()> {
        for (prediction, reference) in batch {
            let prediction = prediction.id();
            self.names.check(false, &[prediction], &[reference])?;
            self.totals.entry(reference).or_default().0 += 1;
            self.totals.entry(prediction).or_default().1 += 1;
            self.hits += u64::from(prediction == reference);
            self.seen += 1;
        }
        Ok(())
    }

    fn merge(&mut self, other: Self) {
        for (id, (referred, predicted)) in other.totals {
            let total = self.totals.entry(id).or_default();
            total.0 += referred;
            total.1 += predicted;
        }
        self.hits += other.hits;
        self.seen += other.seen;
    }

    fn compute(&self) -> Scores {
        Scores::one("mcc", self.coefficient())
            .higher_is_better()
            .unit("correlation")
    }
}

impl Mcc {
    fn coefficient(&self) -> f64 {
        if self.seen == 0 {
            return f64::NAN;
        }
        // In integers: the differences are small next to their terms.
        let n = i128::from(self.seen);
        let sum = |product: fn(i128, i128) -> i128| {
            let totals = self.totals.values();
            totals
                .map(|(t, p)| product(i128::from(*t), i128::from(*p)))
                .sum::<i128>()
        };
        let covariance = i128::from(self.hits) * n - sum(|t, p| t * p);
        let predicted = n * n - sum(|_, p| p * p);
        let referred = n * n - sum(|t, _| t * t);
        if predicted == 0 || referred == 0 {
            return 0.0;
        }
        covariance as f64 / ((predicted as f64).sqrt() * (referred as f64).sqrt())
    }
}
