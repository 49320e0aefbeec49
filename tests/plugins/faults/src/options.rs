//! Where to panic, and where to fail.

use std::fmt;
use std::num::ParseIntError;
use std::panic::Location;

use tenon_plugin_api::{Context as _, Options, Result};

/// Options of each component.
#[derive(Options, Clone)]
pub struct Faults {
    /// The method that panics; `drop` is the destructor.
    #[default("")]
    panic_in: String,
    /// The method that fails.
    #[default("")]
    fail_in: String,
}

impl Faults {
    /// Fails or panics if the options say so of `method`.
    #[track_caller]
    pub fn at(&self, method: &str) -> Result<()> {
        self.panic_at(method);
        match self.fail_in == method {
            true => Err(lexicon()
                .expect_err("it is damaged")
                .with_help("mend the lexicon")),
            false => Ok(()),
        }
    }

    /// Panics if the options say so of `method`; the message says where it should be located.
    #[track_caller]
    pub fn panic_at(&self, method: &str) {
        let line = Location::caller().line();
        assert!(self.panic_in != method, "{method}, on line {line}");
    }
}

impl Drop for Faults {
    fn drop(&mut self) {
        // Not while another panic unwinds, which would end the process whatever the host does.
        if !std::thread::panicking() {
            self.panic_at("drop");
        }
    }
}

/// A line of a file that cannot be read.
#[derive(Debug)]
struct BadLine {
    line: u32,
    source: ParseIntError,
}

impl fmt::Display for BadLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {} holds no number", self.line)
    }
}

impl std::error::Error for BadLine {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

/// Reads a lexicon, whose third line is bad: an error with a source, and context above it.
fn lexicon() -> Result<u32> {
    let number = "three".parse::<u32>();
    let number = number.map_err(|source| BadLine { line: 3, source });
    number.context("reading the lexicon")
}
