//! Did you mean …?

/// The candidate that was probably meant by `word`: the one that is spelt most alike, if it is
/// alike enough. Case, `-` and `_` do not count.
pub(crate) fn closest<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let plain = |text: &str| text.to_lowercase().replace('-', "_");
    let word = plain(word);
    let length = word.chars().count();
    if length > 64 {
        return None;
    }
    let best = candidates
        .into_iter()
        .map(|candidate| (distance(&word, &plain(candidate)), candidate))
        .min_by_key(|(distance, _)| *distance)?;
    let allowed = match length {
        0..=2 => 0,
        3..=5 => 1,
        6..=8 => 2,
        _ => 3,
    };
    (best.0 <= allowed).then_some(best.1)
}

/// Edits between two words. That one begins or ends with the other counts as one edit.
fn distance(word: &str, candidate: &str) -> usize {
    let edits = strsim::damerau_levenshtein(word, candidate);
    let (short, long) = if word.len() < candidate.len() {
        (word, candidate)
    } else {
        (candidate, word)
    };
    let whole_word = long
        .strip_suffix(short)
        .is_some_and(|rest| rest.ends_with('_'));
    let contained = short.len() >= 3 && (long.starts_with(short) || long.ends_with(short));
    if contained || whole_word && !short.is_empty() {
        edits.min(1)
    } else {
        edits
    }
}

/// `a, b, c, …`: at most `most` of the names, in their order, each once.
pub(crate) fn list<'a>(names: impl IntoIterator<Item = &'a str>, most: usize) -> String {
    let mut seen = Vec::new();
    for name in names {
        if !seen.contains(&name) {
            seen.push(name);
        }
    }
    let names = seen;
    let mut text = names[..names.len().min(most)].join(", ");
    if names.len() > most {
        text.push_str(", …");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_was_meant() {
        let keys = [
            "r",
            "lora_alpha",
            "lora_dropout",
            "target_sites",
            "use_rslora",
            "epochs",
        ];
        for (word, expected) in [
            ("epoch", Some("epochs")),
            ("epohcs", Some("epochs")),
            ("EPOCHS", Some("epochs")),
            ("lora-alpha", Some("lora_alpha")),
            ("alpha", Some("lora_alpha")),
            ("rslora", Some("use_rslora")),
            ("lora_r", Some("r")),
            ("target_modules", None),
            ("x", None),
            ("", None),
        ] {
            assert_eq!(closest(word, keys), expected, "{word}");
        }
    }
}
