//! A mean over examples, and the check that each has something to be compared with.

use tenon_plugin_api::metric::prelude::*;

/// A mean that can be merged.
#[derive(Clone, Copy, Debug, Default)]
pub struct Mean {
    sum: f64,
    /// How many values were added.
    pub count: u64,
}

impl Mean {
    pub fn add(&mut self, value: f64) {
        self.sum += value;
        self.count += 1;
    }

    pub fn merge(&mut self, other: Self) {
        self.sum += other.sum;
        self.count += other.count;
    }

    /// NaN of nothing.
    pub fn value(&self) -> f64 {
        self.sum / self.count as f64
    }
}

/// Checks that each example has a reference; `seen` examples came before.
pub fn need_references(batch: Pairs<'_, Text>, seen: u64) -> Result<()> {
    let without = batch.iter().position(|(_, texts)| texts.len() == 0);
    if let Some(index) = without {
        let number = seen + index as u64 + 1;
        bail!(Data, "example {number} has no reference to compare with");
    }
    Ok(())
}
