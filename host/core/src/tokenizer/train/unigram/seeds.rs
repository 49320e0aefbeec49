//! The pieces that training starts from: characters, and substrings that come more than once.
//!
//! Substrings are found in a sorted list of all suffixes: neighbours that share a beginning are
//! the occurrences of it, and every beginning that ends where neighbours part is a substring that
//! cannot be made longer without coming less often.

use super::super::count::Alphabet;
use super::{Piece, SPACE, Words};

/// Letters of a piece at most.
const LONGEST: usize = 16;
/// Pieces to start from at most.
const MOST: usize = 1_000_000;
/// Letters of the words that are looked through, the most frequent words first.
const MOST_LETTERS: usize = 24_000_000;
/// Ends a word.
const END: u32 = u32::MAX;

/// All words in a row.
struct Text {
    letters: Vec<u32>,
    /// Of each letter, how often its word came.
    counts: Vec<f64>,
}

impl Text {
    fn new(words: &Words) -> Self {
        let mut text = Self {
            letters: Vec::new(),
            counts: Vec::new(),
        };
        for (letters, count) in &words.letters {
            if text.letters.len() + letters.len() >= MOST_LETTERS {
                break;
            }
            text.letters.extend(letters.iter().map(|c| u32::from(*c)));
            text.letters.push(END);
            text.counts.resize(text.letters.len(), *count);
        }
        text
    }

    /// The letters of a suffix up to its word's end, `LONGEST` at most.
    fn suffix(&self, at: u32) -> &[u32] {
        let rest = &self.letters[at as usize..];
        let rest = &rest[..rest.len().min(LONGEST)];
        let end = rest.iter().position(|letter| *letter == END);
        &rest[..end.unwrap_or(rest.len())]
    }

    fn shared(&self, a: u32, b: u32) -> usize {
        let pairs = self.suffix(a).iter().zip(self.suffix(b));
        pairs.take_while(|(x, y)| x == y).count()
    }

    fn is_word(&self, at: u32) -> bool {
        let starts = at == 0 || self.letters[at as usize - 1] == END;
        starts && self.letters.get(at as usize + self.suffix(at).len()) == Some(&END)
    }
}

/// The seeds, with the logarithm of their share as score.
pub(super) fn find(words: &Words, alphabet: &Alphabet) -> Vec<Piece> {
    let text = Text::new(words);
    let mut found = substrings(&text);
    found.sort_unstable_by(|(a, m), (b, n)| n.total_cmp(m).then_with(|| a.cmp(b)));
    found.truncate(MOST);
    let mut letters = vec![0.0; alphabet.chars.len()];
    for (word, count) in &words.letters {
        for c in word {
            if let Ok(at) = alphabet.chars.binary_search(c) {
                letters[at] += count;
            }
        }
    }
    let letters = alphabet.chars.iter().map(ToString::to_string).zip(letters);
    let mut pieces: Vec<Piece> = letters.filter(|(_, count)| *count > 0.0).collect();
    pieces.append(&mut found);
    let total: f64 = pieces.iter().map(|(_, score)| score).sum();
    for (_, score) in &mut pieces {
        *score = score.ln() - total.ln();
    }
    pieces
}

/// Substrings of two letters and more, with how often they come times their length.
fn substrings(text: &Text) -> Vec<Piece> {
    let starts = 0..text.letters.len() as u32;
    let mut suffixes: Vec<u32> = starts
        .filter(|at| text.letters[*at as usize] != END)
        .collect();
    suffixes.sort_unstable_by(|a, b| text.suffix(*a).cmp(text.suffix(*b)).then(a.cmp(b)));
    let mut found = Vec::new();
    let mut put = |at: u32, length: usize, count: f64| {
        if let Some(piece) = piece(&text.suffix(at)[..length]) {
            found.push((piece, count * length as f64));
        }
    };
    // Beginnings that are open: their length, and the counts of their occurrences so far.
    let mut open: Vec<(usize, f64)> = Vec::new();
    for (index, at) in suffixes.iter().enumerate() {
        let next = suffixes.get(index + 1);
        let shared = next.map_or(0, |next| text.shared(*at, *next));
        let mut count = text.counts[*at as usize];
        let length = text.suffix(*at).len();
        let before = open.last().map_or(0, |(length, _)| *length);
        // A whole word that comes often is a piece although it is in the list only once.
        if count > 1.0 && length > shared.max(before) && text.is_word(*at) {
            put(*at, length, count);
        }
        while let Some((length, sum)) = open.pop_if(|(length, _)| *length > shared) {
            count += sum;
            put(*at, length, count);
        }
        match open.last_mut() {
            Some((length, sum)) if *length == shared => *sum += count,
            _ if shared > 0 => open.push((shared, count)),
            _ => {}
        }
    }
    found
}

/// Letters as a piece, if they may be one: two and more, of one sort (letters, digits, others),
/// with the mark of a word's beginning nowhere but in front.
fn piece(letters: &[u32]) -> Option<String> {
    if letters.len() < 2 {
        return None;
    }
    let text: String = letters
        .iter()
        .filter_map(|letter| char::from_u32(*letter))
        .collect();
    let inner = text.strip_prefix(SPACE).unwrap_or(&text);
    let sort = |c: char| (c.is_alphabetic() || c == '\u{301}', c.is_numeric());
    let mut rest = inner.chars();
    let first = rest.next()?;
    let fits = first != SPACE && rest.all(|c| c != SPACE && sort(c) == sort(first));
    fits.then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn substrings_with_their_counts() {
        let words = [("▁ab", 3), ("▁abc", 2), ("▁x1", 5), ("▁x2", 1), ("▁▁", 9)];
        let words: Vec<(String, u64)> = words
            .iter()
            .map(|(word, count)| ((*word).to_owned(), *count))
            .collect();
        let alphabet = Alphabet::new(&words, 1.0);
        let words = Words::new(&words, &alphabet);
        let mut found: Vec<String> = substrings(&Text::new(&words))
            .into_iter()
            .map(|(piece, score)| format!("{piece}={score}"))
            .collect();
        found.sort_unstable();
        assert_eq!(found.join(" "), "ab=10 ▁ab=15 ▁abc=8 ▁x=12");
    }
}
