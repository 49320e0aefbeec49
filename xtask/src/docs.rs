//! `cargo xtask docs`: what the documents take from the code, written or held against it.
//!
//! Whole pages are printed by the program itself. In the other documents, what stands between
//! `<!-- docs: WHAT -->` and `<!-- docs: end -->` comes from the code: see [`blocks::What`].

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::cargo::repository;
use crate::test;

mod blocks;
mod excerpt;
mod guide;
mod links;
mod program;

use blocks::What;
use program::Program;

/// Pages that the program prints, with the command that does.
const PRINTED: [(&str, &[&str]); 3] = [
    ("docs/run-file.md", &["config", "reference"]),
    ("docs/run-file.schema.json", &["config", "schema"]),
    ("docs/components.md", &["plugin", "reference"]),
];
/// Documents with blocks that come from the code.
const FILLED: [&str; 2] = ["README.md", "docs/plugin-guide.md"];

/// Writes all that documents take from the code; with `check`, only tells what differs. `built`
/// is a folder with the program and the plugins; without one they are built.
///
/// The guide's crate is built as a stranger would build it, and its tests are run.
///
/// # Errors
/// A build or a test fails, a marker cannot be understood, or, with `check`, a document differs.
pub fn docs(check: bool, built: Option<&Path>) -> Result<String> {
    let program = match built {
        Some(folder) => Program::gather(folder)?,
        None => Program::gather(&test::build()?)?,
    };
    let guide = guide::build(check)?;
    let mut pages = Pages::new(check);
    for (path, command) in PRINTED {
        pages.settle(path, &program.run(command)?)?;
    }
    let mut blocks = 0;
    for path in FILLED {
        let text = read(path)?;
        let filled = blocks::fill(&text, |what| {
            blocks += 1;
            provide(what, &program)
        });
        pages.settle(path, &filled.with_context(|| path.to_owned())?)?;
    }
    let pages = pages.finish()?;
    let links = links::check(&repository())?;
    Ok(format!(
        "{pages} documents, {blocks} blocks, {links} links; the guide's metric built in {:.1} s",
        guide.as_secs_f64()
    ))
}

/// The text of a block.
fn provide(what: &What, program: &Program) -> Result<String> {
    match what {
        What::File(path) => Ok(fence(language(path), &read(path)?)),
        What::Item { path, start } => {
            let item = excerpt::item(&read(path)?, start).with_context(|| path.clone())?;
            Ok(fence(language(path), &item))
        }
        What::Output(line) => {
            let output = program.run(&arguments(line)?)?;
            Ok(session(line, &blocks::without_hashes(&output)))
        }
        What::Failure(line) => Ok(session(line, &program.fail(&arguments(line)?)?)),
        What::Components => program.components(),
    }
}

/// The arguments in a command line of `tenon`.
fn arguments(line: &str) -> Result<Vec<&str>> {
    match line.split_whitespace().collect::<Vec<_>>().split_first() {
        Some((&"tenon", arguments)) => Ok(arguments.to_vec()),
        _ => bail!("`{line}`: only what `tenon` prints can be shown"),
    }
}

/// A command line and what it printed.
fn session(line: &str, output: &str) -> String {
    fence("console", &format!("$ {}\n{output}", wrapped(line)))
}

/// A command line as it can be typed, broken before its options when it is long.
fn wrapped(line: &str) -> String {
    match line.len() > 100 {
        true => line.replace(" --", " \\\n    --"),
        false => line.to_owned(),
    }
}

fn fence(language: &str, text: &str) -> String {
    format!("```{language}\n{}\n```\n", text.trim_end())
}

fn language(path: &str) -> &str {
    match Path::new(path).extension().and_then(|end| end.to_str()) {
        Some("rs") => "rust",
        Some("jsonl") => "json",
        Some(other) => other,
        None => "text",
    }
}

fn read(path: &str) -> Result<String> {
    fs::read_to_string(repository().join(path)).with_context(|| format!("reading {path}"))
}

/// The documents, as they are brought up to date or found not to be.
struct Pages {
    check: bool,
    seen: usize,
    stale: Vec<String>,
}

impl Pages {
    fn new(check: bool) -> Self {
        Self {
            check,
            seen: 0,
            stale: Vec::new(),
        }
    }

    /// Makes the page at `path` say `text`, or notes that it does not.
    fn settle(&mut self, path: &str, text: &str) -> Result<()> {
        self.seen += 1;
        let file = repository().join(path);
        let present = fs::read_to_string(&file).unwrap_or_default();
        if present == text {
            return Ok(());
        }
        if self.check {
            self.stale
                .push(format!("{path}{}", difference(&present, text)));
            return Ok(());
        }
        fs::write(&file, text).with_context(|| format!("writing {path}"))?;
        println!("written: {path}");
        Ok(())
    }

    fn finish(self) -> Result<usize> {
        if self.stale.is_empty() {
            return Ok(self.seen);
        }
        bail!(
            "{} of {} documents differ from the code; `cargo xtask docs` brings them up to date\n  {}",
            self.stale.len(),
            self.seen,
            self.stale.join("\n  ")
        )
    }
}

/// The first line that differs: `:12: has "…", the code says "…"`.
fn difference(present: &str, expected: &str) -> String {
    let mut there = present.lines();
    let mut meant = expected.lines();
    let mut number = 0;
    loop {
        number += 1;
        match (there.next(), meant.next()) {
            (Some(a), Some(b)) if a == b => {}
            (None, None) => return ": differs in the ends of lines".to_owned(),
            (a, b) => {
                let show =
                    |line: Option<&str>| line.map_or("nothing".to_owned(), |l| format!("{l:?}"));
                return format!(":{number}: has {}, the code says {}", show(a), show(b));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_that_differs_is_told() {
        for (present, expected, told) in [
            ("a\nb\n", "a\nc\n", ":2: has \"b\", the code says \"c\""),
            ("a\n", "a\nb\n", ":2: has nothing, the code says \"b\""),
            ("a\nb", "a\nb\n", ": differs in the ends of lines"),
        ] {
            assert_eq!(difference(present, expected), told);
        }
    }

    /// A document whose markers are broken, or name what is gone, is found without a build.
    #[test]
    fn every_marker_can_be_understood() {
        let mut seen = 0;
        for path in FILLED {
            let text = read(path).expect("a committed document");
            blocks::fill(&text, |what| {
                seen += 1;
                match what {
                    What::Output(_) | What::Failure(_) | What::Components => Ok(String::new()),
                    What::File(path) => read(path),
                    What::Item { path, start } => excerpt::item(&read(path)?, start),
                }
            })
            .unwrap_or_else(|error| panic!("{path}: {error:#}"));
        }
        assert!(seen > 5, "only {seen} blocks were found");
    }
}
