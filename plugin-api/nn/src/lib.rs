//! Layers on tch for tenon plugins.
