//! BLEU: the precision of n-grams, with a penalty for brevity.
//!
//! `BLEU = 100 · BP · exp(1/N · Σₙ ln pₙ)`, where `pₙ` is the share of the predictions' n-grams
//! that a reference has, each counted as often at most as in the reference that has it most often,
//! and `BP = exp(1 − r/c)` where the predictions, of `c` tokens, are shorter than the references
//! of the closest lengths, of `r` (Papineni et al. 2002). Zero counts are smoothed as in Chen and
//! Cherry 2014.

use serde_json::json;
use tenon_plugin_api::metric::prelude::*;

use crate::corpus::{Corpus, Level, Measure};
use crate::ngrams::{Ngrams, total};
use crate::real::Real;
use crate::signature::{case, signature, yes_no};
use crate::tokenize::{Tokenize, Western};
use crate::words::Words;

/// What the logarithm of 0 is taken to be.
const LOG_OF_ZERO: f64 = -9_999_999_999.0;

/// Options of `bleu`.
#[derive(Options, Debug)]
pub struct BleuOptions {
    /// How lines become tokens. sacrebleu's `ja-mecab`, `ko-mecab`, `spm`, `flores101`,
    /// `flores200` and `spBLEU-1K` need a dictionary or a model and are not there: tokenize the
    /// files with it, and score them with `none`.
    #[default(Tokenize::V13a)]
    pub tokenize: Tokenize,
    /// What becomes of a precision of 0.
    #[default(Smooth::Exp)]
    pub smooth_method: Smooth,
    /// With `floor` the count in place of 0, 0.1 when absent; with `add-k` what is added, 1 when
    /// absent.
    #[range(min = 0.0)]
    #[example(0.1)]
    pub smooth_value: Option<f64>,
    /// The longest n-grams.
    #[default(4)]
    #[range(min = 1, max = 64)]
    pub max_ngram_order: usize,
    /// Leave out the orders for which the predictions are too short; when absent, for
    /// `level = "sentence"` only.
    pub effective_order: Option<bool>,
    /// Compare lower-case letters.
    #[default(false)]
    pub lowercase: bool,
    /// Whether the score is that of the corpus or of its segments.
    #[default(Level::Corpus)]
    pub level: Level,
}

/// What becomes of a precision of 0.
#[derive(Options, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Smooth {
    /// It stays, and with it the score.
    None,
    /// A small count in place of 0.
    Floor,
    /// Something is added to matches and totals of all orders above 1.
    #[option(rename = "add-k")]
    AddK,
    /// `1/2ᵏ` in place of the k-th count that is 0, as mteval does.
    Exp,
}

/// BLEU of a corpus.
pub struct Bleu(Corpus<Matches>);

impl Metric for Bleu {
    const ID: &'static str = "bleu";
    const ABOUT: &'static str = "Precision of n-grams with a penalty for brevity, as sacrebleu's";
    type Options = BleuOptions;
    type Input = Text;

    fn new(options: BleuOptions) -> Result<Self> {
        let level = options.level;
        Ok(Self(Corpus::new(Matches::new(&options)?, level)))
    }

    fn update(&mut self, batch: Pairs<'_, Text>) -> Result<()> {
        self.0.update(batch)
    }

    fn merge(&mut self, other: Self) {
        self.0.merge(other.0);
    }

    fn compute(&self) -> Scores {
        let measure = self.0.measure();
        let (sums, order) = (self.0.sums(), measure.order);
        let found = measure.found(sums);
        let whole = |counts: &[f64]| -> Vec<u64> { counts.iter().map(|c| *c as u64).collect() };
        let mut detail = json!({
            "signature": measure.signature(&self.0.references()),
            "precisions": found.precisions,
            "matches": whole(&sums[2..2 + order]),
            "totals": whole(&sums[2 + order..]),
            "brevity_penalty": found.penalty,
            "prediction_length": sums[0] as u64,
            "reference_length": sums[1] as u64,
        });
        if let Some(scores) = self.0.segment_scores() {
            detail["segments"] = json!(scores);
        }
        Scores::one("bleu", self.0.score())
            .higher_is_better()
            .unit("percent")
            .detail(detail)
    }

    fn keep_examples(&mut self) -> bool {
        self.0.keep();
        true
    }

    fn resample(&self, draws: Draws<'_>) -> Result<Vec<Vec<f64>>> {
        self.0.resample(draws)
    }
}

/// Counts of matching n-grams: `[c, r, matches by order…, totals by order…]`.
#[derive(Debug)]
struct Matches {
    tokenize: Tokenize,
    smooth: Smooth,
    /// Of `floor` and `add-k`.
    value: f64,
    order: usize,
    effective: bool,
    lowercase: bool,
}

/// What a thread keeps.
#[derive(Default)]
struct Scratch {
    buffers: Western,
    words: Words,
    ngrams: Ngrams,
    prediction: Vec<u32>,
    /// The words of all references, and where each ends.
    references: Vec<u32>,
    ends: Vec<usize>,
    matches: Vec<u64>,
}

/// A score with what it is made of.
struct Found<T> {
    precisions: Vec<T>,
    penalty: f64,
    score: f64,
}

impl Matches {
    fn new(options: &BleuOptions) -> Result<Self> {
        let default = match options.smooth_method {
            Smooth::Floor => Some(0.1),
            Smooth::AddK => Some(1.0),
            Smooth::None | Smooth::Exp => None,
        };
        ensure!(
            default.is_some() || options.smooth_value.is_none(),
            Options,
            "`smooth_value` belongs to `smooth_method = \"floor\"` and \"add-k\"; others have none"
        );
        Ok(Self {
            tokenize: options.tokenize,
            smooth: options.smooth_method,
            value: options.smooth_value.or(default).unwrap_or_default(),
            order: options.max_ngram_order,
            effective: options
                .effective_order
                .unwrap_or(options.level == Level::Sentence),
            lowercase: options.lowercase,
        })
    }

    fn signature(&self, references: &str) -> String {
        let smooth = match self.smooth {
            Smooth::None => "none".to_owned(),
            Smooth::Exp => "exp".to_owned(),
            Smooth::Floor => format!("floor[{:.2}]", self.value),
            Smooth::AddK => format!("add-k[{:.2}]", self.value),
        };
        signature(&[
            ("nrefs", references),
            ("case", case(self.lowercase)),
            ("eff", yes_no(self.effective)),
            ("tok", self.tokenize.name()),
            ("smooth", &smooth),
        ])
    }

    /// The tokens of a line as numbers, added to `into`.
    fn read(&self, line: &str, buffers: &mut Western, words: &mut Words, into: &mut Vec<u32>) {
        let each = |token: &str| into.push(words.id(token));
        match self.lowercase {
            true => self.tokenize.tokens(&line.to_lowercase(), buffers, each),
            false => self.tokenize.tokens(line, buffers, each),
        }
    }

    /// The score, in the precision of the sums.
    fn found<T: Real>(&self, sums: &[T]) -> Found<T> {
        let (predicted, referred) = (sums[0].into(), sums[1].into());
        let penalty = match predicted {
            longer if longer >= referred => 1.0,
            0.0 => 0.0,
            shorter => f64::exp(1.0 - referred / shorter),
        };
        let matches = &sums[2..2 + self.order];
        let mut found = Found {
            precisions: vec![T::of(0.0); self.order],
            penalty,
            score: 0.0,
        };
        if matches.iter().all(|matches| *matches == T::of(0.0)) {
            return found;
        }
        let mut halvings = 1.0;
        let mut order = self.order;
        for n in 0..self.order {
            let (mut hits, mut total) = (matches[n], sums[2 + self.order + n]);
            if self.smooth == Smooth::AddK && n > 0 {
                hits = hits + T::of(self.value);
                total = total + T::of(self.value);
            }
            if total == T::of(0.0) {
                break;
            }
            if self.effective {
                order = n + 1;
            }
            let nothing = hits == T::of(0.0);
            found.precisions[n] = match self.smooth {
                Smooth::Exp if nothing => {
                    halvings *= 2.0;
                    T::of(100.0) / (T::of(halvings) * total)
                }
                Smooth::Floor if nothing => T::of(100.0 * self.value) / total,
                _ => T::of(100.0) * hits / total,
            };
        }
        let logs = found.precisions[..order].iter().map(|p| log((*p).into()));
        found.score = penalty * f64::exp(logs.sum::<f64>() / order as f64);
        found
    }
}

impl Measure for Matches {
    type Scratch = Scratch;

    fn width(&self) -> usize {
        2 + 2 * self.order
    }

    fn count(
        &self,
        prediction: &str,
        references: Texts<'_>,
        scratch: &mut Scratch,
        statistics: &mut [f64],
    ) {
        let (buffers, words) = (&mut scratch.buffers, &mut scratch.words);
        words.begin();
        scratch.prediction.clear();
        self.read(prediction, buffers, words, &mut scratch.prediction);
        scratch.references.clear();
        scratch.ends.clear();
        for reference in references {
            self.read(reference, buffers, words, &mut scratch.references);
            scratch.ends.push(scratch.references.len());
        }
        scratch.ngrams.begin(scratch.references.len(), self.order);
        let predicted = scratch.prediction.len();
        let mut closest = usize::MAX;
        let mut start = 0;
        for end in &scratch.ends {
            let reference = &scratch.references[start..*end];
            scratch.ngrams.count(reference, self.order);
            // The shorter of two that are as close.
            let key = |len: usize| (len.abs_diff(predicted), len);
            if start == 0 && closest == usize::MAX || key(reference.len()) < key(closest) {
                closest = reference.len();
            }
            start = *end;
        }
        scratch.matches.clear();
        scratch.matches.resize(self.order, 0);
        scratch
            .ngrams
            .matches(&scratch.prediction, &mut scratch.matches);
        statistics[0] = predicted as f64;
        statistics[1] = closest as f64;
        for n in 0..self.order {
            statistics[2 + n] = scratch.matches[n] as f64;
            statistics[2 + self.order + n] = total(predicted, n + 1) as f64;
        }
    }

    fn score<T: Real>(&self, sums: &[T]) -> f64 {
        self.found(sums).score
    }
}

fn log(precision: f64) -> f64 {
    match precision {
        0.0 => LOG_OF_ZERO,
        precision => precision.ln(),
    }
}
