//! mteval-v14's tokenization of all languages.
//!
//! ```text
//! (\P{N})(\p{P})   punctuation is cut off from what is no number before it
//! (\p{P})(\P{N})   … and after it
//! (\p{S})          a symbol stands alone
//! ```
//!
//! one after the other; a substitution goes on behind what it matched.

use unicode_properties::{GeneralCategoryGroup, UnicodeGeneralCategory};

/// What of a character matters.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Number,
    Punctuation,
    Symbol,
    Other,
}

/// The line with spaces between tokens.
pub fn tokenize(line: &str) -> String {
    let line: Vec<_> = line.chars().map(|c| (c, class(c))).collect();
    let space = (' ', Class::Other);
    let line = pairs(
        &line,
        |a, b| a != Class::Number && b == Class::Punctuation,
        |a, b| [a, space, b, space],
    );
    let line = pairs(
        &line,
        |a, b| a == Class::Punctuation && b != Class::Number,
        |a, b| [space, a, space, b],
    );
    let mut text = String::with_capacity(line.len() + 16);
    for (character, class) in line {
        match class {
            Class::Symbol => text.extend([' ', character, ' ']),
            _ => text.push(character),
        }
    }
    text
}

type Classed = (char, Class);

/// Replaces pairs of characters from left to right, each character in one pair at most.
fn pairs(
    line: &[Classed],
    is: impl Fn(Class, Class) -> bool,
    instead: impl Fn(Classed, Classed) -> [Classed; 4],
) -> Vec<Classed> {
    let mut replaced = Vec::with_capacity(line.len() + 16);
    let mut rest = line;
    while let [a, after @ ..] = rest {
        rest = match after {
            [b, behind @ ..] if is(a.1, b.1) => {
                replaced.extend_from_slice(&instead(*a, *b));
                behind
            }
            _ => {
                replaced.push(*a);
                after
            }
        };
    }
    replaced
}

fn class(character: char) -> Class {
    if character.is_ascii_alphabetic() || character == ' ' {
        return Class::Other;
    }
    match character.general_category_group() {
        GeneralCategoryGroup::Number => Class::Number,
        GeneralCategoryGroup::Punctuation => Class::Punctuation,
        GeneralCategoryGroup::Symbol => Class::Symbol,
        _ => Class::Other,
    }
}
