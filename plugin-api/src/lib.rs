//! Everything a tenon plugin author links: traits, registration, ABI.

// The derive macros name this crate by its full path, also within it.
extern crate self as tenon_plugin_api;

pub mod options;

pub use options::Options;
pub use tenon_plugin_api_derive::Options;

/// What macros expand to; not for people.
#[doc(hidden)]
pub mod __private {
    pub use crate::options::codegen as options;
    pub use {serde, serde_json};
}
