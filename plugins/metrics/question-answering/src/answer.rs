//! What the official scripts compare of an answer.
//!
//! `normalize_answer`: in lower case; without the punctuation of ASCII; without the articles `a`,
//! `an` and `the` where they are whole words; the words between white space. What parts of words
//! and white space are is decided as Python's `re` and `str.split` do.

use std::cmp::Ordering;
use std::hash::Hasher;
use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;
use rustc_hash::FxHasher;

/// The words of an answer; their memory serves for the next one too.
#[derive(Default)]
pub struct Answer {
    /// What is left of it, in UTF-8.
    text: Vec<u8>,
    words: Vec<Word>,
    sorted: Vec<Word>,
}

/// A word of the text, with a hash, as most words differ in it.
#[derive(Clone, Copy)]
struct Word {
    hash: u64,
    start: usize,
    end: usize,
}

impl Answer {
    /// Reads an answer.
    pub fn read(&mut self, answer: &str) {
        // The lower case of Σ depends on what follows.
        if answer.contains('Σ') {
            self.read_lower(&answer.to_lowercase());
        } else {
            self.read_lower(answer);
        }
    }

    /// Reads an answer of which each letter has a lower case of its own.
    fn read_lower(&mut self, answer: &str) {
        self.text.clear();
        self.words.clear();
        let bytes = answer.as_bytes();
        // Where what stands between white space begins, and whether it is letters and digits of ASCII alone.
        let (mut start, mut is_plain) = (0, true);
        let mut at = 0;
        while at < bytes.len() {
            let byte = bytes[at];
            at += 1;
            match CLASSES[usize::from(byte)] {
                Class::Word => self.text.push(byte.to_ascii_lowercase()),
                Class::Punctuation => {}
                Class::Control => {
                    self.text.push(byte);
                    is_plain = false;
                }
                Class::Space => (start, is_plain) = self.chunk(start, is_plain),
                Class::High => {
                    let letter = answer[at - 1..].chars().next().unwrap_or_default();
                    at += letter.len_utf8() - 1;
                    if letter.is_whitespace() {
                        (start, is_plain) = self.chunk(start, is_plain);
                        continue;
                    }
                    is_plain = false;
                    for lower in letter.to_lowercase() {
                        let mut bytes = [0; 4];
                        let bytes = lower.encode_utf8(&mut bytes);
                        self.text.extend_from_slice(bytes.as_bytes());
                    }
                }
            }
        }
        self.chunk(start, is_plain);
    }

    /// Takes the words of what stands between white space; where the next begins.
    fn chunk(&mut self, start: usize, is_plain: bool) -> (usize, bool) {
        let text = &self.text[start..];
        let words = &mut self.words;
        let mut push = |from: usize, to: usize| {
            if from < to {
                let mut hasher = FxHasher::default();
                hasher.write(&text[from..to]);
                words.push(Word {
                    hash: hasher.finish(),
                    start: start + from,
                    end: start + to,
                });
            }
        };
        match is_plain {
            true if is_article(text) => {}
            true => push(0, text.len()),
            false => cut(text, push),
        }
        (self.text.len(), true)
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
        self.len() == other.len() && self.alike(other, false, self.len()) == self.len()
    }

    /// How many words both have, each as often as in the one that has fewer of it.
    pub fn shared(&mut self, other: &mut Self) -> usize {
        let most = self.len().min(other.len());
        let before = self.alike(other, false, most);
        let after = self.alike(other, true, most - before);
        self.sort(before, after);
        other.sort(before, after);
        let (mut left, mut right) = (self.sorted.iter(), other.sorted.iter());
        let (mut one, mut another) = (left.next(), right.next());
        let mut count = before + after;
        while let (Some(word), Some(other_word)) = (one, another) {
            let order = self.order(word, other, other_word);
            count += usize::from(order.is_eq());
            if order.is_le() {
                one = left.next();
            }
            if order.is_ge() {
                another = right.next();
            }
        }
        count
    }

    /// How many words are the same at the beginning, or at the end, `most` at most.
    fn alike(&self, other: &Self, at_end: bool, most: usize) -> usize {
        let same = |index: &usize| {
            let place = |len: usize| if at_end { len - 1 - index } else { *index };
            let (word, other_word) = (
                &self.words[place(self.len())],
                &other.words[place(other.len())],
            );
            self.order(word, other, other_word).is_eq()
        };
        (0..most).take_while(same).count()
    }

    /// Some order of words, in which only the same ones are equal.
    fn order(&self, word: &Word, other: &Self, other_word: &Word) -> Ordering {
        let texts = || self.bytes(word).cmp(other.bytes(other_word));
        word.hash.cmp(&other_word.hash).then_with(texts)
    }

    fn bytes(&self, word: &Word) -> &[u8] {
        &self.text[word.start..word.end]
    }

    /// Sorts the words, but for so many at the beginning and at the end.
    fn sort(&mut self, before: usize, after: usize) {
        let mut sorted = std::mem::take(&mut self.sorted);
        sorted.clear();
        sorted.extend_from_slice(&self.words[before..self.len() - after]);
        sorted.sort_unstable_by(|one, another| self.order(one, self, another));
        self.sorted = sorted;
    }
}

/// What a byte of a text is.
#[derive(Clone, Copy)]
enum Class {
    /// A letter or digit of ASCII.
    Word,
    /// Punctuation of ASCII.
    Punctuation,
    /// White space of ASCII, the separators too, as Python has it.
    Space,
    /// Another control character.
    Control,
    /// Part of a longer character.
    High,
}

const CLASSES: [Class; 256] = {
    let mut classes = [Class::High; 256];
    let mut byte = 0_u8;
    while byte < 0x80 {
        classes[byte as usize] = match byte {
            b'\t'..=b'\r' | 0x1c..=0x1f | b' ' => Class::Space,
            _ if byte.is_ascii_alphanumeric() => Class::Word,
            _ if byte.is_ascii_punctuation() => Class::Punctuation,
            _ => Class::Control,
        };
        byte += 1;
    }
    classes
};

fn is_article(word: &[u8]) -> bool {
    matches!(word, b"a" | b"an" | b"the")
}

/// Takes the articles out of what stands between white space; what is left to both sides of one are
/// words apart.
fn cut(bytes: &[u8], mut push: impl FnMut(usize, usize)) {
    let text = |range: Range<usize>| std::str::from_utf8(&bytes[range]).unwrap_or_default();
    let (mut from, mut at) = (0, 0);
    while at < bytes.len() {
        let rest = bytes[at..].iter();
        let run = rest.take_while(|byte| byte.is_ascii_alphanumeric()).count();
        let end = at + run;
        if is_article(&bytes[at..end])
            && !text(0..at).chars().next_back().is_some_and(is_of_word)
            && !text(end..bytes.len())
                .chars()
                .next()
                .is_some_and(is_of_word)
        {
            push(from, at);
            from = end;
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
            let words: Vec<_> = answer
                .words
                .iter()
                .map(|word| String::from_utf8_lossy(answer.bytes(word)))
                .collect();
            assert_eq!(words, expected, "of {text:?}");
        }
    }
}
