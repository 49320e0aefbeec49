//! Cutting an item out of a source file.

use anyhow::{Result, bail};

/// The item whose first line begins with `start`, with its docs and attributes, moved to the left
/// edge. It ends with the next line that closes it: of the same indentation, and beginning with a
/// bracket; or with its first line, where that ends with `;` or `}`.
///
/// # Errors
/// No line begins so, several do, or the item has no end.
pub fn item(text: &str, start: &str) -> Result<String> {
    let lines: Vec<&str> = text.lines().collect();
    let found: Vec<usize> = (0..lines.len())
        .filter(|index| lines[*index].trim_start().starts_with(start))
        .collect();
    let [first] = found[..] else {
        bail!("{} lines begin with `{start}`, expected one", found.len());
    };
    let indentation = indentation(lines[first]);
    let is_head = |line: &str| {
        let line = line.trim_start();
        line.starts_with("///") || line.starts_with("#[")
    };
    let mut begin = first;
    while begin > 0 && is_head(lines[begin - 1]) {
        begin -= 1;
    }
    let closes = |line: &str| {
        self::indentation(line) == indentation && line.trim_start().starts_with(['}', ')', ']'])
    };
    let single = lines[first].ends_with([';', '}']);
    let end = match single {
        true => Some(first),
        false => (first + 1..lines.len()).find(|index| closes(lines[*index])),
    };
    let Some(end) = end else {
        bail!("nothing closes what begins with `{start}`");
    };
    let cut = |line: &&str| line.get(indentation..).unwrap_or_default().to_owned();
    let cut: Vec<String> = lines[begin..=end].iter().map(cut).collect();
    Ok(cut.join("\n"))
}

fn indentation(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
//! A file.

/// A struct.
#[derive(Debug)]
struct A {
    /// A field.
    field: u8,
}

impl A {
    /// Does it.
    fn act(&self) {
        if true {
        }
    }

    fn other(&self) {}
}

register!(metric: A);
";

    #[test]
    fn items_come_whole_and_at_the_left_edge() {
        for (start, expected) in [
            (
                "struct A",
                "/// A struct.\n#[derive(Debug)]\nstruct A {\n    /// A field.\n    field: u8,\n}",
            ),
            (
                "fn act",
                "/// Does it.\nfn act(&self) {\n    if true {\n    }\n}",
            ),
            ("fn other", "fn other(&self) {}"),
            ("register!", "register!(metric: A);"),
        ] {
            assert_eq!(item(TEXT, start).expect("an item"), expected);
        }
    }

    #[test]
    fn what_is_not_there_once_is_an_error() {
        for (start, expected) in [
            (
                "fn missing",
                "0 lines begin with `fn missing`, expected one",
            ),
            ("fn ", "2 lines begin with `fn `, expected one"),
        ] {
            let error = item(TEXT, start).expect_err(start);
            assert_eq!(error.to_string(), expected);
        }
        let error = item("fn open() {\n", "fn open").expect_err("no end");
        assert_eq!(
            error.to_string(),
            "nothing closes what begins with `fn open`"
        );
    }
}
