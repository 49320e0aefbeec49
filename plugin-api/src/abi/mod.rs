//! What crosses the boundary: objects, the table of a plugin, the services of the host.
//!
//! Nothing here is written by hand outside this crate. Cold descriptors travel as JSON text,
//! which evolves by adding keys; what is called in every step travels as `repr(C)` data.
//!
//! Evolution: a new method goes behind `last_prefix_field` with a default body, a new entry of
//! [`root::PluginRoot`] or [`services::HostServices`] behind theirs. `tests/` opens libraries
//! that lack the newest ones.

#![allow(
    missing_docs,
    reason = "mirrors the documented traits; private in effect"
)]
#![allow(non_local_definitions, reason = "made by #[sabi_trait]")]
#![allow(
    clippy::used_underscore_items,
    clippy::missing_safety_doc,
    reason = "made by #[sabi_trait]"
)]

pub mod metric;
pub mod model;
pub mod peft;
pub mod processor;
pub mod root;
pub mod services;
pub mod task;
pub mod tokenizer;

pub use abi_stable::sabi_trait::TD_Opaque;
pub use abi_stable::std_types::{RBox, RResult, RStr, RString};

use crate::error::{AbiError, Error, Result};

/// What every function of the boundary answers.
pub type AbiResult<T> = RResult<T, AbiError>;

pub(crate) fn to_json<T: serde::Serialize>(value: &T) -> Result<RString> {
    let text = serde_json::to_string(value);
    Ok(text
        .map_err(|error| Error::data(format!("cannot be written as JSON: {error}")))?
        .into())
}

pub(crate) fn from_json<T: serde::de::DeserializeOwned>(text: &str) -> Result<T> {
    serde_json::from_str(text)
        .map_err(|error| Error::data(format!("not the JSON that was expected: {error}")))
}

/// Turns an answer of the boundary into an ordinary result.
pub(crate) fn answer<T>(result: AbiResult<T>) -> Result<T> {
    result.into_result().map_err(Error::from)
}
