//! Lengths of examples, two bytes each while they fit.

/// The length of every example of a set: by it batches are planned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lengths {
    /// Lengths below 65 536.
    Short(Vec<u16>),
    /// Any lengths.
    Long(Vec<u32>),
}

impl Default for Lengths {
    fn default() -> Self {
        Self::Short(Vec::new())
    }
}

impl Lengths {
    /// Number of examples.
    pub fn len(&self) -> usize {
        match self {
            Self::Short(lengths) => lengths.len(),
            Self::Long(lengths) => lengths.len(),
        }
    }

    /// Whether there are no examples.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The length of example `index`, which must be below [`Lengths::len`].
    pub fn get(&self, index: usize) -> u32 {
        match self {
            Self::Short(lengths) => u32::from(lengths[index]),
            Self::Long(lengths) => lengths[index],
        }
    }

    /// Adds the length of the next example.
    pub fn push(&mut self, length: u32) {
        match self {
            Self::Short(lengths) => match u16::try_from(length) {
                Ok(length) => lengths.push(length),
                Err(_) => {
                    let mut long: Vec<u32> =
                        lengths.iter().map(|&length| u32::from(length)).collect();
                    long.push(length);
                    *self = Self::Long(long);
                }
            },
            Self::Long(lengths) => lengths.push(length),
        }
    }

    /// All lengths, in order.
    pub fn iter(&self) -> impl Iterator<Item = u32> {
        (0..self.len()).map(|index| self.get(index))
    }
}

impl FromIterator<u32> for Lengths {
    fn from_iter<I: IntoIterator<Item = u32>>(lengths: I) -> Self {
        let mut all = Self::default();
        lengths.into_iter().for_each(|length| all.push(length));
        all
    }
}
