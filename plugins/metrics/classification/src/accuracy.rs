//! Accuracy: the share of examples predicted right.
//!
//! `(1/N) Σᵢ [ŷᵢ = yᵢ]`. With sets of classes (multi-label) a prediction is right when the
//! whole set is (subset accuracy).

use tenon_plugin_api::metric::prelude::*;

use crate::classes::{ClassNames, set};

/// Share of examples predicted right.
#[derive(Debug, Default)]
pub struct Accuracy {
    names: ClassNames,
    hits: u64,
    seen: u64,
}

impl Metric for Accuracy {
    const ID: &'static str = "accuracy";
    const ABOUT: &'static str = "Share of examples whose class, or whole set of classes, is right";
    type Options = ();
    type Input = Classes;

    fn new((): ()) -> Result<Self> {
        Ok(Self::default())
    }

    fn begin(&mut self, output: &OutputInfo) -> Result<()> {
        self.names = ClassNames::new(output);
        Ok(())
    }

    fn update(&mut self, batch: Pairs<'_, Classes>) -> Result<()> {
        for (prediction, reference) in batch {
            self.names
                .check(batch.multi_label(), prediction.ids, reference.ids)?;
            self.hits += u64::from(set(prediction.ids) == set(reference.ids));
            self.seen += 1;
        }
        Ok(())
    }

    fn merge(&mut self, other: Self) {
        self.hits += other.hits;
        self.seen += other.seen;
    }

    fn compute(&self) -> Scores {
        // 0/0 without an example is the NaN that is meant.
        let accuracy = self.hits as f64 / self.seen as f64;
        Scores::one("accuracy", accuracy)
            .higher_is_better()
            .unit("fraction")
    }
}
