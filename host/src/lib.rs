//! The command line of tenon.
//!
//! All that needs no libtorch is done here, on top of `tenon-core`: checking run files, listing
//! plugins. What computes is handed to the engine, a library that [`cli`] opens at
//! run time and never links.

#![forbid(unsafe_code)]

pub mod cli;
