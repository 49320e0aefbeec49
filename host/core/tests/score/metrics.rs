//! Metrics of the kinds that the plugins of the box do not read.

use tenon_plugin_api::metric::prelude::*;
use tenon_plugin_api::register;

/// The share of pairs for which `right` holds.
#[derive(Default)]
struct Share {
    hits: usize,
    seen: usize,
}

impl Share {
    fn add(&mut self, right: bool) {
        self.hits += usize::from(right);
        self.seen += 1;
    }

    fn merge(&mut self, other: Self) {
        self.hits += other.hits;
        self.seen += other.seen;
    }

    fn scores(&self, name: &str) -> Scores {
        Scores::one(name, self.hits as f64 / self.seen as f64)
    }
}

/// Whether a text is one of those that would be right.
#[derive(Default)]
pub struct AnyOf(Share);

impl Metric for AnyOf {
    const ID: &'static str = "any-of";
    type Options = ();
    type Input = Text;

    fn new((): ()) -> Result<Self> {
        Ok(Self::default())
    }

    fn update(&mut self, batch: Pairs<'_, Text>) -> Result<()> {
        for (prediction, mut references) in batch {
            self.0.add(references.any(|right| right == prediction));
        }
        Ok(())
    }

    fn merge(&mut self, other: Self) {
        self.0.merge(other.0);
    }

    fn compute(&self) -> Scores {
        self.0.scores("any_of")
    }
}

/// Whether sequences of token ids are the same.
#[derive(Default)]
pub struct SameTokens(Share);

impl Metric for SameTokens {
    const ID: &'static str = "same-tokens";
    type Options = ();
    type Input = Tokens;

    fn new((): ()) -> Result<Self> {
        Ok(Self::default())
    }

    fn update(&mut self, batch: Pairs<'_, Tokens>) -> Result<()> {
        for (prediction, reference) in batch {
            self.0.add(prediction == reference);
        }
        Ok(())
    }

    fn merge(&mut self, other: Self) {
        self.0.merge(other.0);
    }

    fn compute(&self) -> Scores {
        self.0.scores("same_tokens")
    }
}

/// Values of either of two kinds.
pub enum TokensOrText {}

impl Input for TokensOrText {
    const KINDS: &'static [&'static str] = &["tokens", "text"];
    type Prediction<'a> = usize;
    type Reference<'a> = usize;

    fn prediction(values: &Values, index: usize) -> usize {
        match values.kind() {
            Some(ValueKind::Tokens) => values.ints_at(index).len(),
            _ => values.text_at(index).chars().count(),
        }
    }

    fn reference(values: &Values, index: usize) -> usize {
        Self::prediction(values, index)
    }
}

/// Whether values are of the same length; its score is named after the kind that it was given.
#[derive(Default)]
pub struct SameLength {
    share: Share,
    kind: String,
}

impl Metric for SameLength {
    const ID: &'static str = "same-length";
    type Options = ();
    type Input = TokensOrText;

    fn new((): ()) -> Result<Self> {
        Ok(Self::default())
    }

    fn begin(&mut self, output: &OutputInfo) -> Result<()> {
        self.kind.clone_from(&output.kind);
        Ok(())
    }

    fn update(&mut self, batch: Pairs<'_, TokensOrText>) -> Result<()> {
        for (prediction, reference) in batch {
            self.share.add(prediction == reference);
        }
        Ok(())
    }

    fn merge(&mut self, other: Self) {
        self.share.merge(other.share);
    }

    fn compute(&self) -> Scores {
        self.share.scores(&format!("same_length_of_{}", self.kind))
    }
}

/// The sum of the probabilities that there is no answer, where there is none.
#[derive(Default)]
pub struct Unanswered {
    mass: f64,
    scores: usize,
}

impl Metric for Unanswered {
    const ID: &'static str = "unanswered";
    type Options = ();
    type Input = Answer;

    fn new((): ()) -> Result<Self> {
        Ok(Self::default())
    }

    fn update(&mut self, batch: Pairs<'_, Answer>) -> Result<()> {
        for (prediction, references) in batch {
            self.scores += prediction.scores.len();
            if references.len() == 0 {
                self.mass += prediction.scores.iter().sum::<f64>();
            }
        }
        Ok(())
    }

    fn merge(&mut self, other: Self) {
        self.mass += other.mass;
        self.scores += other.scores;
    }

    fn compute(&self) -> Scores {
        Scores::one("mass", self.mass).and("scores", self.scores as f64)
    }
}

/// The sum of all predicted numbers less that of all references.
#[derive(Default)]
pub struct Difference(f64);

impl Metric for Difference {
    const ID: &'static str = "difference";
    type Options = ();
    type Input = NumberList;

    fn new((): ()) -> Result<Self> {
        Ok(Self::default())
    }

    fn update(&mut self, batch: Pairs<'_, NumberList>) -> Result<()> {
        for (prediction, reference) in batch {
            self.0 += prediction.iter().sum::<f64>() - reference.iter().sum::<f64>();
        }
        Ok(())
    }

    fn merge(&mut self, other: Self) {
        self.0 += other.0;
    }

    fn compute(&self) -> Scores {
        Scores::one("difference", self.0)
    }
}

/// The share of texts that are right, of which draws can be scored.
#[derive(Default)]
pub struct Drawn {
    right: Vec<bool>,
    kept: bool,
}

impl Drawn {
    fn share(&self, rows: impl ExactSizeIterator<Item = usize>) -> f64 {
        let count = rows.len() as f64;
        rows.filter(|row| self.right[*row]).count() as f64 / count
    }
}

impl Metric for Drawn {
    const ID: &'static str = "drawn";
    type Options = ();
    type Input = Text;

    fn new((): ()) -> Result<Self> {
        Ok(Self::default())
    }

    fn update(&mut self, batch: Pairs<'_, Text>) -> Result<()> {
        let right = batch
            .iter()
            .map(|(found, mut right)| right.any(|right| right == found));
        self.right.extend(right);
        Ok(())
    }

    fn merge(&mut self, other: Self) {
        self.right.extend(other.right);
    }

    fn compute(&self) -> Scores {
        Scores::one("drawn", self.share(0..self.right.len())).and("rows", self.right.len() as f64)
    }

    fn keep_examples(&mut self) -> bool {
        self.kept = true;
        true
    }

    fn resample(&self, draws: Draws<'_>) -> Result<Vec<Vec<f64>>> {
        ensure!(self.kept, Unsupported, "no row was kept");
        let share = |draw: &[u32]| self.share(draw.iter().map(|row| *row as usize));
        Ok(draws.iter().map(|draw| vec![share(draw)]).collect())
    }
}

register!(
    metric: Drawn,
    metric: AnyOf,
    metric: SameTokens,
    metric: SameLength,
    metric: Unanswered,
    metric: Difference,
);
