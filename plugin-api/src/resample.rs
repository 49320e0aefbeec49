//! Draws of examples: what confidence intervals and significance tests score a metric on.
//!
//! The host draws, and a metric scores ([`Metric::resample`](crate::metric::Metric::resample)). A
//! bootstrap draws as many examples as there are, with replacement (Efron 1979; for translations
//! Koehn 2004). Approximate randomization exchanges the examples of two systems at random, which
//! one metric has seen one after the other (Noreen 1989; Riezler and Maxwell 2005).

/// Draws of examples, all of one size.
#[derive(Clone, Copy, Debug)]
pub struct Draws<'a> {
    examples: &'a [u32],
    size: usize,
    how: Resampling,
}

/// How examples are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resampling {
    /// With replacement.
    Bootstrap,
    /// Each from one of two systems.
    Exchange,
}

impl<'a> Draws<'a> {
    /// Draws of `size` examples each, one behind the other.
    ///
    /// What is left over of `examples` belongs to no draw.
    #[must_use]
    pub fn new(examples: &'a [u32], size: usize, how: Resampling) -> Self {
        Self {
            examples,
            size,
            how,
        }
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        match self.size {
            0 => 0,
            size => self.examples.len() / size,
        }
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How they were drawn.
    #[must_use]
    pub fn how(&self) -> Resampling {
        self.how
    }

    /// A draw: examples by the order in which the metric saw them, from 0, those that were merged
    /// in behind its own. One may occur several times or not at all.
    ///
    /// # Panics
    /// There are not as many draws.
    #[must_use]
    pub fn get(&self, draw: usize) -> &'a [u32] {
        &self.examples[draw * self.size..(draw + 1) * self.size]
    }

    /// The draws in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &'a [u32]> + 'a {
        self.examples.chunks_exact(self.size.max(1))
    }

    /// All draws, one behind the other, and the size of each.
    #[cfg(feature = "host")]
    pub(crate) fn raw(&self) -> (&'a [u32], usize) {
        (self.examples, self.size)
    }
}
