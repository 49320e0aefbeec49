//! Blocks of a document that come from the code, between `<!-- docs: WHAT -->` and
//! `<!-- docs: end -->`.

use anyhow::{Context, Result, bail};

/// What stands in a block.
#[derive(Debug, PartialEq, Eq)]
pub enum What {
    /// `file PATH`: a whole file.
    File(String),
    /// `item PATH: START`: the item of a file whose first line begins with `START`.
    Item {
        /// The file, from the repository's root.
        path: String,
        /// How the item begins.
        start: String,
    },
    /// `output tenon …`: the command line and what it prints.
    Output(String),
    /// `failure tenon …`: the command line, which fails, and what it says of that.
    Failure(String),
    /// `components`: a table of the components in the box.
    Components,
}

impl What {
    fn parse(text: &str) -> Result<Self> {
        let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
        match (word, rest) {
            ("components", "") => Ok(Self::Components),
            ("file", path) if !path.is_empty() => Ok(Self::File(path.to_owned())),
            ("output", line) if !line.is_empty() => Ok(Self::Output(line.to_owned())),
            ("failure", line) if !line.is_empty() => Ok(Self::Failure(line.to_owned())),
            ("item", rest) => {
                let (path, start) = rest
                    .split_once(": ")
                    .with_context(|| format!("`{text}`: expected `item PATH: START`"))?;
                Ok(Self::Item {
                    path: path.to_owned(),
                    start: start.to_owned(),
                })
            }
            _ => bail!(
                "`{text}`: expected `file PATH`, `item PATH: START`, `output tenon …`, \
                 `failure tenon …` or `components`"
            ),
        }
    }
}

const END: &str = "end";

/// The text with each block replaced by what `provide` gives for it.
pub fn fill(text: &str, mut provide: impl FnMut(&What) -> Result<String>) -> Result<String> {
    let mut filled = String::new();
    let mut lines = text.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        filled.push_str(line);
        filled.push('\n');
        let Some(marker) = marker(line) else {
            continue;
        };
        let place = || format!("line {}", number + 1);
        if marker == END {
            bail!("{}: ends a block that nothing began", place());
        }
        let block = What::parse(marker).and_then(|what| provide(&what));
        filled.push_str(&block.with_context(place)?);
        let end = lines.find(|(_, line)| self::marker(line).is_some());
        match end {
            Some((_, line)) if self::marker(line) == Some(END) => {
                filled.push_str(line);
                filled.push('\n');
            }
            _ => bail!("{}: `<!-- docs: end -->` is missing", place()),
        }
    }
    Ok(filled)
}

/// What a marker says.
fn marker(line: &str) -> Option<&str> {
    line.trim()
        .strip_prefix("<!-- docs: ")?
        .strip_suffix(" -->")
}

/// The text with `…` for each SHA-256, which differs from build to build.
pub fn without_hashes(text: &str) -> String {
    let is_hash = |word: &str| word.len() == 64 && word.bytes().all(|b| b.is_ascii_hexdigit());
    let pieces = text.split_inclusive(|c: char| !c.is_ascii_alphanumeric());
    let pieces = pieces.map(|piece| {
        let word = piece.trim_end_matches(|c: char| !c.is_ascii_alphanumeric());
        match is_hash(word) {
            true => piece.replace(word, "…"),
            false => piece.to_owned(),
        }
    });
    pieces.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(text: &str) -> String {
        fill(text, |what| Ok(format!("{what:?}\n"))).unwrap_or_else(|error| format!("{error:#}"))
    }

    #[test]
    fn blocks_are_replaced_and_all_else_stays() {
        let text = "head\n<!-- docs: components -->\nold\nolder\n<!-- docs: end -->\n\ntail\n";
        let expected = "head\n<!-- docs: components -->\nComponents\n<!-- docs: end -->\n\ntail\n";
        assert_eq!(filled(text), expected);
        assert_eq!(filled(expected), expected, "twice gives the same");
    }

    #[test]
    fn markers_are_read() {
        for (marker, expected) in [
            ("file a/b.rs", "File(\"a/b.rs\")"),
            (
                "item a/b.rs: impl X for Y",
                "Item { path: \"a/b.rs\", start: \"impl X for Y\" }",
            ),
            ("output tenon plugin list", "Output(\"tenon plugin list\")"),
        ] {
            let text = format!("<!-- docs: {marker} -->\n<!-- docs: end -->\n");
            assert!(filled(&text).contains(expected), "{}", filled(&text));
        }
    }

    #[test]
    fn mistakes_name_their_line() {
        for (text, expected) in [
            ("\n<!-- docs: end -->\n", "line 2: ends a block"),
            ("<!-- docs: components -->\n", "line 1: `<!-- docs: end"),
            (
                "<!-- docs: components -->\n<!-- docs: components -->\n",
                "line 1: `<!-- docs: end",
            ),
            ("<!-- docs: fiel x -->\n", "line 1: `fiel x`: expected"),
            ("<!-- docs: item x -->\n", "line 1: `item x`: expected"),
        ] {
            let found = filled(text);
            assert!(found.starts_with(expected), "{found}");
        }
    }

    #[test]
    fn hashes_are_left_out() {
        let hash = "0123456789abcdef".repeat(4);
        let text = format!("sha256  {hash}\n\"sha256\": \"{hash}\", {hash}0\n");
        let expected = format!("sha256  …\n\"sha256\": \"…\", {hash}0\n");
        assert_eq!(without_hashes(&text), expected);
    }
}
