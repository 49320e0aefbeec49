//! `docs/benchmarks.md`: what a part measured stands between `<!-- bench: PART -->` and
//! `<!-- bench: end -->`.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

const END: &str = "<!-- bench: end -->";

/// Puts the figures of `part` into the page at `path`.
///
/// # Errors
/// The page has no place for the part, or cannot be written.
pub fn write(path: &Path, part: &str, text: &str) -> Result<()> {
    let shown = path.display();
    let page = fs::read_to_string(path).with_context(|| format!("reading {shown}"))?;
    let page = replaced(&page, part, text).with_context(|| shown.to_string())?;
    fs::write(path, page).with_context(|| format!("writing {shown}"))
}

fn replaced(page: &str, part: &str, text: &str) -> Result<String> {
    let start = format!("<!-- bench: {part} -->");
    let (before, rest) = page
        .split_once(&start)
        .with_context(|| format!("has no line {start}"))?;
    let (_, after) = rest
        .split_once(END)
        .with_context(|| format!("has no {END} below {start}"))?;
    Ok(format!(
        "{before}{start}\n\n{}\n\n{END}{after}",
        text.trim()
    ))
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum as _;

    use super::*;
    use crate::bench::Part;

    #[test]
    fn only_the_part_is_replaced() {
        let page = "a\n<!-- bench: x -->\nold\n<!-- bench: end -->\nb\n<!-- bench: y -->\n<!-- bench: end -->\n";
        let expected = "a\n<!-- bench: x -->\n\nnew\n\n<!-- bench: end -->\nb\n<!-- bench: y -->\n<!-- bench: end -->\n";
        assert_eq!(replaced(page, "x", "new\n").expect("a place"), expected);
        let error = replaced(page, "z", "new").expect_err("no place");
        assert_eq!(error.to_string(), "has no line <!-- bench: z -->");
    }

    #[test]
    fn the_page_has_a_place_for_every_part() {
        let path = crate::cargo::repository().join("docs/benchmarks.md");
        let page = fs::read_to_string(path).expect("the page");
        for part in Part::value_variants() {
            replaced(&page, part.name(), "").expect("a place");
        }
    }
}
