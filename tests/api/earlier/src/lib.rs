//! plugin-api as an earlier minor version may have been: the newest methods are not there yet.

#![allow(
    macro_expanded_macro_exports_accessed_by_absolute_paths,
    reason = "the source is included, so all of it counts as expanded"
)]

include!(concat!(env!("OUT_DIR"), "/src/lib.rs"));
