//! A metric that needs no libtorch, counts, and uses every service of the host.

use std::sync::atomic::{AtomicU64, Ordering};

use tenon_plugin_api::metric::prelude::*;
use tenon_plugin_api::services::{self, Progress};

/// Options of `hits`.
#[derive(Options)]
pub struct HitsOptions {
    /// What a hit counts.
    #[default(1)]
    weight: u64,
}

/// The number of predictions that equal their reference.
pub struct Hits {
    weight: u64,
    hits: u64,
}

impl Metric for Hits {
    const ID: &'static str = "hits";
    const ABOUT: &'static str = "Number of predictions that equal their reference.";
    type Options = HitsOptions;
    type Input = Label;

    fn new(options: HitsOptions) -> Result<Self> {
        let weight = options.weight;
        Ok(Self { weight, hits: 0 })
    }

    fn update(&mut self, batch: Pairs<'_, Label>) -> Result<()> {
        let span = tracing::info_span!("update", pairs = batch.len());
        let _entered = span.enter();
        let hits = batch.iter().filter(|(left, right)| left.id() == *right);
        self.hits += hits.count() as u64;
        tracing::info!(hits = self.hits, "counted");
        Ok(())
    }

    fn merge(&mut self, other: Self) {
        self.hits += other.hits;
    }

    fn compute(&self) -> Scores {
        Scores::one("hits", (self.hits * self.weight) as f64).higher_is_better()
    }
}

/// What each service of the host answers, as scores.
pub struct Probe;

impl Metric for Probe {
    const ID: &'static str = "probe";
    const ABOUT: &'static str = "What each service of the host answers.";
    type Options = ();
    type Input = Label;

    fn new((): ()) -> Result<Self> {
        Ok(Self)
    }

    fn update(&mut self, _: Pairs<'_, Label>) -> Result<()> {
        services::check_cancelled()
    }

    fn merge(&mut self, _: Self) {}

    fn compute(&self) -> Scores {
        let progress = Progress::start("probing", "calls", 2);
        progress.advance(2);
        let sum = AtomicU64::new(0);
        services::parallel_for(100, |index| {
            sum.fetch_add(index as u64, Ordering::Relaxed);
        });
        let folder = services::artifact_dir().unwrap_or_default();
        Scores::one("parallel_sum", sum.into_inner() as f64)
            .and("seed", (services::derive_seed("probe") >> 11) as f64)
            .and("cancelled", f64::from(services::cancelled()))
            .and("folder", 0.0)
            .detail(folder.to_string_lossy().into())
    }
}

tenon_plugin_api::register!(metric: Hits, metric: Probe);
