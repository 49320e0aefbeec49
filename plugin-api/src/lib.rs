//! Everything a tenon plugin author links: traits, registration, ABI.
