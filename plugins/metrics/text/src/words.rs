//! How texts become words: as rouge-score cuts them, and as Python's `str.split` does.

use rustc_hash::FxHashMap;

use crate::porter;

/// Words as numbers, counted from 0 in the order in which they are first seen.
#[derive(Default)]
pub struct Vocabulary {
    stems: bool,
    /// Words as they stand in texts.
    seen: FxHashMap<Box<[u8]>, u32>,
    /// Their stems, where they are counted.
    stemmed: FxHashMap<Box<[u8]>, u32>,
    word: Vec<u8>,
}

/// The words of a text, and where its lines end.
#[derive(Default)]
pub struct Words {
    /// Words as numbers.
    pub ids: Vec<u32>,
    /// For each line that is not empty, how many words there are up to its end.
    pub lines: Vec<usize>,
}

impl Words {
    /// The words of each line.
    pub fn by_line(&self) -> impl Iterator<Item = std::ops::Range<usize>> + '_ {
        let starts = std::iter::once(0).chain(self.lines.iter().copied());
        starts.zip(&self.lines).map(|(start, end)| start..*end)
    }
}

impl Vocabulary {
    /// An empty one; with `stems`, words of one stem are the same.
    pub fn new(stems: bool) -> Self {
        Self {
            stems,
            ..Self::default()
        }
    }

    /// Reads a text as rouge-score does: runs of `a`–`z` and `0`–`9` once it is in lower case;
    /// words of more than three letters are stemmed.
    pub fn read(&mut self, text: &str, into: &mut Words) {
        into.ids.clear();
        into.lines.clear();
        self.word.clear();
        let bytes = text.as_bytes();
        let (mut at, mut line) = (0, 0);
        while at < bytes.len() {
            match bytes[at] {
                byte if byte.is_ascii_alphanumeric() => self.word.push(byte.to_ascii_lowercase()),
                // The two other characters whose lower case is, or begins with, a letter of ASCII:
                // the Kelvin sign, and I with a dot, which keeps the dot as a character apart.
                0xe2 if bytes[at..].starts_with("\u{212a}".as_bytes()) => self.word.push(b'k'),
                0xc4 if bytes[at..].starts_with("\u{130}".as_bytes()) => {
                    self.word.push(b'i');
                    self.end_of_word(into);
                }
                b'\n' => {
                    self.end_of_word(into);
                    if at > line {
                        into.lines.push(into.ids.len());
                    }
                    line = at + 1;
                }
                _ => self.end_of_word(into),
            }
            at += width(bytes[at]);
        }
        self.end_of_word(into);
        if at > line {
            into.lines.push(into.ids.len());
        }
    }

    fn end_of_word(&mut self, into: &mut Words) {
        if self.word.is_empty() {
            return;
        }
        let id = match self.seen.get(self.word.as_slice()) {
            Some(id) => *id,
            None => self.number(),
        };
        self.word.clear();
        into.ids.push(id);
    }

    /// The number of a word that is new.
    fn number(&mut self) -> u32 {
        let next = self.seen.len() as u32;
        let word = self.word.clone().into_boxed_slice();
        if !self.stems {
            self.seen.insert(word, next);
            return next;
        }
        if self.word.len() > 3 {
            porter::stem(&mut self.word);
        }
        let stem = self.word.clone().into_boxed_slice();
        let next = self.stemmed.len() as u32;
        let id = *self.stemmed.entry(stem).or_insert(next);
        self.seen.insert(word, id);
        id
    }
}

/// Bytes of the character that begins with this one.
fn width(first: u8) -> usize {
    match first {
        0..0xc0 => 1,
        0xc0..0xe0 => 2,
        0xe0..0xf0 => 3,
        _ => 4,
    }
}

/// Words between white space, as Python's `str.split` finds them: Unicode's, and the separators of
/// ASCII.
pub fn split(text: &str) -> impl Iterator<Item = &str> {
    let mut at = 0;
    std::iter::from_fn(move || {
        while at < text.len() {
            let start = at;
            match space(text, at) {
                0 => at = word_end(text, at),
                width => {
                    at += width;
                    continue;
                }
            }
            return Some(&text[start..at]);
        }
        None
    })
}

/// Where the first white space at or after a place begins, or the text ends.
fn word_end(text: &str, from: usize) -> usize {
    let bytes = text.as_bytes();
    let mut at = from;
    while let Some(eight) = bytes[at..].first_chunk::<8>() {
        match may_be_space(u64::from_le_bytes(*eight)) {
            0 => at += 8,
            found => {
                at += found.trailing_zeros() as usize / 8;
                if space(text, at) > 0 {
                    return at;
                }
                at += 1;
            }
        }
    }
    while at < bytes.len() && space(text, at) == 0 {
        at += 1;
    }
    at
}

/// The high bit of each of eight bytes with which white space may begin; those above the lowest
/// one may have it, too.
fn may_be_space(bytes: u64) -> u64 {
    const EACH: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x80 * EACH;
    let equal = |byte: u64| {
        let differs = bytes ^ (byte * EACH);
        differs.wrapping_sub(EACH) & !differs
    };
    let up_to_space = !(((bytes & !HIGH) + (0x7f - 0x20) * EACH) | bytes);
    (up_to_space | equal(0xc2) | equal(0xe1) | equal(0xe2) | equal(0xe3)) & HIGH
}

/// Bytes of the white space at a place, 0 if there is none.
fn space(text: &str, at: usize) -> usize {
    match text.as_bytes()[at] {
        b'\t'..=b'\r' | 0x1c..=0x1f | b' ' => 1,
        // No white space begins with another byte.
        0xc2 | 0xe1 | 0xe2 | 0xe3 => {
            let letter = text[at..].chars().next();
            let space = letter.filter(|letter| letter.is_whitespace());
            space.map_or(0, char::len_utf8)
        }
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(stems: bool, text: &str) -> (Vec<String>, Vec<usize>) {
        let mut vocabulary = Vocabulary::new(stems);
        let mut words = Words::default();
        vocabulary.read(text, &mut words);
        let all = match stems {
            true => &vocabulary.stemmed,
            false => &vocabulary.seen,
        };
        let name = |id: &u32| {
            let word = all.iter().find(|(_, found)| *found == id);
            word.map(|(word, _)| String::from_utf8_lossy(word).into_owned())
        };
        (words.ids.iter().filter_map(name).collect(), words.lines)
    }

    #[test]
    fn words_and_lines() {
        let words = |text: &str| read(false, text);
        assert_eq!(
            words("The cat's 2nd\u{a0}naïve\n\n!\nx"),
            (
                ["the", "cat", "s", "2nd", "na", "ve", "x"]
                    .map(String::from)
                    .into(),
                vec![6, 6, 7]
            )
        );
        assert_eq!(words(""), (vec![], vec![]));
        assert_eq!(words("\n\n"), (vec![], vec![]));
        let signs = words("300\u{212a}b \u{130}stanbul ﬁ Ａ");
        assert_eq!(signs.0, ["300kb", "i", "stanbul"]);
    }

    #[test]
    fn words_of_one_stem_are_the_same() {
        let (words, _) = read(true, "Runs running ran the cats a cat's");
        assert_eq!(words, ["run", "run", "ran", "the", "cat", "a", "cat", "s"]);
    }

    #[test]
    fn white_space_is_pythons() {
        let words: Vec<_> = split("  a\u{1c}b\u{2003}c\u{85}d \u{200b}e éâ\n\n").collect();
        assert_eq!(words, ["a", "b", "c", "d", "\u{200b}e", "éâ"]);
        let unicode = (0..=0x10_ffff).filter_map(char::from_u32);
        for letter in unicode.filter(|letter| !letter.is_ascii()) {
            let text = letter.to_string();
            let words: Vec<_> = split(&text).collect();
            assert_eq!(words.is_empty(), letter.is_whitespace(), "{letter:?}");
            // Behind as many letters as are looked at together, and fewer.
            for before in ["a", "abcdefg", "naïvetés"] {
                let text = format!("{before}{letter}bcdefghijk");
                let count = split(&text).count();
                assert_eq!(count == 2, letter.is_whitespace(), "{text:?}");
            }
        }
    }
}
