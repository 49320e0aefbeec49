//! Drops comments of Java and C#.

use super::is_space;

/// `code` with a space in place of each comment, and without blank lines.
///
/// As the regular expression `//.*?$ | /\*.*?\*/ | '(?:\\.|[^\\'])*' | "(?:\\.|[^\\"])*"` of the
/// package, so what looks like a comment in a string stays; a quote without its partner is a
/// character like others.
pub fn remove(code: &str) -> String {
    let mut kept = String::with_capacity(code.len());
    let mut rest = code;
    while let Some(at) = rest.find(['/', '\'', '"']) {
        kept.push_str(&rest[..at]);
        rest = &rest[at..];
        let quote = rest.as_bytes()[0];
        let (length, comment) = match quote {
            b'/' => (comment(rest), true),
            quote => (string(rest, quote), false),
        };
        match length {
            Some(length) if comment => {
                kept.push(' ');
                rest = &rest[length..];
            }
            length => {
                let (as_is, after) = rest.split_at(length.unwrap_or(1));
                kept.push_str(as_is);
                rest = after;
            }
        }
    }
    kept.push_str(rest);
    without_blank_lines(&kept)
}

/// Bytes of the comment that `text` starts with.
fn comment(text: &str) -> Option<usize> {
    if text.starts_with("//") {
        return Some(text.find('\n').unwrap_or(text.len()));
    }
    let inside = text.strip_prefix("/*")?;
    Some(2 + inside.find("*/")? + 2)
}

/// Bytes of the string that `text` starts with.
fn string(text: &str, quote: u8) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut at = 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            byte if byte == quote => return Some(at + 1),
            _ => at += 1,
        }
    }
    None
}

/// The lines that hold more than white space.
pub fn without_blank_lines(code: &str) -> String {
    let lines: Vec<&str> = code
        .split('\n')
        .filter(|line| !line.chars().all(is_space))
        .collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::remove;

    #[test]
    fn comments_go_and_strings_stay() {
        let cases = [
            ("a // b\nc", "a  \nc"),
            ("a /* b\n\n c */ d", "a   d"),
            ("/* a */\n\nb", "b"),
            ("\"// a\" // b", "\"// a\"  "),
            ("'\\'' /* */ + '/'", "'\\''   + '/'"),
            ("a / b", "a / b"),
            ("/* a", "/* a"),
            ("'a // b\nc", "'a  \nc"),
            ("\"é\\", "\"é\\"),
            ("it's // x\nisn't", "it's // x\nisn't"),
        ];
        for (code, expected) in cases {
            assert_eq!(remove(code), expected, "{code}");
        }
    }
}
