//! What the official scripts compare of an answer.
//!
//! `normalize_answer`: in lower case; without the punctuation of ASCII; without the articles `a`,
//! `an` and `the` where they are whole words; the words between white space. What parts of words
//! and white space are is decided as Python's `re` and `str.split` do.

use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

/// The words of an answer; their memory serves for the next one too.
#[derive(Default)]
pub struct Answer {
    text: String,
    words: Vec<Range<usize>>,
    sorted: Vec<Range<usize>>,
}

impl Answer {
    /// Reads an answer.
    pub fn read(&mut self, answer: &str) {
        self.text.clear();
        self.words.clear();
        if answer.is_ascii() {
            let letters = answer.bytes().filter(|byte| !byte.is_ascii_punctuation());
            let lower = letters.map(|byte| char::from(byte.to_ascii_lowercase()));
            self.text.extend(lower);
        } else {
            // As a whole, because the lower case of Σ depends on what follows.
            let lower = answer.to_lowercase();
            let letters = lower
                .chars()
                .filter(|letter| !letter.is_ascii_punctuation());
            self.text.extend(letters);
        }
        let mut start = 0;
        for chunk in self.text.split_inclusive(is_space) {
            cut(chunk.trim_end_matches(is_space), start, &mut self.words);
            start += chunk.len();
        }
        self.sorted.clone_from(&self.words);
        let text = &self.text;
        self.sorted
            .sort_unstable_by(|a, b| text[a.clone()].cmp(&text[b.clone()]));
    }

    /// How many words it has.
    pub fn len(&self) -> usize {
        self.words.len()
    }

    /// Whether nothing is left of it.
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// Whether both have the same words in the same order.
    pub fn equals(&self, other: &Self) -> bool {
        self.words(&self.words).eq(other.words(&other.words))
    }

    /// How many words both have, each as often as in the one that has fewer of it.
    pub fn shared(&self, other: &Self) -> usize {
        let mut left = self.words(&self.sorted).peekable();
        let mut right = other.words(&other.sorted).peekable();
        let mut count = 0;
        while let (Some(one), Some(another)) = (left.peek(), right.peek()) {
            let order = one.cmp(another);
            count += usize::from(order.is_eq());
            if order.is_le() {
                left.next();
            }
            if order.is_ge() {
                right.next();
            }
        }
        count
    }

    fn words<'a>(&'a self, places: &'a [Range<usize>]) -> impl Iterator<Item = &'a str> {
        places.iter().map(|place| &self.text[place.clone()])
    }
}

/// Python's white space: Unicode's, and the separators of ASCII.
fn is_space(letter: char) -> bool {
    letter.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&letter)
}

/// Takes the articles out of what stands between white space; what is left to both sides of one are
/// words apart.
fn cut(chunk: &str, start: usize, words: &mut Vec<Range<usize>>) {
    let bytes = chunk.as_bytes();
    let mut push = |from: usize, to: usize| {
        if from < to {
            words.push(start + from..start + to);
        }
    };
    let (mut from, mut at) = (0, 0);
    while at < bytes.len() {
        let rest = bytes[at..].iter();
        let run = rest.take_while(|byte| byte.is_ascii_alphanumeric()).count();
        let article = matches!(&bytes[at..at + run], b"a" | b"an" | b"the");
        if article
            && !chunk[..at].chars().next_back().is_some_and(is_of_word)
            && !chunk[at + run..].chars().next().is_some_and(is_of_word)
        {
            push(from, at);
            from = at + run;
        }
        at += run.max(1);
    }
    push(from, bytes.len());
}

/// Whether a character beside an article makes it part of a word: `\w` of Python's `re`, the
/// letters and numbers. (The underscore is punctuation and gone.)
fn is_of_word(letter: char) -> bool {
    static WORD: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"^[\p{L}\p{N}]$").ok());
    // Rust's letters are all those and, among others, signs of vowels.
    letter.is_alphanumeric()
        && WORD.as_ref().is_none_or(|word| {
            let mut bytes = [0; 4];
            word.is_match(letter.encode_utf8(&mut bytes))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_answers() {
        let cases: [(&str, &[&str]); 12] = [
            ("The  Quick-Brown fox!", &["quickbrown", "fox"]),
            ("a, an; THE.", &[]),
            ("an ant, the theatre", &["ant", "theatre"]),
            ("the_a b", &["thea", "b"]),
            (
                "\u{201c}The\u{201d}\u{201c}end\u{201d}",
                &["\u{201c}", "\u{201d}\u{201c}end\u{201d}"],
            ),
            ("aé éa the\u{e9}", &["aé", "éa", "theé"]),
            // A combining accent is no letter to Python, so the article goes.
            ("a\u{301}", &["\u{301}"]),
            // A vowel sign is a letter to Rust alone.
            ("the\u{93e}x", &["\u{93e}x"]),
            ("the一", &["the一"]),
            ("x\u{1c}y\u{3000}z", &["x", "y", "z"]),
            ("ΟΔΟΣ", &["οδος"]),
            ("", &[]),
        ];
        let mut answer = Answer::default();
        for (text, expected) in cases {
            answer.read(text);
            let words: Vec<_> = answer.words(&answer.words).collect();
            assert_eq!(words, expected, "of {text:?}");
        }
    }
}
