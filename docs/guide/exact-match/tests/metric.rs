//! The metric on the bench of `tenon-testkit`: called as a host calls it, through its adapter.

use exact_match::ExactMatch;
use serde_json::json;
use tenon_plugin_api::values::Values;
use tenon_testkit::{conformance, metric};

#[test]
fn one_of_the_references_is_enough() {
    let exact_match = metric::<ExactMatch>(json!({}));
    let predictions = Values::text(["a tenon", "a mortise"]);
    let references = Values::texts([vec!["tenon", "a tenon"], vec!["a joint"]]);
    exact_match.check(predictions, references, &[("exact_match", 0.5)]);
}

/// Batches and workers change nothing, nothing seen is no panic, wrong input is an error, …
#[test]
fn it_keeps_what_a_host_relies_on() {
    conformance::metric::<ExactMatch>();
}

#[test]
fn options_that_it_does_not_have_are_refused() {
    let error = tenon_testkit::metric::refused::<ExactMatch>(json!({ "ignore_case": true }));
    assert_eq!(
        error.to_string(),
        "exact-match: ignore_case: unknown key; there are no options here"
    );
}
