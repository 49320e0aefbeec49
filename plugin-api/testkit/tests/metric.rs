//! Metrics on the bench: what the helpers and the battery find, and what they do not.

use std::panic::{AssertUnwindSafe, catch_unwind};

use serde_json::json;
use tenon_plugin_api::metric::prelude::*;
use tenon_testkit::{conformance, metric};

/// The mean of absolute differences; `FLAW` breaks it in one way.
struct MeanError<const FLAW: u8> {
    sum: f64,
    seen: u64,
    batches: u64,
}

const SOUND: u8 = 0;
const COUNTS_BATCHES: u8 = 1;
const FORGETS_THE_OTHER: u8 = 2;
const PANICS_ON_NOTHING: u8 = 3;
const PANICS_WHEN_DROPPED: u8 = 4;

/// Options of `mean-error`.
#[derive(Options)]
struct MeanErrorOptions {
    /// What each difference is multiplied by.
    #[default(1.0)]
    #[range(min = 0.0)]
    scale: f64,
}

impl<const FLAW: u8> Metric for MeanError<FLAW> {
    const ID: &'static str = "mean-error";
    const ABOUT: &'static str = "Mean of absolute differences.";
    type Options = MeanErrorOptions;
    type Input = Number;

    fn new(options: MeanErrorOptions) -> Result<Self> {
        ensure!(
            options.scale < 100.0,
            Options,
            "scale {} is absurd",
            options.scale
        );
        Ok(Self {
            sum: 0.0,
            seen: 0,
            batches: 0,
        })
    }

    fn update(&mut self, batch: Pairs<'_, Number>) -> Result<()> {
        for (prediction, reference) in batch.iter() {
            self.sum += (prediction - reference).abs();
            self.seen += 1;
        }
        self.batches += 1;
        Ok(())
    }

    fn merge(&mut self, other: Self) {
        self.batches += other.batches;
        self.seen += other.seen;
        if FLAW != FORGETS_THE_OTHER {
            self.sum += other.sum;
        }
    }

    fn compute(&self) -> Scores {
        assert!(
            FLAW != PANICS_ON_NOTHING || self.seen > 0,
            "nothing was seen"
        );
        let over = if FLAW == COUNTS_BATCHES {
            self.batches
        } else {
            self.seen
        };
        Scores::one("mean_error", self.sum / over as f64).lower_is_better()
    }
}

impl<const FLAW: u8> Drop for MeanError<FLAW> {
    fn drop(&mut self) {
        assert!(FLAW != PANICS_WHEN_DROPPED, "dropped");
    }
}

#[test]
fn a_sound_metric_passes() {
    conformance::metric::<MeanError<SOUND>>();
    let bench = metric::<MeanError<SOUND>>(json!({ "scale": 2 }));
    let (predictions, references) = (Values::numbers([1.0, 2.0]), Values::numbers([0.0, 4.0]));
    bench.check(predictions, references, &[("mean_error", 1.5)]);
    bench.check(
        Values::numbers([]),
        Values::numbers([]),
        &[("mean_error", f64::NAN)],
    );
}

/// When the host drops a metric, a panic has nowhere to go. One that `merge` drops is `merge`'s own.
#[test]
fn a_panic_in_a_destructor_goes_nowhere() {
    drop(metric::<MeanError<PANICS_WHEN_DROPPED>>(json!({})).fresh());
    let merged = verdict(conformance::metric::<MeanError<PANICS_WHEN_DROPPED>>);
    let expected = "1 merged shards: [panic] mean-error: panicked: dropped";
    assert!(merged.contains(expected), "{merged}");
}

fn verdict(check: impl FnOnce()) -> String {
    let Err(payload) = catch_unwind(AssertUnwindSafe(check)) else {
        return "passed".to_owned();
    };
    let text = payload.downcast_ref::<String>().cloned();
    let plain = payload.downcast_ref::<&str>().map(ToString::to_string);
    text.or(plain).unwrap_or_default()
}

#[test]
fn the_battery_tells_what_is_wrong() {
    for (found, expected) in [
        (
            verdict(conformance::metric::<MeanError<COUNTS_BATCHES>>),
            "merged shards: `mean_error` is",
        ),
        (
            verdict(conformance::metric::<MeanError<FORGETS_THE_OTHER>>),
            "1 merged shards: `mean_error` is 0 instead of",
        ),
        (
            verdict(conformance::metric::<MeanError<PANICS_ON_NOTHING>>),
            "panicked: nothing was seen",
        ),
    ] {
        assert!(
            found.contains(expected),
            "{found:?} does not say {expected:?}"
        );
    }
}

#[test]
fn errors_name_the_component_and_the_key() {
    let refused = tenon_testkit::metric::refused::<MeanError<SOUND>>;
    let text = |error: Error| error.to_string();
    assert_eq!(
        text(refused(json!({ "scale": 100 }))),
        "mean-error: scale 100 is absurd"
    );
    assert_eq!(
        text(refused(json!({ "scale": -1 }))),
        "mean-error: scale: expected a number ≥ 0, found -1"
    );
    let bench = metric::<MeanError<SOUND>>(json!({}));
    assert_eq!(
        text(bench.fails(Values::numbers([1.0]), Values::numbers([]))),
        "mean-error: 1 predictions for 0 references"
    );
}

#[test]
fn metrics_of_other_types_do_not_merge() {
    let mut one = metric::<MeanError<SOUND>>(json!({})).fresh();
    let other = metric::<MeanError<COUNTS_BATCHES>>(json!({})).fresh();
    let error = tenon_testkit::error(one.merge(other), "merging two types");
    assert_eq!(error.code(), ErrorCode::Unsupported);
}
