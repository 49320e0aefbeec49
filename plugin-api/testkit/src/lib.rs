//! Runs a tenon plugin the way the host would, in its author's `cargo test`.
//!
//! What is tested goes through the same generated adapter as in a host: options are read from
//! JSON, panics come back as errors, columns and tensors cross as they do there. All functions
//! panic with a message that says what was expected and what was found, as tests do.
//!
//! - [`metric()`], and with the feature `torch` [`task()`], [`model()`] and [`peft()`], put one
//!   component on the bench, with helpers for what its author asserts;
//! - [`conformance`] has one battery of checks a kind, which every component should pass;
//! - [`open()`] opens the built library itself.
//!
//! ```
//! use tenon_plugin_api::metric::prelude::*;
//!
//! /// The share of predictions that equal their reference.
//! struct Exact { hits: u64, seen: u64 }
//!
//! impl Metric for Exact {
//!     const ID: &'static str = "exact";
//!     const ABOUT: &'static str = "Share of predictions that equal their reference.";
//!     type Options = ();
//!     type Input = Label;
//!
//!     fn new((): ()) -> Result<Self> { Ok(Self { hits: 0, seen: 0 }) }
//!     fn update(&mut self, batch: Pairs<'_, Label>) -> Result<()> {
//!         for (prediction, reference) in batch.iter() {
//!             self.seen += 1;
//!             self.hits += u64::from(prediction.id() == reference);
//!         }
//!         Ok(())
//!     }
//!     fn merge(&mut self, other: Self) { self.hits += other.hits; self.seen += other.seen; }
//!     fn compute(&self) -> Scores {
//!         Scores::one("exact", self.hits as f64 / self.seen as f64).higher_is_better()
//!     }
//! }
//!
//! let metric = tenon_testkit::metric::<Exact>(serde_json::json!({}));
//! metric.check(Values::labels([0, 1, 1, 0]), Values::labels([0, 1, 0, 0]), &[("exact", 0.75)]);
//! tenon_testkit::conformance::metric::<Exact>();
//! ```

pub mod columns;
pub mod conformance;
mod library;
pub mod metric;
#[cfg(feature = "torch")]
pub mod model;
#[cfg(feature = "torch")]
pub mod peft;
#[cfg(feature = "torch")]
pub mod pretrained;
pub mod services;
#[cfg(feature = "torch")]
pub mod task;
pub mod tokenizer;

pub use library::open;
pub use metric::metric;
#[cfg(feature = "torch")]
pub use model::model;
#[cfg(feature = "torch")]
pub use peft::peft;
#[cfg(feature = "torch")]
pub use task::task;
pub use tokenizer::Whitespace;

/// The error of what was expected to fail.
///
/// # Panics
/// It did not fail.
#[track_caller]
pub fn error<T>(result: tenon_plugin_api::Result<T>, what: &str) -> tenon_plugin_api::Error {
    match result {
        Ok(_) => panic!("{what}: expected an error, found success"),
        Err(error) => error,
    }
}

/// The value of what was expected to succeed.
///
/// # Panics
/// It failed.
#[track_caller]
pub fn ok<T>(result: tenon_plugin_api::Result<T>, what: &str) -> T {
    match result {
        Ok(value) => value,
        Err(error) => panic!("{what}: expected success, found {error:?}"),
    }
}
