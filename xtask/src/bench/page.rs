//! `docs/benchmarks.md`: what a part measured stands between `<!-- bench: PART -->` and
//! `<!-- bench: end -->`.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};

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

/// Puts rows of `table` into the table of `part`, in place of those with the same first `keys`
/// cells, or below them all. The figures there must be of the machine `place`, too.
///
/// # Errors
/// The page has no such table, or cannot be written.
pub fn amend(path: &Path, part: &str, place: &str, keys: usize, table: &str) -> Result<()> {
    let shown = path.display();
    let page = fs::read_to_string(path).with_context(|| format!("reading {shown}"))?;
    let (_, old, _) = split(&page, part).with_context(|| shown.to_string())?;
    let text = amended(old, place, keys, table)
        .with_context(|| format!("{shown}: measure all of {part} at once"))?;
    let page = replaced(&page, part, &text)?;
    fs::write(path, page).with_context(|| format!("writing {shown}"))
}

fn amended(old: &str, place: &str, keys: usize, table: &str) -> Result<String> {
    ensure!(old.contains(place), "the figures there are not of {place}");
    let is_row = |line: &&str| line.starts_with('|');
    let key = |line: &str| -> Vec<String> {
        let cells = line.split('|').skip(1).take(keys);
        cells.map(|cell| cell.trim().to_owned()).collect()
    };
    let mut lines: Vec<&str> = old.lines().collect();
    let first = lines.iter().position(is_row);
    let first = first.context("there is no table yet")?;
    let mut end = first
        + lines[first..]
            .iter()
            .take_while(|line| is_row(line))
            .count();
    let mut rows = table.lines().filter(is_row);
    ensure!(
        rows.next() == Some(lines[first]),
        "the table there has other columns"
    );
    for row in rows.skip(1) {
        let old = (first + 2..end).find(|&at| key(lines[at]) == key(row));
        match old {
            Some(at) => lines[at] = row,
            None => {
                lines.insert(end, row);
                end += 1;
            }
        }
    }
    Ok(lines.join("\n"))
}

fn replaced(page: &str, part: &str, text: &str) -> Result<String> {
    let (before, _, after) = split(page, part)?;
    Ok(format!("{before}\n\n{}\n\n{after}", text.trim()))
}

/// The page up to the part's first line with it, the part, and its last line with the rest.
fn split<'a>(page: &'a str, part: &str) -> Result<(&'a str, &'a str, &'a str)> {
    let start = format!("<!-- bench: {part} -->");
    let place = page.find(&start);
    let place = place.with_context(|| format!("has no line {start}"))? + start.len();
    let end = page[place..].find(END);
    let end = end.with_context(|| format!("has no {END} below {start}"))? + place;
    Ok((&page[..place], &page[place..end], &page[end..]))
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
    fn rows_are_amended() {
        let old = "today: 2 cores:\n\n    command\n\n| a | b | x |\n| --- | --- | ---: |\n\
                   | one | p | 1 |\n| one | q | 2 |\n\nmore\n";
        let table = "| a | b | x |\n| --- | --- | ---: |\n| two | p | 4 |\n| one | q | 3 |\n";
        let expected = "today: 2 cores:\n\n    command\n\n| a | b | x |\n| --- | --- | ---: |\n\
                        | one | p | 1 |\n| one | q | 3 |\n| two | p | 4 |\n\nmore";
        let found = amended(old, "2 cores", 2, table).expect("a table");
        assert_eq!(found, expected);
        for (place, table, problem) in [
            ("4 cores", table, "the figures there are not of 4 cores"),
            (
                "2 cores",
                "| a | y |\n| --- | --- |\n",
                "the table there has other columns",
            ),
        ] {
            let error = amended(old, place, 2, table).expect_err(problem);
            assert_eq!(error.to_string(), problem);
        }
        let error = amended("2 cores", "2 cores", 2, table).expect_err("nothing there");
        assert_eq!(error.to_string(), "there is no table yet");
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
