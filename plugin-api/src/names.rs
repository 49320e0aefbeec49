//! Names that users write: which of the names that there are they select, and which was meant when
//! they select none.

/// Whether `selector` selects `name`, a dotted name such as
/// `bert.encoder.layer.0.attention.self.query`.
///
/// It does when it equals the name or the part of it behind some dot (`self.query`), as the
/// `target_modules` of `peft` do. With `*` (any text, dots included), `?` (one character),
/// `[0-3]`, `[abc]` or `[!ab]` (one of, or none of, some) it is a pattern of the whole name.
///
/// ```
/// use tenon_plugin_api::names::selects;
///
/// let name = "bert.encoder.layer.11.attention.self.query";
/// for selector in ["query", "self.query", "*.layer.1?.*.query", "*.self.[qv]*", name] {
///     assert!(selects(selector, name), "{selector}");
/// }
/// for selector in ["uery", "self", "layer.*.query", "*.[!q]uery"] {
///     assert!(!selects(selector, name), "{selector}");
/// }
/// ```
#[must_use]
pub fn selects(selector: &str, name: &str) -> bool {
    if selector.contains(['*', '?', '[']) {
        return glob(selector.as_bytes(), name.as_bytes());
    }
    match name.strip_suffix(selector) {
        Some(front) => !selector.is_empty() && (front.is_empty() || front.ends_with('.')),
        None => false,
    }
}

/// The candidate that was probably meant by `word`: the one that is spelt most alike, if it is
/// alike enough. Case, `-` and `_` do not count.
///
/// ```
/// # use tenon_plugin_api::names::closest;
/// assert_eq!(closest("qurey", ["query", "key", "value"]), Some("query"));
/// assert_eq!(closest("intermediate", ["query", "key", "value"]), None);
/// ```
#[must_use]
pub fn closest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let plain = |text: &str| text.to_lowercase().replace('-', "_");
    let word = plain(word);
    let allowed = match word.chars().count() {
        0..=2 => 0,
        3..=5 => 1,
        6..=8 => 2,
        9..=64 => 3,
        _ => return None,
    };
    let distance = |candidate: &str| strsim::damerau_levenshtein(&word, &plain(candidate));
    candidates
        .into_iter()
        .map(|candidate| (distance(candidate), candidate))
        .min_by_key(|(distance, _)| *distance)
        .filter(|(distance, _)| *distance <= allowed)
        .map(|(_, candidate)| candidate)
}

/// The end of a message about an unknown `word`: `` ; did you mean `query`? ``, or nothing.
#[must_use]
pub fn did_you_mean<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    closest(word, candidates).map_or_else(String::new, |meant| format!("; did you mean `{meant}`?"))
}

/// Matches the whole of `text`. A star first stands for nothing and takes in one more character
/// each time the rest does not match; only the last star need be tried again.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star = None;
    loop {
        if pattern.get(p) == Some(&b'*') {
            p += 1;
            star = Some((p, t));
            continue;
        }
        match (one(&pattern[p..]), text.get(t)) {
            (None, None) => return true,
            (Some(one), Some(&byte)) if one.accepts(byte) => {
                p += one.len;
                t += 1;
            }
            _ => match star {
                Some((after, start)) if start < text.len() => {
                    star = Some((after, start + 1));
                    (p, t) = (after, start + 1);
                }
                _ => return false,
            },
        }
    }
}

/// What a pattern asks of one byte of the text.
struct One<'a> {
    /// Bytes of the pattern.
    len: usize,
    kind: OneKind<'a>,
}

enum OneKind<'a> {
    Any,
    Is(u8),
    /// What stands between the brackets, and whether it is excluded.
    Set(&'a [u8], bool),
}

fn one(pattern: &[u8]) -> Option<One<'_>> {
    let (&first, rest) = pattern.split_first()?;
    let single = |kind| One { len: 1, kind };
    Some(match first {
        b'?' => single(OneKind::Any),
        // As in shells, a bracket directly behind the opening one is a member, and one that is
        // never closed stands for itself.
        b'[' => {
            let excluded = rest.first() == Some(&b'!');
            let members = &rest[usize::from(excluded)..];
            match members.iter().skip(1).position(|byte| *byte == b']') {
                Some(end) => One {
                    len: end + 3 + usize::from(excluded),
                    kind: OneKind::Set(&members[..=end], excluded),
                },
                None => single(OneKind::Is(first)),
            }
        }
        _ => single(OneKind::Is(first)),
    })
}

impl One<'_> {
    fn accepts(&self, byte: u8) -> bool {
        match self.kind {
            OneKind::Any => true,
            OneKind::Is(expected) => byte == expected,
            OneKind::Set(members, excluded) => has(members, byte) != excluded,
        }
    }
}

/// Whether `byte` is among the members of a set: bytes and ranges `a-z`.
fn has(mut members: &[u8], byte: u8) -> bool {
    loop {
        match members {
            [from, b'-', to, rest @ ..] => {
                if (*from..=*to).contains(&byte) {
                    return true;
                }
                members = rest;
            }
            [member, rest @ ..] => {
                if *member == byte {
                    return true;
                }
                members = rest;
            }
            [] => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_end_in_the_selector_or_match_it_whole() {
        let name = "bert.encoder.layer.10.output.dense";
        let cases = [
            ("dense", true),
            ("output.dense", true),
            ("10.output.dense", true),
            ("ense", false),
            ("output", false),
            ("bert", false),
            ("*", true),
            ("bert.*", true),
            ("bert*layer*dense", true),
            ("bert*layer*norm", false),
            ("*.layer.[0-9][0-9].*", true),
            ("layer.[0-9][0-9].*", false),
            ("*.layer.[!0-9]*", false),
            ("*.layer.?.*", false),
            ("*.layer.??.*", true),
            ("*.dens[a-f]", true),
            ("*.dens[]e]", true),
            ("*.dens[e", false),
            ("", false),
        ];
        for (selector, expected) in cases {
            assert_eq!(selects(selector, name), expected, "{selector}");
        }
        assert!(selects("x[1", "x[1"), "an open bracket stands for itself");
    }

    #[test]
    fn suggestions_are_spelt_alike() {
        let names = ["query", "key", "value", "attention_output"];
        let cases = [
            ("qurey", Some("query")),
            ("values", Some("value")),
            ("Key", Some("key")),
            ("attention-ouput", Some("attention_output")),
            ("q", None),
            ("classifier", None),
        ];
        for (word, expected) in cases {
            assert_eq!(closest(word, names), expected, "{word}");
        }
        assert_eq!(did_you_mean("qurey", names), "; did you mean `query`?");
        assert_eq!(did_you_mean("pooler", names), "");
    }
}
