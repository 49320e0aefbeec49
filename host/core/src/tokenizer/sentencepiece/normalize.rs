//! SentencePiece's normalization: a table of replacements, of which the longest that fits is
//! taken; then white space, and the mark of a word's beginning.

use std::fmt;

use tokenizers::NormalizedString;

use super::proto::NormalizerSpec;

/// The mark of a space.
const MARK: char = '▁';

/// What a model does to a text before it is cut into pieces.
#[derive(Clone)]
pub(crate) struct Normalizer {
    table: Option<Table>,
    add_dummy_prefix: bool,
    remove_extra_whitespaces: bool,
    escape_whitespaces: bool,
}

/// A character of the result, and how many characters of the text it stands for: 0 for one that
/// comes besides.
type Made = (char, usize);

impl Normalizer {
    /// That of a model.
    ///
    /// # Errors
    /// Its table of replacements is broken, in words.
    pub fn new(spec: Option<&NormalizerSpec>) -> Result<Self, String> {
        let spec = spec.cloned().unwrap_or_default();
        let table = spec.precompiled_charsmap.as_deref().unwrap_or_default();
        Ok(Self {
            table: match table.is_empty() {
                true => None,
                false => Some(Table::new(table)?),
            },
            add_dummy_prefix: spec.add_dummy_prefix(),
            remove_extra_whitespaces: spec.remove_extra_whitespaces(),
            escape_whitespaces: spec.escape_whitespaces(),
        })
    }

    /// Normalizes in place.
    pub fn apply(&self, text: &mut NormalizedString) {
        let (made, removed) = self.make(text.get());
        let changes = made.into_iter().map(|(c, stands_for)| match stands_for {
            0 => (c, 1),
            count => (c, 1 - count as isize),
        });
        text.transform(changes, removed);
    }

    /// The characters of the result, and how many of the text are gone before the first.
    fn make(&self, text: &str) -> (Vec<Made>, usize) {
        let mut result = Written::default();
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            let found = self.table.as_ref().and_then(|table| table.longest(rest));
            let (length, new) = found.unwrap_or_else(|| {
                let length = first.len_utf8();
                (length, &rest[..length])
            });
            let count = rest[..length].chars().count();
            result.put(new, count, self.remove_extra_whitespaces);
            rest = &rest[length..];
        }
        if self.remove_extra_whitespaces {
            result.trim_end();
        }
        let Written { mut made, removed } = result;
        let is_anything = match self.remove_extra_whitespaces {
            true => !made.is_empty(),
            false => !text.is_empty(),
        };
        if self.escape_whitespaces {
            let spaces = made.iter_mut().filter(|(c, _)| *c == ' ');
            spaces.for_each(|(c, _)| *c = MARK);
        }
        if self.add_dummy_prefix && is_anything {
            made.insert(0, (if self.escape_whitespaces { MARK } else { ' ' }, 0));
        }
        (made, removed)
    }
}

impl fmt::Debug for Normalizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Normalizer")
            .field("has_table", &self.table.is_some())
            .field("add_dummy_prefix", &self.add_dummy_prefix)
            .field("remove_extra_whitespaces", &self.remove_extra_whitespaces)
            .finish_non_exhaustive()
    }
}

/// What was made so far.
#[derive(Default)]
struct Written {
    made: Vec<Made>,
    removed: usize,
}

impl Written {
    /// Adds `new`, which stands for `count` characters.
    fn put(&mut self, new: &str, count: usize, remove_extra: bool) {
        let mut stands_for = count;
        for c in new.chars() {
            let after_space = self.made.last().is_none_or(|(last, _)| *last == ' ');
            if remove_extra && c == ' ' && after_space {
                continue;
            }
            self.made.push((c, std::mem::take(&mut stands_for)));
        }
        self.forget(stands_for);
    }

    /// Counts characters that stand for nothing to what is before them.
    fn forget(&mut self, count: usize) {
        match self
            .made
            .iter_mut()
            .rev()
            .find(|(_, stands_for)| *stands_for > 0)
        {
            Some((_, stands_for)) => *stands_for += count,
            None => self.removed += count,
        }
    }

    /// Takes spaces off the end, and marks: SentencePiece looks after it has written them so.
    fn trim_end(&mut self) {
        while let Some((_, stands_for)) = self.made.pop_if(|(c, _)| matches!(*c, ' ' | MARK)) {
            self.forget(stands_for);
        }
    }
}

/// Replacements, in the double array of darts-clone that SentencePiece compiles them to.
#[derive(Clone)]
struct Table {
    units: Vec<u32>,
    /// The new texts, each ended by a zero.
    texts: String,
}

impl Table {
    fn new(bytes: &[u8]) -> Result<Self, String> {
        let broken = |what: &str| format!("its table of replacements is broken: {what}");
        let (size, rest) = bytes
            .split_first_chunk::<4>()
            .ok_or_else(|| broken("no size"))?;
        let size = u32::from_le_bytes(*size) as usize;
        if size > rest.len() || size == 0 || !size.is_multiple_of(4) {
            let problem = format!("{size} bytes of {} are not an array", rest.len());
            return Err(broken(&problem));
        }
        let (units, texts) = rest.split_at(size);
        let units = units
            .chunks_exact(4)
            .filter_map(|unit| unit.try_into().ok());
        let texts = std::str::from_utf8(texts).map_err(|error| broken(&error.to_string()))?;
        Ok(Self {
            units: units.map(u32::from_le_bytes).collect(),
            texts: texts.to_owned(),
        })
    }

    /// The longest beginning of `text` that is replaced: its length in bytes, and by what. A path
    /// that leaves the array, or an entry that leaves the texts, is none.
    fn longest(&self, text: &str) -> Option<(usize, &str)> {
        let offset = |unit: u32| (unit >> 10) << ((unit & (1 << 9)) >> 6);
        let mut node = offset(*self.units.first()?);
        let mut found = None;
        for (index, byte) in text.bytes().enumerate() {
            node ^= u32::from(byte);
            let Some(unit) = self.units.get(node as usize) else {
                break;
            };
            // The label, and the bit that only a value has.
            if unit & ((1 << 31) | 0xff) != u32::from(byte) {
                break;
            }
            node ^= offset(*unit);
            if (unit >> 8) & 1 == 1
                && let Some(value) = self.units.get(node as usize)
            {
                found = Some((index + 1, (value & 0x7fff_ffff) as usize));
            }
        }
        let (length, at) = found?;
        let new = self.texts.get(at..)?;
        let end = new.find('\0').unwrap_or(new.len());
        // An entry that ends inside a character is broken.
        text.is_char_boundary(length).then(|| (length, &new[..end]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(extra: bool) -> Normalizer {
        Normalizer::new(Some(&NormalizerSpec {
            remove_extra_whitespaces: Some(extra),
            ..NormalizerSpec::default()
        }))
        .expect("a normalizer")
    }

    #[test]
    fn spaces_and_the_places_they_came_from() {
        for (extra, text, expected) in [
            (true, "  a  b ", "▁a▁b"),
            (true, "a▁", "▁a"),
            (true, "   ", ""),
            (true, "", ""),
            (false, " a  ", "▁▁a▁▁"),
            (false, " ", "▁▁"),
            (false, "", ""),
        ] {
            let mut normalized = NormalizedString::from(text);
            plain(extra).apply(&mut normalized);
            assert_eq!(normalized.get(), expected, "{text:?}");
        }
        let mut normalized = NormalizedString::from("  a  b ");
        plain(true).apply(&mut normalized);
        let at = |range| {
            normalized
                .get_range_original(tokenizers::tokenizer::normalizer::Range::Normalized(range))
        };
        let mark = MARK.len_utf8();
        assert_eq!(at(mark..mark + 1), Some("a"));
        assert_eq!(at(2 * mark + 1..2 * mark + 2), Some("b"));
    }

    #[test]
    fn tables_that_are_broken() {
        for (bytes, problem) in [
            (&[1_u8, 0][..], "no size"),
            (&[255, 255, 255, 255, 0, 0, 0, 0], "4294967295 bytes of 4"),
            (&[3, 0, 0, 0, 0, 0, 0], "3 bytes of 3"),
            (&[4, 0, 0, 0, 0, 0, 0, 0, 0xff], "invalid utf-8"),
        ] {
            let error = Table::new(bytes).err().expect("a fault");
            assert!(error.contains(problem), "{error}");
        }
        // Units that lead anywhere lead out of the array at most.
        let wild: Vec<u8> = [&[64, 0, 0, 0][..], &[0x61; 64], b"x\0"].concat();
        let table = Table::new(&wild).expect("a table");
        for text in ["a", "aaaaaaaa", "é😀", ""] {
            let _ = table.longest(text);
        }
    }
}
