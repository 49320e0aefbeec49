//! Intervals and tests of a metric that knows nothing of translations.
//!
//! The expected numbers are numpy 2.4.6's, with `default_rng(12345)`: of `hits[idx].mean(1)` and
//! `base[idx].mean(1)` for `idx = rng.choice(7, size=(200, 7))`, the mean and half the distance of
//! the values at 5 and 194; and of 100 exchanges by `rng.integers(2, size=(100, 7), dtype=bool)`.

use tenon_core::config;
use tenon_core::registry::Registry;
use tenon_core::score::{
    Baseline, Confidence, NamedScore, PairedTest, ScoreRequest, Significance, score,
};
use tenon_plugin_api::host::Plugin;

use crate::metrics;

const RIGHT: &str = "a\nb\nc\nd\ne\nf\ng\n";
/// Right in rows 0, 2, 3 and 5.
const HITS: &str = "a\nx\nc\nd\nx\nf\nx\n";
/// Right in rows 0 and 3.
const BASE: &str = "a\nx\nx\nd\nx\nx\nx\n";

/// The scores of each system, the baseline first, or the message.
fn found(
    metric: &str,
    test: Option<PairedTest>,
    resamples: Option<usize>,
) -> Result<Vec<Vec<NamedScore>>, String> {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("writes");
        path
    };
    let mut registry = Registry::default();
    let plugin = Plugin::linked(metrics::tenon_plugin());
    registry.add_linked(plugin).expect("a manifest");
    let baseline = test.map(|test| Baseline {
        predictions: write("base.txt", BASE),
        test,
    });
    let request = ScoreRequest {
        metrics: config::metrics("--metric", &[metric.to_owned()], &registry).expect("a metric"),
        references: Some(write("ref.txt", RIGHT)),
        predictions: vec![write("hits.txt", HITS)],
        significance: Significance {
            resamples,
            baseline,
            seed: 12345,
        },
        ..ScoreRequest::default()
    };
    let scored = score(&request, &registry).map_err(|error| error.to_string())?;
    Ok(scored
        .systems
        .into_iter()
        .map(|system| system.scores)
        .collect())
}

fn close(found: Option<Confidence>, mean: f64, interval: f64) {
    let found = found.expect("an interval");
    assert!((found.mean - mean).abs() < 1e-15, "{found:?}");
    assert!((found.interval - interval).abs() < 1e-15, "{found:?}");
}

#[test]
fn a_confidence_interval() {
    let systems = found("drawn", None, Some(200)).expect("scores");
    let [share, rows] = systems[0].as_slice() else {
        panic!("two scores");
    };
    close(
        share.confidence,
        0.573_571_428_571_428_6,
        0.357_142_857_142_857_1,
    );
    assert_eq!(
        (share.p_value, rows.confidence, rows.p_value),
        (None, None, None)
    );
}

#[test]
fn a_paired_bootstrap() {
    let systems = found("drawn", Some(PairedTest::Bootstrap), Some(200)).expect("scores");
    let (base, hits) = (&systems[0][0], &systems[1][0]);
    close(
        base.confidence,
        0.292_857_142_857_142_76,
        0.285_714_285_714_285_7,
    );
    close(
        hits.confidence,
        0.573_571_428_571_428_6,
        0.357_142_857_142_857_1,
    );
    assert_eq!((base.p_value, hits.p_value), (None, Some(18.0 / 201.0)));
}

#[test]
fn exchanges_at_random() {
    let test = PairedTest::Randomization { trials: 100 };
    let systems = found("drawn", Some(test), None).expect("scores");
    let (base, hits) = (&systems[0][0], &systems[1][0]);
    assert_eq!((base.confidence, hits.confidence), (None, None));
    assert_eq!((base.p_value, hits.p_value), (None, Some(1.0 / 101.0)));
}

#[test]
fn a_metric_that_scores_no_draws() {
    let message = found("any-of", None, Some(200)).expect_err("it cannot");
    assert!(
        message.starts_with("metric `any-of` cannot score draws of examples"),
        "{message}"
    );
}
