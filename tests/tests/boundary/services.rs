//! What a plugin asks of its host arrives there: services, spans and events.

use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

use tenon_plugin_api::values::Values;
use tenon_plugin_api::{ErrorCode, host::Services as _};

use super::program::open;

#[test]
fn every_service_reaches_the_host() {
    let host = tenon_testkit::services::record();
    let plugin = open("plain");
    let mut probe = plugin.metric("probe", "{}").expect("a metric");
    let pair = Values::labels([1]);
    host.seed(17);
    host.folder(Some("runs/x/artifacts".into()));
    host.take_progress();

    let scores = probe.compute().expect("scores");
    let score = |name| scores.get(name).expect("a score");
    assert_eq!(score("parallel_sum"), 4950.0);
    assert_eq!(score("seed"), (host.derive_seed("probe") >> 11) as f64);
    assert_eq!(score("cancelled"), 0.0);
    let folder = scores
        .as_slice()
        .last()
        .and_then(|score| score.detail.clone());
    assert_eq!(folder, Some("runs/x/artifacts".into()));
    assert_eq!(
        host.take_progress(),
        ["1 start probing calls 2", "1 +2", "1 end"]
    );

    host.cancel(true);
    let error = probe.update(&pair, &pair).expect_err("cancelled");
    host.cancel(false);
    assert_eq!(error.code(), ErrorCode::Cancelled);
    assert!(probe.update(&pair, &pair).is_ok());
}

/// Where the host's subscriber writes.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn spans_and_events_of_a_plugin_nest_in_the_hosts() {
    let plugin = open("plain");
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .without_time()
        .with_writer(move || writer.clone())
        .finish();
    tracing::subscriber::with_default(subscriber, || {
        let _step = tracing::info_span!("step", number = 4).entered();
        let mut metric = plugin.metric("hits", "{}").expect("a metric");
        let pair = Values::labels([1, 0]);
        metric.update(&pair, &pair).expect("an update");
    });
    let lines = lines.0.lock().unwrap_or_else(PoisonError::into_inner);
    insta::assert_snapshot!(String::from_utf8_lossy(&lines), @" INFO step{number=4}:update{pairs=2}: tenon_fixture_plain: counted hits=2");
}
