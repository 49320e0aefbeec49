//! Derive macros of tenon-plugin-api.
