//! Components as a host holds and calls them, one file a kind.

#[cfg(feature = "torch")]
pub(super) mod build;
mod metric;
#[cfg(feature = "torch")]
mod model;
#[cfg(feature = "torch")]
mod peft;
mod processor;
mod task;

#[cfg(feature = "torch")]
pub use build::{BuildHost, SiteHost};
pub use metric::MetricHandle;
#[cfg(feature = "torch")]
pub use model::ModelHandle;
#[cfg(feature = "torch")]
pub use peft::{AttachedHandle, PeftHandle};
pub use processor::ProcessorHandle;
pub use task::TaskHandle;
