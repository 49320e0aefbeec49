//! ROUGE: how many words, runs of words and subsequences a text shares with a reference.
//!
//! C.-Y. Lin, "ROUGE: a package for automatic evaluation of summaries", 2004; computed as rouge-score
//! 0.1.2 does, which replicates the original `ROUGE-1.5.5.pl`:
//!
//! - `rougeN`: precision and recall of n-grams, each counted as often as in the side with fewer;
//! - `rougeL`: of the longest common subsequence of all words;
//! - `rougeLsum`: of the union of the longest common subsequences of lines (summary level), where
//!   a newline ends a sentence.
//!
//! The score of an example is that against the reference with the highest F, for each kind apart;
//! the score of all is the mean of the examples'. An example that has no words scores 0.

use tenon_plugin_api::metric::prelude::*;
use tenon_plugin_api::services::parallel_chunks;

use crate::bootstrap::{Twister, intervals};
use crate::kept::Kept;
use crate::mean::need_references;

mod overlap;

use overlap::{Kind, Prf, Scorer};

/// Examples that one thread takes at a time.
const CHUNK: usize = 64;

/// Options of `rouge`.
#[derive(Options, Debug)]
pub struct RougeOptions {
    /// What to compute: `rouge1` to `rouge9`, `rougeL`, `rougeLsum`.
    #[default(["rouge1", "rouge2", "rougeL", "rougeLsum"])]
    pub types: Vec<String>,
    /// Whether words of one stem are the same, by Porter's stemmer, for words of more than three
    /// letters.
    #[default(false)]
    #[option(alias = "stemmer")]
    pub use_stemmer: bool,
    /// Whether to give the precision and the recall too; else the F-measure alone.
    #[default(false)]
    pub precision_and_recall: bool,
    /// Resamples of a bootstrap. If there are any, the score is the median of the resamples' means,
    /// as of rouge-score's `BootstrapAggregator`, with the ends of the confidence interval; if 0,
    /// the mean.
    #[default(0)]
    #[range(max = 100_000)]
    pub bootstrap_samples: u32,
    /// The part of the resamples within the confidence interval.
    #[default(0.95)]
    #[range(min = 0.0, max = 1.0)]
    pub confidence: f64,
    /// What the bootstrap draws from, as for `numpy.random.seed`.
    #[default(0)]
    pub seed: u32,
}

/// Overlap with references in words, runs of words and subsequences.
#[derive(Debug)]
pub struct Rouge {
    options: RougeOptions,
    kinds: Vec<Kind>,
    /// Precision, recall and F of each kind, summed over examples.
    sums: Vec<Prf>,
    seen: u64,
    /// The same of each example.
    kept: Kept,
}

impl Metric for Rouge {
    const ID: &'static str = "rouge";
    const ABOUT: &'static str =
        "Overlap with references in words, runs of words and subsequences (ROUGE-1, 2, L, Lsum)";
    type Options = RougeOptions;
    type Input = Text;

    fn new(options: RougeOptions) -> Result<Self> {
        let kinds = kinds(&options.types)?;
        let mut kept = Kept::new(3 * kinds.len());
        if options.bootstrap_samples > 0 {
            kept.keep();
        }
        Ok(Self {
            options,
            sums: vec![[0.0; 3]; kinds.len()],
            kept,
            kinds,
            seen: 0,
        })
    }

    fn update(&mut self, batch: Pairs<'_, Text>) -> Result<()> {
        need_references(batch, self.seen)?;
        let (kinds, stems) = (&self.kinds, self.options.use_stemmer);
        let chunks = parallel_chunks(batch.len(), CHUNK, |examples| {
            let mut scorer = Scorer::new(kinds, stems);
            let mut found = vec![[0.0; 3]; examples.len() * kinds.len()];
            for (index, best) in examples.zip(found.chunks_exact_mut(kinds.len())) {
                let (prediction, references) = batch.get(index);
                scorer.score(prediction, references, best);
            }
            found
        });
        for example in chunks
            .iter()
            .flat_map(|found| found.chunks_exact(kinds.len()))
        {
            for (sum, scores) in self.sums.iter_mut().zip(example) {
                add(sum, scores);
            }
            self.kept.add(example.as_flattened());
        }
        self.seen += batch.len() as u64;
        Ok(())
    }

    fn merge(&mut self, other: Self) {
        self.sums
            .iter_mut()
            .zip(&other.sums)
            .for_each(|(sum, more)| add(sum, more));
        self.kept.merge(other.kept);
        self.seen += other.seen;
    }

    fn compute(&self) -> Scores {
        match self.options.bootstrap_samples {
            0 => self.means(),
            samples => self.resampled(samples as usize),
        }
    }

    fn keep_examples(&mut self) -> bool {
        // With a bootstrap of its own, the score is not the mean of the examples'.
        if self.options.bootstrap_samples > 0 {
            return false;
        }
        self.kept.keep();
        true
    }

    fn resample(&self, draws: Draws<'_>) -> Result<Vec<Vec<f64>>> {
        self.kept.resample(draws, |means| {
            let (all, _) = means.as_chunks::<3>();
            let parts = self.parts().iter();
            parts
                .flat_map(|(part, _)| all.iter().map(|found| found[*part]))
                .collect()
        })
    }
}

impl Rouge {
    fn means(&self) -> Scores {
        let mean = |sum: &Prf| sum.map(|sum| sum / self.seen as f64);
        let all: Vec<Prf> = self.sums.iter().map(mean).collect();
        self.named(Scores::new(), &all, "")
    }

    fn resampled(&self, samples: usize) -> Scores {
        let mut twister = Twister::new(self.options.seed);
        let confidence = self.options.confidence;
        let of_kind = |kind: usize| {
            let examples = self.kept.examples();
            let examples = examples.filter_map(|example| example.as_chunks::<3>().0.get(kind));
            let examples: Vec<Prf> = examples.copied().collect();
            intervals(&examples, samples, confidence, &mut twister)
        };
        let all: Vec<[Prf; 3]> = (0..self.kinds.len()).map(of_kind).collect();
        let ends = [(1, ""), (0, "_low"), (2, "_high")];
        ends.into_iter().fold(Scores::new(), |scores, (end, name)| {
            let of_end: Vec<Prf> = all.iter().map(|ends| ends[end]).collect();
            self.named(scores, &of_end, name)
        })
    }

    /// Which of precision, recall and F are given, with the ends of their names.
    fn parts(&self) -> &'static [(usize, &'static str)] {
        match self.options.precision_and_recall {
            true => &[(2, ""), (0, "_precision"), (1, "_recall")],
            false => &[(2, "")],
        }
    }

    /// Adds the scores of each kind: F under its own name, then what else was asked for.
    fn named(&self, scores: Scores, all: &[Prf], end: &str) -> Scores {
        let named = self.parts().iter().flat_map(|(part, name)| {
            let types = self.options.types.iter().zip(all);
            types.map(move |(kind, found)| (format!("{kind}{name}{end}"), found[*part]))
        });
        named.fold(scores, |scores, (name, value)| {
            scores.and(name, value).higher_is_better().unit("fraction")
        })
    }
}

fn add(sum: &mut Prf, more: &Prf) {
    sum.iter_mut()
        .zip(more)
        .for_each(|(sum, more)| *sum += more);
}

fn kinds(types: &[String]) -> Result<Vec<Kind>> {
    ensure!(!types.is_empty(), Options, "`types` is empty");
    for (index, name) in types.iter().enumerate() {
        ensure!(
            !types[..index].contains(name),
            Options,
            "`types` names {name:?} twice"
        );
    }
    let kind = |name: &String| {
        Kind::from_name(name).ok_or_else(|| {
            Error::options(format!("`types` has {name:?}, which is no kind of ROUGE"))
                .with_help("there are rouge1 to rouge9, rougeL and rougeLsum")
        })
    };
    types.iter().map(kind).collect()
}
