//! What `13a`, `zh` and TER's normalisation share: four substitutions, one after the other.
//!
//! ```text
//! [{-~[-` -&(-+:-@/]   any of these stands alone
//! [^0-9][.,]           a period or comma is cut off from what is no digit before it
//! [.,][^0-9]           … and after it
//! [0-9]-               a dash is cut off from a digit before it
//! ```
//!
//! A substitution goes on behind what it matched, so the second of two periods in a row may stay.
//! All is ASCII: bytes of longer characters are copied as bytes that are no digits.

use std::borrow::Cow;

use super::unescape;

/// Buffers for the text between substitutions.
#[derive(Debug, Default)]
pub struct Western {
    from: Vec<u8>,
    to: Vec<u8>,
}

impl Western {
    /// The line as mteval-v13a tokenizes it; tokens stand between white space.
    pub fn v13a(&mut self, line: &str) -> &str {
        let mut line = Cow::Borrowed(line);
        for (found, instead) in [("<skipped>", ""), ("-\n", ""), ("\n", " ")] {
            if line.contains(found) {
                line = line.replace(found, instead).into();
            }
        }
        let line = unescape(&line);
        self.to.clear();
        self.to.push(b' ');
        self.separate(line.as_bytes());
        self.to.push(b' ');
        self.numbers()
    }

    /// The four substitutions.
    pub fn tokenize(&mut self, line: &str) -> &str {
        self.to.clear();
        self.separate(line.as_bytes());
        self.numbers()
    }

    /// The first: punctuation stands alone. Adds to `to`.
    pub fn separate(&mut self, line: &[u8]) {
        for byte in line {
            match stands_alone(*byte) {
                true => self.to.extend_from_slice(&[b' ', *byte, b' ']),
                false => self.to.push(*byte),
            }
        }
    }

    /// The other three, of what stands in `to`.
    pub fn numbers(&mut self) -> &str {
        let stop = |byte: u8| matches!(byte, b'.' | b',');
        let digit = |byte: u8| byte.is_ascii_digit();
        if self.to.iter().any(|byte| stop(*byte)) {
            self.pairs(|a, b| !digit(a) && stop(b), |a, b| [a, b' ', b, b' ']);
            self.pairs(|a, b| stop(a) && !digit(b), |a, b| [b' ', a, b' ', b]);
        }
        if self.to.contains(&b'-') {
            self.pairs(|a, b| digit(a) && b == b'-', |a, b| [a, b' ', b, b' ']);
        }
        // Spaces were put beside ASCII characters only, so the rest is still whole.
        std::str::from_utf8(&self.to).unwrap_or_default()
    }

    /// The text before the last three substitutions may be changed by hand.
    pub fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.to
    }

    /// Replaces pairs of bytes from left to right, each byte in one pair at most.
    fn pairs(&mut self, is: impl Fn(u8, u8) -> bool, instead: impl Fn(u8, u8) -> [u8; 4]) {
        std::mem::swap(&mut self.from, &mut self.to);
        self.to.clear();
        let mut rest = self.from.as_slice();
        while let [a, after @ ..] = rest {
            rest = match after {
                [b, behind @ ..] if is(*a, *b) => {
                    self.to.extend_from_slice(&instead(*a, *b));
                    behind
                }
                _ => {
                    self.to.push(*a);
                    after
                }
            };
        }
    }
}

/// `[{-~[-` -&(-+:-@/]`, the space among them.
const fn stands_alone(byte: u8) -> bool {
    matches!(byte, b'{'..=b'~' | b'['..=b'`' | b' '..=b'&' | b'('..=b'+' | b':'..=b'@' | b'/')
}
