//! Options of components: what a run file may say, checked and published.
//!
//! An author derives [`Options`](macro@crate::Options) on a struct; the host
//! reads its JSON Schema from the plugin's manifest, and the plugin reads the
//! checked table with [`Options::from_json`].
//!
//! ```
//! use tenon_plugin_api::Options;
//!
//! /// Options of `lora`.
//! #[derive(Options)]
//! struct Lora {
//!     /// Rank of the update.
//!     #[default(8)]
//!     #[range(min = 1)]
//!     r: usize,
//! }
//!
//! assert_eq!(Lora::from_json(r#"{"r": 4}"#)?.r, 4);
//! let error = Lora::from_json(r#"{"r": 0}"#).err().expect("out of range");
//! assert_eq!(error.to_string(), "r: expected a number ≥ 1, found 0");
//! # Ok::<(), tenon_plugin_api::options::OptionsError>(())
//! ```

mod error;
mod range;
mod read;
mod schema;
mod values;

pub use error::OptionsError;
/// Derives the trait of the same name.
pub use tenon_plugin_api_derive::Options;
pub use values::{Class, Column, OneOrMany, Sites, Template};

use serde::de::DeserializeOwned;

/// The options of one component: a table of named values.
///
/// Derived, hardly ever written by hand. Plain data: any thread may read it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a table of options",
    note = "write `#[derive(Options)]` on the struct"
)]
pub trait Options: Sized {
    /// Compact JSON Schema (an object with `properties` and
    /// `additionalProperties: false`).
    const SCHEMA: &'static str;

    /// Reads a JSON object; absent keys take their defaults.
    ///
    /// # Errors
    /// An unknown or missing key, a value of the wrong type or out of range,
    /// each with the path of its key.
    fn from_json(text: &str) -> Result<Self, OptionsError>;
}

/// A value that an option may have.
///
/// Implemented for booleans, integers, floats, `String`, `PathBuf`, `Vec`,
/// `Option`, `BTreeMap<String, _>`, [`serde_json::Value`], [`Column`],
/// [`Template`], [`Class`], [`Sites`], [`OneOrMany`] and whatever derives
/// [`Options`](macro@crate::Options).
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the value of an option",
    note = "an enum or a struct of your own becomes one with `#[derive(Options)]`"
)]
pub trait OptionValue: DeserializeOwned {
    /// Compact JSON Schema of the value: one JSON object, no white space
    /// outside strings.
    const SCHEMA: &'static str;
}

/// No options: `type Options = ();`.
impl Options for () {
    const SCHEMA: &'static str =
        r#"{"type":"object","properties":{},"additionalProperties":false}"#;

    fn from_json(text: &str) -> Result<Self, OptionsError> {
        #[derive(serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Nothing {}
        read::from_json::<Nothing>(text).map(|Nothing {}| ())
    }
}

/// What the derive macro's output calls; not for people.
#[doc(hidden)]
pub mod codegen {
    pub use super::range::{Bound, Range, in_range};
    pub use super::read::{choice, from_json, table};
    pub use super::schema::{Buf, join, text, total_len};
    pub use super::values::{DefaultList, DefaultText};
    pub use super::{OptionValue, Options, OptionsError};
}
