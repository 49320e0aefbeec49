//! BERT for tenon.
