//! Text classification and regression for tenon.
