//! `docs/benchmarks.md`: what a part measured stands between `<!-- bench: PART -->` and
//! `<!-- bench: end -->`, machine by machine, each after a line `DATE: MACHINE:`.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};

const END: &str = "<!-- bench: end -->";

/// Puts the figures of `part` into the page at `path`, in place of those of the same machine, `place`, or below those of
/// others. `text` begins with the line of the machine.
///
/// # Errors
/// The page has no place for the part, or cannot be written.
pub fn write(path: &Path, part: &str, place: &str, text: &str) -> Result<()> {
    edit(path, part, |old| {
        let mut texts = by_machine(old);
        match texts.iter_mut().find(|old| is_of(old, place)) {
            Some(old) => *old = text,
            None => texts.push(text),
        }
        Ok(together(&texts))
    })
}

/// Puts rows of `table` into the table of `part` and the machine `place`, in place of those with the same first `keys`
/// cells, or below them all.
///
/// # Errors
/// The page has no such table, or cannot be written.
pub fn amend(path: &Path, part: &str, place: &str, keys: usize, table: &str) -> Result<()> {
    edit(path, part, |old| {
        let mut texts = by_machine(old);
        let of_place = texts.iter_mut().find(|old| is_of(old, place));
        let all_at_once = || format!("measure all of {part} at once");
        let old = of_place.with_context(|| format!("no figures there are of {place}"));
        let old = old.with_context(all_at_once)?;
        let text = amended(old, keys, table).with_context(all_at_once)?;
        *old = &text;
        Ok(together(&texts))
    })
}

/// Replaces a part of the page.
fn edit(path: &Path, part: &str, new: impl FnOnce(&str) -> Result<String>) -> Result<()> {
    let shown = path.display();
    let page = fs::read_to_string(path).with_context(|| format!("reading {shown}"))?;
    let (before, old, after) = split(&page, part).with_context(|| shown.to_string())?;
    let new = new(old).with_context(|| shown.to_string())?;
    fs::write(path, format!("{before}\n\n{new}\n\n{after}"))
        .with_context(|| format!("writing {shown}"))
}

/// The texts of a part, each from the line of its machine.
fn by_machine(part: &str) -> Vec<&str> {
    let mut starts = Vec::new();
    let mut at = 0;
    for line in part.split_inclusive('\n') {
        if line.trim_end().ends_with(':') && line.contains(" cores of ") {
            starts.push(at);
        }
        at += line.len();
    }
    let ends = starts.iter().skip(1).copied().chain([part.len()]);
    starts
        .iter()
        .zip(ends)
        .map(|(&from, to)| &part[from..to])
        .collect()
}

fn is_of(text: &str, place: &str) -> bool {
    let machine = text.lines().next().unwrap_or_default();
    machine
        .strip_suffix(':')
        .is_some_and(|machine| machine.ends_with(&format!(": {place}")))
}

fn together(texts: &[&str]) -> String {
    let texts: Vec<&str> = texts.iter().map(|text| text.trim()).collect();
    texts.join("\n\n")
}

fn amended(old: &str, keys: usize, table: &str) -> Result<String> {
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
    fn figures_of_the_same_machine_are_replaced() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("page.md");
        fs::write(&path, "a\n<!-- bench: x -->\n<!-- bench: end -->\nb\n").expect("a page");
        let put = |place: &str, figures: &str| {
            let text = format!("today: {place}:\n\n{figures}\n");
            write(&path, "x", place, &text).expect("a place");
            fs::read_to_string(&path).expect("the page")
        };
        put("2 cores of A", "old");
        put("2 cores of B", "other");
        let expected = "a\n<!-- bench: x -->\n\ntoday: 2 cores of A:\n\nnew\n\n\
                        today: 2 cores of B:\n\nother\n\n<!-- bench: end -->\nb\n";
        assert_eq!(put("2 cores of A", "new"), expected);
        let error = write(&path, "z", "", "new").expect_err("no place");
        assert_eq!(
            error.root_cause().to_string(),
            "has no line <!-- bench: z -->"
        );
    }

    #[test]
    fn rows_are_amended() {
        let old = "today: 2 cores:\n\n    command\n\n| a | b | x |\n| --- | --- | ---: |\n\
                   | one | p | 1 |\n| one | q | 2 |\n\nmore\n";
        let table = "| a | b | x |\n| --- | --- | ---: |\n| two | p | 4 |\n| one | q | 3 |\n";
        let expected = "today: 2 cores:\n\n    command\n\n| a | b | x |\n| --- | --- | ---: |\n\
                        | one | p | 1 |\n| one | q | 3 |\n| two | p | 4 |\n\nmore";
        assert_eq!(amended(old, 2, table).expect("a table"), expected);
        for (old, table, problem) in [
            (
                old,
                "| a | y |\n| --- | --- |\n",
                "the table there has other columns",
            ),
            ("2 cores", table, "there is no table yet"),
        ] {
            let error = amended(old, 2, table).expect_err(problem);
            assert_eq!(error.to_string(), problem);
        }
    }

    #[test]
    fn the_page_has_a_place_for_every_part() {
        let path = crate::cargo::repository().join("docs/benchmarks.md");
        let page = fs::read_to_string(path).expect("the page");
        for part in Part::value_variants() {
            split(&page, part.name()).expect("a place");
        }
    }
}
