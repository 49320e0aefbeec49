//! Runs a tenon plugin the way the host would, in its author's tests.
