//! Run files, plugin registry, data and run folders of tenon.

pub mod config;
pub mod data;
pub mod folder;
mod hex;
pub mod registry;
pub mod request;
pub mod score;
pub mod tokenizer;

pub use hex::hex;
