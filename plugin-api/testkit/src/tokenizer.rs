//! A tokenizer small enough to foresee what it gives.

use std::collections::BTreeMap;

use tenon_plugin_api::tokenizer::{Encode, Encoding, HostTokenizer, SharedTokenizer, Truncation};
use tenon_plugin_api::{Error, Result};

/// Splits at white space. Ids: 0 `[PAD]`, 1 `[UNK]`, 2 `[CLS]`, 3 `[SEP]`, 4 `[MASK]`, then the
/// words that it was made with. A text becomes `[CLS] a [SEP]`, a pair `[CLS] a [SEP] b [SEP]`.
#[derive(Clone, Debug)]
pub struct Whitespace {
    tokens: Vec<String>,
    ids: BTreeMap<String, u32>,
}

const ROLES: [(&str, &str); 5] = [
    ("pad", "[PAD]"),
    ("unk", "[UNK]"),
    ("cls", "[CLS]"),
    ("sep", "[SEP]"),
    ("mask", "[MASK]"),
];
const UNKNOWN: u32 = 1;
const CLS: i64 = 2;
const SEP: i64 = 3;

struct Word {
    id: i64,
    range: (usize, usize),
    index: usize,
}

impl Whitespace {
    /// Knows the words of `text`, numbered from 5 in the order in which they first come.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let mut new = Self {
            tokens: Vec::new(),
            ids: BTreeMap::new(),
        };
        let special = ROLES.iter().map(|(_, token)| *token);
        for token in special.chain(text.split_whitespace()) {
            if !new.ids.contains_key(token) {
                new.ids.insert(token.to_owned(), new.tokens.len() as u32);
                new.tokens.push(token.to_owned());
            }
        }
        new
    }

    /// In the form in which it goes to a task.
    #[must_use]
    pub fn shared(self) -> SharedTokenizer {
        SharedTokenizer::new(self)
    }

    fn words(&self, text: &str) -> Vec<Word> {
        let start = |word: &str| word.as_ptr() as usize - text.as_ptr() as usize;
        text.split_whitespace()
            .enumerate()
            .map(|(index, word)| Word {
                id: i64::from(*self.ids.get(word).unwrap_or(&UNKNOWN)),
                range: (start(word), start(word) + word.len()),
                index,
            })
            .collect()
    }
}

impl HostTokenizer for Whitespace {
    fn encode(&self, text: &str, how: &Encode<'_>) -> Result<Encoding> {
        let mut parts = vec![self.words(text)];
        parts.extend(how.pair.map(|pair| self.words(pair)));
        let special = if how.no_special_tokens {
            0
        } else {
            1 + parts.len()
        };
        if let Some(max) = how.max_length {
            truncate(&mut parts, max.saturating_sub(special), how.truncation)?;
        }
        let mut out = Encoding::default();
        let mut put = |id, part: usize, word: Option<&Word>| {
            out.ids.push(id);
            out.type_ids.push(part as i64);
            if how.offsets {
                out.offsets.push(word.map_or((0, 0), |word| word.range));
                out.sequences.push(word.map(|_| part));
            }
            if how.words {
                out.words.push(word.map(|word| word.index));
            }
        };
        if special > 0 {
            put(CLS, 0, None);
        }
        for (part, words) in parts.iter().enumerate() {
            for word in words {
                put(word.id, part, Some(word));
            }
            if special > 0 {
                put(SEP, part, None);
            }
        }
        Ok(out)
    }

    fn decode(&self, ids: &[u32], skip_special_tokens: bool) -> Result<String> {
        let mut words = Vec::new();
        for id in ids {
            let token = self.tokens.get(*id as usize).ok_or_else(|| {
                Error::data(format!(
                    "token id {id} of a vocabulary of {}",
                    self.tokens.len()
                ))
            })?;
            if !(skip_special_tokens && (*id as usize) < ROLES.len()) {
                words.push(token.as_str());
            }
        }
        Ok(words.join(" "))
    }

    fn token_id(&self, token: &str) -> Option<u32> {
        self.ids.get(token).copied()
    }

    fn special(&self, role: &str) -> Option<u32> {
        let at = ROLES.iter().position(|(name, _)| *name == role)?;
        Some(at as u32)
    }

    fn vocab_size(&self) -> usize {
        self.tokens.len()
    }
}

/// Cuts words off the ends until all parts together have at most `room`.
fn truncate(parts: &mut [Vec<Word>], room: usize, how: Truncation) -> Result<()> {
    loop {
        let total: usize = parts.iter().map(Vec::len).sum();
        if total <= room {
            return Ok(());
        }
        let longest = usize::from(parts.len() > 1 && parts[1].len() > parts[0].len());
        let at = match how {
            Truncation::LongestFirst => longest,
            Truncation::OnlyFirst => 0,
            Truncation::OnlySecond => parts.len() - 1,
            Truncation::Never => {
                return Err(Error::data(format!(
                    "{total} tokens where {room} have room"
                )));
            }
        };
        if parts[at].pop().is_none() {
            return Err(Error::data(format!(
                "text {} cannot give way any more: {total} tokens where {room} have room",
                at + 1
            )));
        }
    }
}
