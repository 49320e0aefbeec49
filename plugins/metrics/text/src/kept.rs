//! Values of each example, kept where other choices of examples will be scored.

use tenon_plugin_api::metric::prelude::*;
use tenon_plugin_api::services::parallel_chunks;

/// Values of each example, if they are to be kept.
#[derive(Debug)]
pub struct Kept {
    width: usize,
    values: Option<Vec<f64>>,
}

impl Kept {
    /// Keeps nothing yet; an example will have `width` values.
    pub fn new(width: usize) -> Self {
        Self {
            width,
            values: None,
        }
    }

    /// Keeps the values from here on.
    pub fn keep(&mut self) {
        self.values.get_or_insert_default();
    }

    pub fn add(&mut self, values: &[f64]) {
        if let Some(kept) = &mut self.values {
            kept.extend_from_slice(values);
        }
    }

    pub fn merge(&mut self, other: Self) {
        if let (Some(kept), Some(more)) = (&mut self.values, other.values) {
            kept.extend(more);
        }
    }

    /// The values of each example in turn.
    pub fn examples(&self) -> impl Iterator<Item = &[f64]> {
        let values = self.values.as_deref().unwrap_or_default();
        values.chunks_exact(self.width)
    }

    /// For each draw what `scores` makes of the means of its examples' values.
    pub fn resample(
        &self,
        draws: Draws<'_>,
        scores: impl Fn(&[f64]) -> Vec<f64> + Sync,
    ) -> Result<Vec<Vec<f64>>> {
        let Some(values) = &self.values else {
            return Err(Error::unsupported("the examples were not kept"));
        };
        let found = parallel_chunks(draws.len(), 1, |draw| {
            let examples = draws.get(draw.start);
            let mut means = vec![0.0; self.width];
            for example in examples {
                let start = *example as usize * self.width;
                let values = &values[start..start + self.width];
                means
                    .iter_mut()
                    .zip(values)
                    .for_each(|(sum, value)| *sum += value);
            }
            means
                .iter_mut()
                .for_each(|sum| *sum /= examples.len() as f64);
            scores(&means)
        });
        Ok(found)
    }
}
