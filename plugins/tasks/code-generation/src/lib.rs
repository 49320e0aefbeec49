//! Code generation: models write programs, and tests say whether they work.

pub mod sandbox;
