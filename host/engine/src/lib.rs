//! The libtorch engine of tenon.
