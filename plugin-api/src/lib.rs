//! Everything that the author of a tenon plugin links: traits, registration, errors, services.
//!
//! A plugin is a crate of type `cdylib` that implements one or more of
//!
//! - [`metric::Metric`]: compares predictions with references (no libtorch needed),
//! - [`task::Task`]: turns records into examples, outputs into a loss and predictions,
//! - [`model::Model`]: an architecture, built from parameters that the host owns,
//! - [`peft::Peft`]: a method of parameter-efficient fine-tuning,
//! - [`processor::Processor`]: changes the scores of the next token while text is generated (no libtorch),
//!
//! and names them in [`register!`] at its root. Tasks, models and PEFT methods need the feature `torch`.
//!
//! Authors write ordinary safe Rust: the adapters that carry a component across the stable ABI,
//! contain its panics and forward its `tracing` events are generated.
//!
//! Words about threads and ownership, used in all docs here: **called from one thread at a time**
//! means never concurrently but perhaps from different threads; **called from several threads at
//! once** means concurrently, so the type is `Sync`; what a method takes **by value** is the
//! callee's to keep or drop.

// The derive macros name this crate by its full path, also within it.
extern crate self as tenon_plugin_api;

#[cfg(feature = "torch")]
pub mod cache;
pub mod error;
pub mod info;
pub mod manifest;
pub mod metric;
#[cfg(feature = "torch")]
pub mod model;
pub mod names;
pub mod options;
#[cfg(feature = "torch")]
pub mod peft;
pub mod processor;
pub mod prompt;
pub mod record;
pub mod resample;
pub mod services;
#[cfg(feature = "torch")]
pub mod task;
pub mod tensor;
pub mod tokenizer;
pub mod values;

#[cfg(feature = "host")]
pub mod host;

mod abi;
mod panic;
#[doc(hidden)]
pub mod register;
mod trace;

pub use error::{Context, Error, ErrorCode, Result};
pub use options::Options;
#[cfg(feature = "torch")]
pub use tch;

/// What macros expand to; not for people.
#[doc(hidden)]
pub mod __private {
    pub use crate::abi::root::PluginRootRef;
    pub use crate::options::codegen as options;
    pub use crate::{manifest, register};
    pub use abi_stable::library::LibHeader;
    pub use {inventory, serde, serde_json};
}
