//! Run files, checked against a made-up set of components in a folder of their own.

mod fixture;
mod hostile;
mod layers;
mod reports;
mod resolved;
mod schema;
