//! Writing to the terminal: colours, notes, errors.

use std::io::{IsTerminal, Write};

use clap::builder::styling::{AnsiColor, Style};
use tenon_core::registry::{Problem, Registry};
use tenon_core::request::Terminal;

use super::failure::Failure;
use super::options::{GlobalOptions, When};

/// How output should look.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    /// Whether standard output gets JSON.
    pub json: bool,
    /// -2 errors only, -1 warnings too, 0 normal, 1 and 2 more.
    pub verbosity: i8,
    colour_out: bool,
    colour_err: bool,
    interactive: bool,
}

/// A heading.
pub const BOLD: Style = Style::new().bold();
/// What is less important.
pub const DIM: Style = Style::new().dimmed();
/// A name.
pub const NAME: Style = AnsiColor::Cyan.on_default().bold();
const ERROR: Style = AnsiColor::Red.on_default().bold();
const WARNING: Style = AnsiColor::Yellow.on_default().bold();

impl Output {
    /// As the global options say.
    pub fn new(options: &GlobalOptions) -> Self {
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
            || std::env::var_os("TERM").is_some_and(|value| value == "dumb");
        let colour = |is_terminal: bool| match options.color {
            When::Always => true,
            When::Never => false,
            When::Auto => is_terminal && !plain,
        };
        let clamp = |count: u8| i8::try_from(count.min(2)).unwrap_or(2);
        Self {
            json: options.json,
            verbosity: clamp(options.verbose) - clamp(options.quiet),
            colour_out: colour(std::io::stdout().is_terminal()),
            colour_err: colour(std::io::stderr().is_terminal()),
            interactive: std::io::stderr().is_terminal(),
        }
    }

    /// What the engine is told.
    pub fn terminal(&self) -> Terminal {
        Terminal {
            interactive: self.interactive,
            colour: self.colour_err,
            json: self.json,
            verbosity: self.verbosity,
        }
    }

    /// Text for standard output in a style.
    pub fn paint(&self, style: Style, text: &str) -> String {
        match self.colour_out {
            true => format!("{style}{text}{style:#}"),
            false => text.to_owned(),
        }
    }

    /// Writes to standard output; a reader that is gone is no error.
    pub fn print(&self, text: &str) {
        let mut out = std::io::stdout().lock();
        let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    }

    /// Writes a JSON value to standard output.
    pub fn print_json(&self, value: &serde_json::Value) {
        // Writing a value that is already in memory cannot fail.
        let text = serde_json::to_string_pretty(value).unwrap_or_default();
        self.print(&format!("{text}\n"));
    }

    /// Says something that is no fault.
    pub fn note(&self, text: &str) {
        if self.verbosity >= 0 {
            self.say(BOLD, "note", text);
        }
    }

    /// Says what may be wrong.
    pub fn warn(&self, text: &str) {
        if self.verbosity >= -1 {
            self.say(WARNING, "warning", text);
        }
    }

    /// Says why the command failed.
    pub fn failure(&self, failure: &Failure) {
        match self.json {
            true => self.print_json(&failure.to_json()),
            false => self.say(ERROR, "error", &failure.to_string()),
        }
    }

    /// Names the plugins that cannot be used. Those that the run file excludes are left out.
    pub fn warn_of_plugins(&self, registry: &Registry) {
        let excluded = |problem: &Problem| match problem {
            Problem::NotAllowed { .. } => true,
            Problem::DuplicateOf { chosen, .. } => *chosen,
            _ => false,
        };
        for error in registry.entries().iter().filter_map(|entry| entry.error()) {
            if !excluded(&error.problem) {
                self.warn(&error.to_string());
            }
        }
    }

    fn say(&self, style: Style, word: &str, text: &str) {
        let word = match self.colour_err {
            true => format!("{style}{word}{style:#}"),
            false => word.to_owned(),
        };
        let _ = writeln!(std::io::stderr().lock(), "{word}: {text}");
    }
}

/// Pads a cell; what is wider stays as it is.
pub fn pad(text: &str, width: usize) -> String {
    let missing = width.saturating_sub(text.chars().count());
    format!("{text}{}", " ".repeat(missing))
}

/// Breaks a text between words into lines of at most `width` characters.
pub fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}
