//! SQuAD: exact match and F1 of answers to questions, as the official evaluation scripts have them.
//!
//! Answers are compared in lower case, without punctuation and articles, word by word ([`answer`]).
//! Exact match is 1 where the words are the same; F1 is the harmonic mean of precision
//! `|p ∩ r| / |p|` and recall `|p ∩ r| / |r|` over the words as bags. Of several references the
//! best counts; the score of all is the mean, in percent.
//!
//! - version 1.1 (Rajpurkar et al. 2016): every question has an answer;
//! - version 2.0 (Rajpurkar et al. 2018): a question without references, or with empty ones, has
//!   none, and the empty text is the right answer to it. Where a no-answer probability is above
//!   `no_answer_threshold`, that text counts as the answer. The scores of questions with and without
//!   an answer are given apart; and from the probabilities the best scores that any threshold
//!   would give, which the script calls `best_exact`, `best_exact_thresh` and so on.
//!
//! [`answer`]: crate::answer

use tenon_plugin_api::metric::prelude::*;
use tenon_plugin_api::services::parallel_chunks;
use tenon_plugin_api::values::Texts;

use crate::answer::Answer as Words;
use crate::thresholds::{Question, best, by_probability};

/// Examples that one thread takes at a time.
const CHUNK: usize = 128;

/// Options of `squad`.
#[derive(Options, Debug)]
pub struct SquadOptions {
    /// Which evaluation script is meant.
    #[default(Version::V1)]
    pub version: Version,
    /// With version 2.0: the no-answer probability above which an answer counts as none; 1 when
    /// absent, so that no probability does.
    #[example(0.5)]
    pub no_answer_threshold: Option<f64>,
}

/// An official evaluation script.
#[derive(Options, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// That of SQuAD 1.1: every question has an answer.
    #[option(rename = "1.1")]
    V1,
    /// That of SQuAD 2.0: a question may have none.
    #[option(rename = "2.0")]
    V2,
}

/// Exact match and F1 of answers.
#[derive(Debug)]
pub struct Squad {
    version: Version,
    threshold: f64,
    /// Of questions without and with an answer.
    sums: [Sums; 2],
    /// Those whose answers came with a no-answer probability, in order.
    questions: Vec<Question>,
    /// The scores of each, where other choices of questions will be scored.
    kept: Option<Vec<[f64; 2]>>,
}

/// Exact matches and F1, summed.
#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    scores: [f64; 2],
    count: u64,
}

/// The names of the two scores.
const NAMES: [&str; 2] = ["exact_match", "f1"];

impl Metric for Squad {
    const ID: &'static str = "squad";
    const ABOUT: &'static str =
        "Exact match and F1 of answers to questions, as the scripts of SQuAD 1.1 and 2.0 have them";
    type Options = SquadOptions;
    type Input = Answer;

    fn new(options: SquadOptions) -> Result<Self> {
        if options.version == Version::V1 && options.no_answer_threshold.is_some() {
            return Err(Error::options(
                "`no_answer_threshold` has no meaning in version 1.1, where every question has an answer",
            )
            .with_help("set `version = \"2.0\"`"));
        }
        Ok(Self {
            version: options.version,
            threshold: options.no_answer_threshold.unwrap_or(1.0),
            sums: [Sums::default(); 2],
            questions: Vec::new(),
            kept: None,
        })
    }

    fn update(&mut self, batch: Pairs<'_, Answer>) -> Result<()> {
        self.check(batch)?;
        let version = self.version;
        let chunks = parallel_chunks(batch.len(), CHUNK, |examples| {
            let mut comparer = Comparer::default();
            let compare = |index| {
                let (answer, references) = batch.get(index);
                comparer.question(version, answer, references)
            };
            examples.map(compare).collect::<Vec<_>>()
        });
        let scored = self.version == Version::V2 && batch.classes() > 0;
        for question in chunks.into_iter().flatten() {
            let without = question.no_answer_probability > self.threshold;
            let scores = match without {
                true => [f64::from(u8::from(!question.has_answer)); 2],
                false => question.scores,
            };
            self.sums[usize::from(question.has_answer)].add(scores);
            if let Some(kept) = &mut self.kept {
                kept.push(scores);
            }
            if scored {
                self.questions.push(question);
            }
        }
        Ok(())
    }

    fn merge(&mut self, other: Self) {
        for (sums, more) in self.sums.iter_mut().zip(other.sums) {
            sums.merge(more);
        }
        self.questions.extend(other.questions);
        if let (Some(kept), Some(more)) = (&mut self.kept, other.kept) {
            kept.extend(more);
        }
    }

    fn compute(&self) -> Scores {
        let [without, with] = self.sums;
        let mut all = without;
        all.merge(with);
        let mut scores = all.named(Scores::new(), "");
        if self.version == Version::V1 {
            return scores;
        }
        for (name, sums) in [("has_answer_", with), ("no_answer_", without)] {
            if sums.count > 0 {
                scores = sums.named(scores, name);
            }
        }
        if self.questions.is_empty() || self.questions.len() as u64 != all.count {
            return scores;
        }
        let sorted = by_probability(&self.questions);
        for (score, name) in NAMES.into_iter().enumerate() {
            let (value, threshold) = best(&sorted, score);
            scores = percent(scores, format!("best_{name}"), value)
                .and(format!("best_{name}_threshold"), threshold);
        }
        scores
    }

    fn keep_examples(&mut self) -> bool {
        self.kept.get_or_insert_default();
        true
    }

    fn resample(&self, draws: Draws<'_>) -> Result<Vec<Vec<f64>>> {
        let Some(kept) = &self.kept else {
            return Err(Error::unsupported("the questions were not kept"));
        };
        let found = parallel_chunks(draws.len(), 1, |draw| {
            let questions = draws.get(draw.start).iter();
            let mut sums = Sums::default();
            questions.for_each(|question| sums.add(kept[*question as usize]));
            let percent = sums.scores.map(|sum| 100.0 * sum / sums.count as f64);
            percent.to_vec()
        });
        Ok(found)
    }
}

impl Squad {
    /// What cannot be compared is found before anything is counted.
    fn check(&self, batch: Pairs<'_, Answer>) -> Result<()> {
        let seen: u64 = self.sums.iter().map(|sums| sums.count).sum();
        ensure!(
            batch.classes() <= 1,
            Data,
            "{} scores beside each answer; expected one, the probability that there is none",
            batch.classes()
        );
        for ((answer, references), number) in batch.iter().zip(seen + 1..) {
            ensure!(
                !answer.scores.iter().any(|score| score.is_nan()),
                Data,
                "the no-answer probability of example {number} is NaN"
            );
            if self.version == Version::V1 && references.len() == 0 {
                let message = format!("example {number} has no reference answer");
                return Err(Error::data(message)
                    .with_help("for data with unanswerable questions set `version = \"2.0\"`"));
            }
        }
        Ok(())
    }
}

impl Sums {
    fn add(&mut self, scores: [f64; 2]) {
        self.merge(Self { scores, count: 1 });
    }

    fn merge(&mut self, other: Self) {
        let pairs = self.scores.iter_mut().zip(other.scores);
        pairs.for_each(|(sum, more)| *sum += more);
        self.count += other.count;
    }

    fn named(self, scores: Scores, prefix: &str) -> Scores {
        let values = NAMES.into_iter().zip(self.scores);
        values.fold(scores, |scores, (name, sum)| {
            percent(
                scores,
                format!("{prefix}{name}"),
                100.0 * sum / self.count as f64,
            )
        })
    }
}

fn percent(scores: Scores, name: String, value: f64) -> Scores {
    scores.and(name, value).higher_is_better().unit("percent")
}

/// Compares answer after answer, in the same memory.
#[derive(Default)]
struct Comparer {
    answer: Words,
    reference: Words,
}

impl Comparer {
    fn question(
        &mut self,
        version: Version,
        answer: ScoredText<'_>,
        references: Texts<'_>,
    ) -> Question {
        let has_answer = version == Version::V1 || references.clone().any(|text| !text.is_empty());
        self.answer.read(answer.text);
        let mut scores = [0.0_f64; 2];
        let mut compared = false;
        for text in references {
            self.reference.read(text);
            // Version 2.0 leaves out what has no words.
            if version == Version::V2 && self.reference.is_empty() {
                continue;
            }
            compared = true;
            let found = self.pair(version);
            scores = [scores[0].max(found[0]), scores[1].max(found[1])];
        }
        if !compared {
            scores = [f64::from(u8::from(self.answer.is_empty())); 2];
        }
        Question {
            no_answer_probability: match version {
                Version::V1 => 0.0,
                Version::V2 => answer.scores.first().copied().unwrap_or(0.0),
            },
            scores,
            has_answer,
            is_answered: !answer.text.is_empty(),
        }
    }

    /// Exact match and F1 of one reference.
    fn pair(&mut self, version: Version) -> [f64; 2] {
        let (answer, reference) = (&mut self.answer, &mut self.reference);
        let same = f64::from(u8::from(answer.equals(reference)));
        let shared = answer.shared(reference);
        let f1 = match shared {
            // Two answers without words are alike in version 2.0 only.
            0 if version == Version::V2 => same,
            0 => 0.0,
            shared => {
                let precision = shared as f64 / answer.len() as f64;
                let recall = shared as f64 / reference.len() as f64;
                2.0 * precision * recall / (precision + recall)
            }
        };
        [same, f1]
    }
}
