//! Classification and regression metrics for tenon.
