//! Which examples make which batch: a function of lengths, options, seed and epoch.
//!
//! For training, the examples are put in a random order ([`Permutation`]) and cut into windows of
//! many batches. Within a window they are sorted by length, cut into batches of equal lengths, and
//! the batches are shuffled. So a batch wastes little on padding, while every epoch mixes anew.
//! For evaluation they are sorted from the longest: the largest batch comes first, so that a lack
//! of memory shows at once, and [`Restored`] puts the results back into their order.
//!
//! Only the number of batches in each window is kept. A window is worked out when a batch of it is
//! asked for, so batch k costs the same whether the run began at batch 0 or is resumed at k.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use super::error::DataError;
use super::lengths::Lengths;
use super::rng::{Permutation, Rng, derive_seed};

/// How much goes into a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchSize {
    /// This many examples.
    Examples(usize),
    /// As many examples as keep examples × padded length within this many tokens. An example
    /// that is longer makes a batch of its own.
    Tokens(usize),
}

/// In which order examples come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// As they lie in the files.
    Sequential,
    /// At random, anew each epoch.
    Shuffled {
        /// Whether examples of like length share a batch.
        group_by_length: bool,
    },
    /// From the longest to the shortest.
    LongestFirst,
}

/// How batches are planned.
#[derive(Clone, Copy, Debug)]
pub struct PlanOptions {
    /// How much goes into a batch.
    pub batch: BatchSize,
    /// In which order.
    pub order: Order,
    /// Leaves out the examples that would make a smaller last batch; a random few when shuffled.
    /// Batches by tokens are of different sizes anyway and keep them all.
    pub drop_last: bool,
    /// Lengths count as rounded up to a multiple of this, as collation will do.
    pub pad_to_multiple_of: usize,
    /// Batches in a window of like lengths (default 100): more waste less on padding, fewer mix
    /// lengths better.
    pub window: usize,
    /// The run's seed.
    pub seed: u64,
    /// The epoch, from 0.
    pub epoch: u64,
}

impl Default for PlanOptions {
    fn default() -> Self {
        Self {
            batch: BatchSize::Examples(32),
            order: Order::Shuffled {
                group_by_length: true,
            },
            drop_last: false,
            pad_to_multiple_of: 1,
            window: 100,
            seed: 0,
            epoch: 0,
        }
    }
}

/// Tokens of a plan.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Padding {
    /// Sum of the examples' lengths.
    pub tokens: u64,
    /// Sum over batches of examples × padded length.
    pub padded: u64,
}

impl Padding {
    /// The share of padding among the tokens computed, 0 to 1.
    pub fn share(&self) -> f64 {
        match self.padded {
            0 => 0.0,
            padded => 1.0 - self.tokens as f64 / padded as f64,
        }
    }
}

/// The batches of one epoch.
pub struct Plan {
    lengths: Arc<Lengths>,
    options: PlanOptions,
    /// Examples that take part.
    used: usize,
    /// Examples in a window; all windows but the last have as many.
    window: usize,
    shuffle: Option<Permutation>,
    /// Number of the first batch of each window, and the number of all batches at the end.
    firsts: Vec<usize>,
    /// The windows asked for last. Two, because workers run ahead across a border.
    recent: Mutex<Vec<(usize, Arc<Window>)>>,
}

/// Batches of one window, in the order in which they are to be run.
struct Window {
    examples: Vec<usize>,
    batches: Vec<Range<usize>>,
}

/// Sorting for evaluation is done in windows of this many examples, which bounds its memory.
const SORTED: usize = 1 << 20;

impl Plan {
    /// Plans the batches of examples of these lengths.
    ///
    /// # Errors
    /// [`DataError::Plan`] where there are no examples, a size is zero, or nothing would be left.
    pub fn new(lengths: Arc<Lengths>, options: PlanOptions) -> Result<Self, DataError> {
        let fault = |problem: &str| Err(DataError::Plan(problem.to_owned()));
        let count = lengths.len();
        let (BatchSize::Examples(size) | BatchSize::Tokens(size)) = options.batch;
        if size == 0 || options.window == 0 || options.pad_to_multiple_of == 0 {
            return fault("batch size, window and padding multiple must be at least 1");
        }
        if count == 0 {
            return fault("there are no examples");
        }
        let used = match options.batch {
            BatchSize::Examples(size) if options.drop_last => count - count % size,
            _ => count,
        };
        if used == 0 {
            return Err(DataError::Plan(format!(
                "{count} examples do not fill a batch of {size}, and `drop_last` leaves out the rest"
            )));
        }
        let shuffle = matches!(options.order, Order::Shuffled { .. }).then(|| {
            Permutation::new(
                count as u64,
                derive_seed(options.seed, options.epoch, 0, "shuffle"),
            )
        });
        let window = window_size(&lengths, &options).clamp(1, used);
        let mut plan = Self {
            lengths,
            options,
            used,
            window,
            shuffle,
            firsts: Vec::new(),
            recent: Mutex::default(),
        };
        plan.count_batches();
        Ok(plan)
    }

    /// Number of batches.
    pub fn len(&self) -> usize {
        self.firsts.last().copied().unwrap_or(0)
    }

    /// Never true: a plan has at least one batch.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number of examples that take part.
    pub fn examples(&self) -> usize {
        self.used
    }

    /// The numbers of the examples of batch `number`; empty beyond the last batch.
    pub fn batch(&self, number: usize) -> Vec<usize> {
        if number >= self.len() {
            return Vec::new();
        }
        let index = self.firsts.partition_point(|first| *first <= number) - 1;
        let window = self.window(index);
        window
            .batches
            .get(number - self.firsts[index])
            .map_or_else(Vec::new, |range| window.examples[range.clone()].to_vec())
    }

    /// Tokens with and without padding, over the whole epoch.
    pub fn padding(&self) -> Padding {
        let mut padding = Padding::default();
        for index in 0..self.firsts.len() - 1 {
            let window = self.make_window(index);
            for range in &window.batches {
                let lengths = window.examples[range.clone()]
                    .iter()
                    .map(|&example| u64::from(self.lengths.get(example)));
                padding.tokens += lengths.clone().sum::<u64>();
                let longest = lengths
                    .max()
                    .unwrap_or(0)
                    .next_multiple_of(self.options.pad_to_multiple_of as u64);
                padding.padded += longest * range.len() as u64;
            }
        }
        padding
    }

    fn count_batches(&mut self) {
        let windows = self.used.div_ceil(self.window);
        let mut firsts = Vec::with_capacity(windows + 1);
        let mut first = 0;
        for index in 0..windows {
            firsts.push(first);
            first += match self.options.batch {
                BatchSize::Examples(size) => self.span(index).len().div_ceil(size),
                BatchSize::Tokens(_) => self.make_window(index).batches.len(),
            };
        }
        firsts.push(first);
        self.firsts = firsts;
    }

    /// Positions of the epoch's order that are in a window.
    fn span(&self, index: usize) -> Range<usize> {
        index * self.window..self.used.min((index + 1) * self.window)
    }

    fn window(&self, index: usize) -> Arc<Window> {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, window)) = recent.iter().find(|(known, _)| *known == index) {
            return Arc::clone(window);
        }
        // Made under the lock: other workers want the same window next.
        let window = Arc::new(self.make_window(index));
        if recent.len() == 2 {
            recent.remove(0);
        }
        recent.push((index, Arc::clone(&window)));
        window
    }

    fn make_window(&self, index: usize) -> Window {
        let at = |position: usize| match &self.shuffle {
            Some(order) => order.get(position as u64) as usize,
            None => position,
        };
        let mut examples: Vec<usize> = self.span(index).map(at).collect();
        match self.options.order {
            Order::Sequential
            | Order::Shuffled {
                group_by_length: false,
            } => {
                let batches = self.cut(&examples);
                Window { examples, batches }
            }
            Order::LongestFirst => {
                examples.sort_by_key(|&example| {
                    (std::cmp::Reverse(self.lengths.get(example)), example)
                });
                let batches = self.cut(&examples);
                Window { examples, batches }
            }
            Order::Shuffled {
                group_by_length: true,
            } => {
                // The sort is stable, so examples of equal length stay in random order.
                examples.sort_by_key(|&example| std::cmp::Reverse(self.lengths.get(example)));
                let mut batches = self.cut(&examples);
                let seed = derive_seed(
                    self.options.seed,
                    self.options.epoch,
                    index as u64,
                    "shuffle-batches",
                );
                Rng::new(seed).shuffle(&mut batches);
                Window { examples, batches }
            }
        }
    }

    /// Cuts examples, in this order, into batches.
    fn cut(&self, examples: &[usize]) -> Vec<Range<usize>> {
        match self.options.batch {
            BatchSize::Examples(size) => (0..examples.len())
                .step_by(size)
                .map(|start| start..examples.len().min(start + size))
                .collect(),
            BatchSize::Tokens(most) => {
                let mut batches = Vec::new();
                let (mut start, mut longest) = (0, 0);
                for (index, &example) in examples.iter().enumerate() {
                    let length = (self.lengths.get(example) as usize)
                        .next_multiple_of(self.options.pad_to_multiple_of);
                    let with = length.max(longest);
                    if index > start && with * (index + 1 - start) > most {
                        batches.push(start..index);
                        (start, longest) = (index, length);
                    } else {
                        longest = with;
                    }
                }
                batches.push(start..examples.len());
                batches
            }
        }
    }
}

/// Examples in a window.
fn window_size(lengths: &Lengths, options: &PlanOptions) -> usize {
    match (options.order, options.batch) {
        // A multiple of the batch size, so that only the last batch of all is smaller.
        (Order::LongestFirst, BatchSize::Examples(size)) => SORTED.div_ceil(size) * size,
        (Order::LongestFirst, BatchSize::Tokens(_)) => SORTED,
        (_, BatchSize::Examples(size)) => size.saturating_mul(options.window),
        (_, BatchSize::Tokens(most)) => {
            let total: u64 = lengths.iter().map(u64::from).sum();
            let mean = (total / lengths.len().max(1) as u64).max(1) as usize;
            (most / mean).max(1).saturating_mul(options.window)
        }
    }
}

/// Puts results that came batch by batch into the order of the examples.
#[derive(Debug)]
pub struct Restored<T> {
    slots: Vec<Option<T>>,
}

impl<T> Restored<T> {
    /// Places for `examples` results.
    pub fn new(examples: usize) -> Self {
        Self {
            slots: (0..examples).map(|_| None).collect(),
        }
    }

    /// Takes the results of a batch, one for each of its `examples`.
    ///
    /// # Errors
    /// [`DataError::Plan`] where numbers differ, or a place is taken already.
    pub fn add(
        &mut self,
        examples: &[usize],
        results: impl IntoIterator<Item = T>,
    ) -> Result<(), DataError> {
        let mut results = results.into_iter();
        for &example in examples {
            let slot = self.slots.get_mut(example).filter(|slot| slot.is_none());
            match (slot, results.next()) {
                (Some(slot), Some(result)) => *slot = Some(result),
                (None, _) => {
                    return Err(DataError::Plan(format!(
                        "example {example} has a result twice, or does not exist"
                    )));
                }
                (_, None) => {
                    return Err(DataError::Plan(format!("no result for example {example}")));
                }
            }
        }
        match results.next() {
            None => Ok(()),
            Some(_) => Err(DataError::Plan(format!(
                "more results than the {} examples of the batch",
                examples.len()
            ))),
        }
    }

    /// All results, in the order of the examples.
    ///
    /// # Errors
    /// [`DataError::Plan`] where one is missing.
    pub fn finish(self) -> Result<Vec<T>, DataError> {
        let missing = self.slots.iter().position(Option::is_none);
        match missing {
            None => Ok(self.slots.into_iter().flatten().collect()),
            Some(example) => Err(DataError::Plan(format!("no result for example {example}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lengths(count: usize, longest: u64) -> Arc<Lengths> {
        let mut rng = Rng::new(5);
        Arc::new((0..count).map(|_| 1 + rng.below(longest) as u32).collect())
    }

    fn batches(plan: &Plan) -> Vec<Vec<usize>> {
        (0..plan.len()).map(|number| plan.batch(number)).collect()
    }

    const ORDERS: [Order; 4] = [
        Order::Sequential,
        Order::Shuffled {
            group_by_length: false,
        },
        Order::Shuffled {
            group_by_length: true,
        },
        Order::LongestFirst,
    ];

    #[test]
    fn every_example_comes_once_within_bounds() {
        for count in [1, 31, 32, 33, 1000, 7001] {
            let lengths = lengths(count, 60);
            for order in ORDERS {
                for batch in [
                    BatchSize::Examples(32),
                    BatchSize::Tokens(512),
                    BatchSize::Tokens(20),
                ] {
                    let options = PlanOptions {
                        batch,
                        order,
                        window: 7,
                        pad_to_multiple_of: 8,
                        ..PlanOptions::default()
                    };
                    let plan = Plan::new(Arc::clone(&lengths), options).expect("plans");
                    let batches = batches(&plan);
                    let mut seen: Vec<usize> = batches.concat();
                    seen.sort_unstable();
                    assert_eq!(seen, (0..count).collect::<Vec<_>>(), "{options:?}");
                    for examples in &batches {
                        let longest = examples
                            .iter()
                            .map(|&e| lengths.get(e) as usize)
                            .max()
                            .expect("not empty");
                        let fits = match batch {
                            BatchSize::Examples(size) => examples.len() <= size,
                            BatchSize::Tokens(most) => {
                                examples.len() == 1
                                    || longest.next_multiple_of(8) * examples.len() <= most
                            }
                        };
                        assert!(fits, "{options:?}: {examples:?}");
                    }
                    assert_eq!(plan.batch(plan.len()), Vec::<usize>::new());
                }
            }
        }
    }

    #[test]
    fn an_epoch_is_reproducible_and_resumable_anywhere() {
        let lengths = lengths(5000, 100);
        for batch in [BatchSize::Examples(16), BatchSize::Tokens(1000)] {
            let options = PlanOptions {
                batch,
                window: 10,
                seed: 3,
                epoch: 2,
                ..PlanOptions::default()
            };
            let all = batches(&Plan::new(Arc::clone(&lengths), options).expect("plans"));
            let resumed = Plan::new(Arc::clone(&lengths), options).expect("plans");
            for number in [all.len() - 1, 0, all.len() / 2, 7] {
                assert_eq!(resumed.batch(number), all[number]);
            }
            for other in [
                PlanOptions {
                    epoch: 3,
                    ..options
                },
                PlanOptions { seed: 4, ..options },
            ] {
                assert_ne!(
                    batches(&Plan::new(Arc::clone(&lengths), other).expect("plans")),
                    all
                );
            }
        }
    }

    #[test]
    fn grouping_saves_padding() {
        let lengths = lengths(7000, 60);
        let share = |order| {
            let options = PlanOptions {
                order,
                ..PlanOptions::default()
            };
            Plan::new(Arc::clone(&lengths), options)
                .expect("plans")
                .padding()
                .share()
        };
        assert!(
            share(Order::Shuffled {
                group_by_length: false
            }) > 0.4
        );
        assert!(
            share(Order::Shuffled {
                group_by_length: true
            }) < 0.02
        );
        assert!(share(Order::LongestFirst) < 0.01);
    }

    #[test]
    fn drop_last_keeps_batches_full() {
        let options = PlanOptions {
            drop_last: true,
            ..PlanOptions::default()
        };
        let plan = Plan::new(lengths(100, 9), options).expect("plans");
        assert!(batches(&plan).iter().all(|batch| batch.len() == 32));
        assert_eq!((plan.len(), plan.examples()), (3, 96));
        let error = Plan::new(lengths(31, 9), options)
            .err()
            .expect("nothing left");
        insta::assert_snapshot!(error);
    }

    #[test]
    fn the_same_batches_on_every_platform() {
        let options = PlanOptions {
            batch: BatchSize::Examples(4),
            window: 2,
            seed: 17,
            ..PlanOptions::default()
        };
        let plan = Plan::new(lengths(20, 9), options).expect("plans");
        insta::assert_debug_snapshot!(
            batches(&plan)
                .iter()
                .map(|batch| format!("{batch:?}"))
                .collect::<Vec<_>>()
        );
    }

    #[test]
    fn results_return_to_their_order() {
        let mut restored = Restored::new(3);
        restored.add(&[2, 0], ["c", "a"]).expect("adds");
        assert!(restored.add(&[2], ["again"]).is_err());
        assert!(restored.add(&[1], ["b", "more"]).is_err());
        assert_eq!(restored.finish().expect("whole"), ["a", "b", "c"]);
        assert!(Restored::<u8>::new(1).finish().is_err());
    }
}
