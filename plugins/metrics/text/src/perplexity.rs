//! Perplexity: how many next tokens a language model is undecided between, on average.
//!
//! From the negative log-likelihood in nats that a task sums up for each example, with the number
//! of tokens (and of bytes) that it is of: `exp(Σ nll / Σ tokens)`, and the same as
//! `nats_per_token`, as `bits_per_token`, and over bytes as `bits_per_byte`, which does not depend
//! on the tokenizer (Gao et al. 2020, section 3.1). Sums are divided once, over everything, so that
//! it does not matter how a text was cut into examples.
//!
//! A prediction is a list of two or three numbers, `[nll, tokens, bytes]`; references are not
//! looked at.

use tenon_plugin_api::metric::prelude::*;

use crate::kept::Kept;

/// How many next tokens a language model is undecided between.
#[derive(Debug)]
pub struct Perplexity {
    nats: f64,
    tokens: f64,
    bytes: f64,
    /// Whether each example that has tokens has bytes.
    has_bytes: bool,
    seen: u64,
    kept: Kept,
}

impl Metric for Perplexity {
    const ID: &'static str = "perplexity";
    const ABOUT: &'static str = "Perplexity and bits per byte, from `[negative log-likelihood, tokens, bytes]` of each example";
    const IGNORES_REFERENCES: bool = true;
    type Options = ();
    type Input = NumberList;

    fn new((): ()) -> Result<Self> {
        Ok(Self {
            nats: 0.0,
            tokens: 0.0,
            bytes: 0.0,
            has_bytes: true,
            seen: 0,
            kept: Kept::new(3),
        })
    }

    fn update(&mut self, batch: Pairs<'_, NumberList>) -> Result<()> {
        let examples: Vec<[f64; 3]> = batch
            .iter()
            .zip(self.seen + 1..)
            .map(|((numbers, _), number)| example(numbers, number))
            .collect::<Result<_>>()?;
        for [nats, tokens, bytes] in examples {
            self.nats += nats;
            self.tokens += tokens;
            self.bytes += bytes;
            self.has_bytes &= tokens == 0.0 || bytes > 0.0;
            self.seen += 1;
            self.kept.add(&[nats, tokens, bytes]);
        }
        Ok(())
    }

    fn merge(&mut self, other: Self) {
        self.nats += other.nats;
        self.tokens += other.tokens;
        self.bytes += other.bytes;
        self.has_bytes &= other.has_bytes;
        self.seen += other.seen;
        self.kept.merge(other.kept);
    }

    fn compute(&self) -> Scores {
        let all = self.scores(&[self.nats, self.tokens, self.bytes]);
        all.into_iter()
            .fold(Scores::new(), |scores, (name, value, unit)| {
                scores.and(name, value).lower_is_better().unit(unit)
            })
    }

    fn keep_examples(&mut self) -> bool {
        self.kept.keep();
        true
    }

    fn resample(&self, draws: Draws<'_>) -> Result<Vec<Vec<f64>>> {
        self.kept.resample(draws, |means| {
            let all = self.scores(means).into_iter();
            all.map(|(_, value, _)| value).collect()
        })
    }
}

impl Perplexity {
    /// Scores with their units, of log-likelihood, tokens and bytes, summed or meant.
    fn scores(&self, sums: &[f64]) -> Vec<(&'static str, f64, &'static str)> {
        let (nats, bits) = (sums[0] / sums[1], sums[0] / std::f64::consts::LN_2);
        let mut all = vec![
            ("perplexity", nats.exp(), ""),
            ("bits_per_token", bits / sums[1], "bits"),
            ("nats_per_token", nats, "nats"),
        ];
        if self.has_bytes {
            all.insert(1, ("bits_per_byte", bits / sums[2], "bits"));
        }
        all
    }
}

/// Log-likelihood, tokens and bytes of an example; 0 bytes where they are not told.
fn example(numbers: &[f64], number: u64) -> Result<[f64; 3]> {
    let [nats, tokens, bytes] = match *numbers {
        [nats, tokens] => [nats, tokens, 0.0],
        [nats, tokens, bytes] => [nats, tokens, bytes],
        _ => bail!(
            Data,
            "example {number} has {} numbers; expected the negative log-likelihood in nats, the \
             number of tokens and, where known, of bytes",
            numbers.len()
        ),
    };
    for (what, count) in [("tokens", tokens), ("bytes", bytes)] {
        ensure!(
            count >= 0.0 && count.is_finite(),
            Data,
            "example {number} has {count} {what}"
        );
    }
    Ok([nats, tokens, bytes])
}
