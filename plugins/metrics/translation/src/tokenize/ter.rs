//! The tokenization of tercom, as sacrebleu has it.

use std::borrow::Cow;

use super::{Western, unescape};

/// What a line goes through before it is cut at white space.
#[derive(Clone, Copy, Debug)]
pub struct Tercom {
    pub normalized: bool,
    pub no_punct: bool,
    pub asian_support: bool,
    pub case_sensitive: bool,
}

impl Tercom {
    /// The line with white space between tokens.
    pub fn tokenize<'a>(&self, line: &'a str, buffers: &mut Western) -> Cow<'a, str> {
        let mut text = Cow::Borrowed(line);
        if !self.case_sensitive {
            text = text.to_lowercase().into();
        }
        if self.normalized {
            text = normalize(&text, buffers).to_owned().into();
            if self.asian_support {
                text = separate_asian(&text).into();
            }
        }
        if self.no_punct {
            text.to_mut().retain(|c| !is_punctuation(c));
            if self.asian_support {
                text.to_mut().retain(|c| !is_asian_punctuation(c));
            }
        }
        text
    }
}

/// The general and the western part.
fn normalize<'a>(line: &str, buffers: &'a mut Western) -> &'a str {
    let mut line = Cow::Borrowed(line);
    for (found, instead) in [("\n-", ""), ("\n", " ")] {
        if line.contains(found) {
            line = line.replace(found, instead).into();
        }
    }
    let line = unescape(&line);
    buffers.buffer().clear();
    buffers.separate(format!(" {line} ").as_bytes());
    possessives(buffers.buffer());
    buffers.numbers()
}

/// `'s ` is cut off from the word before it. The line ends with a space, so `'s` at the end is
/// among them.
fn possessives(line: &mut Vec<u8>) {
    let mut at = 0;
    while let Some(found) = line[at..].windows(3).position(|bytes| bytes == b"'s ") {
        line.insert(at + found, b' ');
        at += found + 4;
    }
}

/// Ideographs, strokes, radicals and the like stand alone.
///
/// sacrebleu's ranges, of which the fourth was to end at U+32FF. Its rules for kana ask for a line
/// that begins with kana, and here each begins with a space: they never apply.
fn separate_asian(line: &str) -> String {
    let apart: [fn(char) -> bool; 6] = [
        |c| matches!(c, '\u{4e00}'..='\u{9fff}' | '\u{3400}'..='\u{4dbf}'),
        |c| matches!(c, '\u{31c0}'..='\u{31ef}' | '\u{2e80}'..='\u{2eff}'),
        |c| matches!(c, '\u{3300}'..='\u{33ff}' | '\u{f900}'..='\u{faff}' | '\u{fe30}'..='\u{fe4f}'),
        |c| matches!(c, '\u{3200}'..='\u{3f22}'),
        is_cjk_punctuation,
        is_full_width_punctuation,
    ];
    let mut text = String::with_capacity(2 * line.len());
    for character in line.chars() {
        // More spaces than one make no other tokens.
        match apart.iter().any(|is| is(character)) {
            true => text.extend([' ', character, ' ']),
            false => text.push(character),
        }
    }
    text
}

fn is_punctuation(c: char) -> bool {
    matches!(c, '.' | ',' | '?' | ':' | ';' | '!' | '"' | '(' | ')')
}

fn is_asian_punctuation(c: char) -> bool {
    is_cjk_punctuation(c) || is_full_width_punctuation(c)
}

fn is_cjk_punctuation(c: char) -> bool {
    matches!(c, '\u{3001}' | '\u{3002}' | '\u{3008}'..='\u{3011}' | '\u{3014}'..='\u{301f}')
        || matches!(c, '\u{ff61}'..='\u{ff65}' | '\u{30fb}')
}

fn is_full_width_punctuation(c: char) -> bool {
    matches!(
        c,
        '\u{ff0e}' | '\u{ff0c}' | '\u{ff1f}' | '\u{ff1a}' | '\u{ff1b}' | '\u{ff01}'
    ) || matches!(c, '\u{ff02}' | '\u{ff08}' | '\u{ff09}')
}
