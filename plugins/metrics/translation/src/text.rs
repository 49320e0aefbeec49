//! Text as Python's `str` sees it: what is white space, and where it is cut off.
//!
//! Python counts the four separators U+001C–U+001F as white space, which Unicode does not.

/// `str.isspace` of one character.
pub fn is_space(character: char) -> bool {
    character.is_whitespace() || matches!(character, '\u{1c}'..='\u{1f}')
}

/// `str.split()`.
pub fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(is_space).filter(|word| !word.is_empty())
}

/// `str.rstrip()`.
pub fn trim_end(text: &str) -> &str {
    text.trim_end_matches(is_space)
}

/// `str.strip()`.
pub fn trim(text: &str) -> &str {
    text.trim_matches(is_space)
}
