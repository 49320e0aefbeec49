use tenon_plugin_api::metric::prelude::*;

#[derive(Default)]
pub struct ExactMatch {
    hits: usize,
    seen: usize,
}

impl Metric for ExactMatch {
    const ID: &'static str = "exact-match";
    const ABOUT: &'static str = "Share of predictions that equal one of their references";
    type Options = ();
    type Input = Text;

    fn new((): ()) -> Result<Self> {
        Ok(Self::default())
    }

    fn update(&mut self, batch: Pairs<'_, Text>) -> Result<()> {
        for (prediction, mut references) in batch {
            self.hits += usize::from(references.any(|reference| reference == prediction));
            self.seen += 1;
        }
        Ok(())
    }

    fn merge(&mut self, other: Self) {
        self.hits += other.hits;
        self.seen += other.seen;
    }

    fn compute(&self) -> Scores {
        Scores::one("exact_match", self.hits as f64 / self.seen as f64).higher_is_better()
    }
}

register!(metric: ExactMatch);
