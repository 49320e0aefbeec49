//! TER: how many edits turn the predictions into the references.
//!
//! `TER = 100 · (shifts + insertions + deletions + substitutions) / r`, where a shift moves a
//! phrase and `r` is the mean length of the references (Snover et al. 2006). Shifts are searched
//! greedily, with the limits of tercom and of sacrebleu ([`shift`]). Of several references a
//! segment counts against the one that needs the fewest edits.

mod distance;
mod shift;

use serde_json::json;
use tenon_plugin_api::metric::prelude::*;

use crate::corpus::{Corpus, Level, Measure};
use crate::real::Real;
use crate::signature::{case, signature, yes_no};
use crate::text::{trim_end, words};
use crate::tokenize::{Tercom, Western};
use crate::words::Words;

use shift::Search;

/// Options of `ter`.
#[derive(Options, Debug)]
pub struct TerOptions {
    /// Cut off punctuation, and read XML's escapes, as tercom does.
    #[default(false)]
    pub normalized: bool,
    /// Leave out punctuation.
    #[default(false)]
    pub no_punct: bool,
    /// With `normalized`, let each character of Chinese, Japanese and Korean stand alone; with
    /// `no_punct`, leave out their punctuation too.
    #[default(false)]
    pub asian_support: bool,
    /// Let case count.
    #[default(false)]
    pub case_sensitive: bool,
    /// Whether the score is that of the corpus or of its segments.
    #[default(Level::Corpus)]
    pub level: Level,
}

/// TER of a corpus.
pub struct Ter(Corpus<Edits>);

impl Metric for Ter {
    const ID: &'static str = "ter";
    const ABOUT: &'static str = "Edits, shifts of phrases among them, by word, as sacrebleu's";
    type Options = TerOptions;
    type Input = Text;

    fn new(options: TerOptions) -> Result<Self> {
        let level = options.level;
        let tercom = Tercom {
            normalized: options.normalized,
            no_punct: options.no_punct,
            asian_support: options.asian_support,
            case_sensitive: options.case_sensitive,
        };
        Ok(Self(Corpus::new(Edits { tercom }, level)))
    }

    fn update(&mut self, batch: Pairs<'_, Text>) -> Result<()> {
        self.0.update(batch)
    }

    fn merge(&mut self, other: Self) {
        self.0.merge(other.0);
    }

    fn compute(&self) -> Scores {
        let sums = self.0.sums();
        let mut detail = json!({
            "signature": self.0.measure().signature(&self.0.references()),
            "edits": sums[0] as u64,
            "reference_length": sums[1],
        });
        if let Some(scores) = self.0.segment_scores() {
            detail["segments"] = json!(scores);
        }
        Scores::one("ter", self.0.score())
            .lower_is_better()
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

/// Edits: `[edits, mean length of the references]`.
#[derive(Debug)]
struct Edits {
    tercom: Tercom,
}

/// What a thread keeps.
#[derive(Default)]
struct Scratch {
    buffers: Western,
    words: Words,
    prediction: Vec<u32>,
    reference: Vec<u32>,
    search: Search,
}

impl Edits {
    fn signature(&self, references: &str) -> String {
        let tercom = &self.tercom;
        signature(&[
            ("nrefs", references),
            ("case", case(!tercom.case_sensitive)),
            ("tok", "tercom"),
            ("norm", yes_no(tercom.normalized)),
            ("punct", yes_no(!tercom.no_punct)),
            ("asian", yes_no(tercom.asian_support)),
        ])
    }

    fn read(&self, line: &str, buffers: &mut Western, ids: &mut Words, into: &mut Vec<u32>) {
        let line = self.tercom.tokenize(trim_end(line), buffers);
        into.clear();
        into.extend(words(&line).map(|word| ids.id(word)));
    }
}

impl Measure for Edits {
    type Scratch = Scratch;

    fn width(&self) -> usize {
        2
    }

    fn count(
        &self,
        prediction: &str,
        references: Texts<'_>,
        scratch: &mut Scratch,
        statistics: &mut [f64],
    ) {
        let (buffers, ids) = (&mut scratch.buffers, &mut scratch.words);
        ids.begin();
        self.read(prediction, buffers, ids, &mut scratch.prediction);
        let count = references.len();
        let mut fewest = u64::MAX;
        let mut length = 0;
        for reference in references {
            self.read(reference, buffers, ids, &mut scratch.reference);
            length += scratch.reference.len();
            let edits = scratch
                .search
                .edits(&scratch.prediction, &scratch.reference);
            fewest = fewest.min(edits);
        }
        statistics[0] = fewest as f64;
        statistics[1] = length as f64 / count as f64;
    }

    fn score<T: Real>(&self, sums: &[T]) -> f64 {
        let (edits, length) = (sums[0], sums[1]);
        let zero = T::of(0.0);
        match () {
            () if length > zero => (T::of(100.0) * (edits / length)).into(),
            () if edits > zero => 100.0,
            () => 0.0,
        }
    }
}
