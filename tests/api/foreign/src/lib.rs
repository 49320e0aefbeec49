//! plugin-api with one type changed in a patch release, which must never happen.

#![allow(
    macro_expanded_macro_exports_accessed_by_absolute_paths,
    reason = "the source is included, so all of it counts as expanded"
)]

include!(concat!(env!("OUT_DIR"), "/src/lib.rs"));
