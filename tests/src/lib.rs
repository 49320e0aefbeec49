//! Workspace-level tests of tenon.
