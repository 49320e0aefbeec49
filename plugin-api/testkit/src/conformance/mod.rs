//! One battery of checks a kind, which every component should pass.
//!
//! A battery finds what it needs in the component's own declarations, makes inputs up, and panics
//! at the first thing that a host or a user could trip over. Call it in one test of your crate:
//! `tenon_testkit::conformance::metric::<ExactMatch>();`. Where an option has no default, or the
//! declarations do not say enough, the `_with` form takes what is missing.

#[cfg(feature = "torch")]
mod decoding;
mod metric;
#[cfg(feature = "torch")]
mod model;
mod options;
#[cfg(feature = "torch")]
mod peft;
#[cfg(feature = "torch")]
mod task;
#[cfg(feature = "torch")]
mod writing;

pub use metric::{metric, metric_with};
#[cfg(feature = "torch")]
pub use model::{model, model_variants, model_with};
pub use options::check as options;
#[cfg(feature = "torch")]
pub use peft::{peft, peft_with};
#[cfg(feature = "torch")]
pub use task::{TaskCase, task, task_with};

/// Checks what all kinds declare.
#[track_caller]
fn declarations<O: tenon_plugin_api::Options>(id: &str, about: &str) {
    let kebab = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    assert!(
        !id.is_empty() && id.chars().all(kebab) && !id.starts_with('-') && !id.ends_with('-'),
        "the name {id:?} is not kebab-case"
    );
    assert!(
        !about.is_empty(),
        "`{id}` says nothing of itself: set `const ABOUT`"
    );
    assert!(
        !about.contains('\n'),
        "what `{id}` says of itself is more than one line"
    );
    options::<O>();
}
