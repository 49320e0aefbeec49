//! Counting the words of texts, in one pass on all threads.

use std::collections::HashMap;

use tokenizers::{
    NormalizedString, Normalizer, NormalizerWrapper, OffsetReferential, OffsetType,
    PreTokenizedString, PreTokenizer, PreTokenizerWrapper,
};

use super::spec::{Kind, TrainSpec};
use super::{TrainError, Watch, files};
use crate::data::{Record, Value, View};

/// Distinct words that are kept. Beyond, the rarest are forgotten.
const MOST_WORDS: usize = 4_000_000;
/// Characters of a word; longer ones are cut.
const LONGEST_WORD: usize = 1000;

/// Rows with text, and which of their columns hold it.
pub struct TextSource<'a> {
    /// The rows.
    pub view: &'a View,
    /// The columns.
    pub columns: Vec<String>,
}

/// How often each word came.
pub(super) struct Counts {
    /// Words in the order of their counts, the most frequent first, then by their letters.
    pub words: Vec<(String, u64)>,
    pub rows: u64,
    pub texts: u64,
    pub bytes: u64,
    /// Words in all.
    pub total: u64,
}

/// What a thread made of a few rows.
#[derive(Default)]
struct Part {
    words: HashMap<String, u64>,
    texts: u64,
    bytes: u64,
}

/// Cuts texts into words, as the tokenizer will.
struct Cutter {
    normalizer: Option<NormalizerWrapper>,
    pre_tokenizer: Option<PreTokenizerWrapper>,
    chars: bool,
}

impl Cutter {
    fn new(spec: &TrainSpec) -> Result<Self, TrainError> {
        let invalid = |error: serde_json::Error| TrainError::Invalid(error.to_string());
        Ok(Self {
            normalizer: serde_json::from_value(files::normalizer(spec)).map_err(invalid)?,
            pre_tokenizer: serde_json::from_value(files::pre_tokenizer(spec)).map_err(invalid)?,
            chars: spec.kind == Kind::Char,
        })
    }

    fn add(&self, text: &str, part: &mut Part) -> tokenizers::Result<()> {
        part.texts += 1;
        part.bytes += text.len() as u64;
        let mut normalized = NormalizedString::from(text);
        if let Some(normalizer) = &self.normalizer {
            normalizer.normalize(&mut normalized)?;
        }
        let mut put = |word: &str, by: u64| match part.words.get_mut(word) {
            Some(count) => *count += by,
            None => drop(part.words.insert(word.to_owned(), by)),
        };
        if self.chars {
            let mut letter = [0; 4];
            for c in normalized.get().chars() {
                put(c.encode_utf8(&mut letter), 1);
            }
            return Ok(());
        }
        let mut cut = PreTokenizedString::from(normalized);
        if let Some(pre_tokenizer) = &self.pre_tokenizer {
            pre_tokenizer.pre_tokenize(&mut cut)?;
        }
        for (word, _, _) in cut.get_splits(OffsetReferential::Normalized, OffsetType::Byte) {
            let mut rest = word;
            while let Some((end, _)) = rest.char_indices().nth(LONGEST_WORD) {
                put(&rest[..end], 1);
                rest = &rest[end..];
            }
            if !rest.is_empty() {
                put(rest, 1);
            }
        }
        Ok(())
    }
}

/// Counts the words of `sources`.
pub(super) fn count(
    spec: &TrainSpec,
    sources: &[TextSource<'_>],
    watch: &dyn Watch,
) -> Result<Counts, TrainError> {
    let cutter = Cutter::new(spec)?;
    let rows: usize = sources.iter().map(|source| source.view.len()).sum();
    watch.phase("counting words", rows as u64);
    let mut words: HashMap<String, u64> = HashMap::new();
    let (mut texts, mut bytes, mut total, mut forgotten) = (0, 0, 0, 0);
    let (mut done, mut stopped, mut failed) = (0, false, None);
    for source in sources {
        let map = |_: usize, records: &[Record]| {
            let mut part = Part::default();
            let cells = records
                .iter()
                .flat_map(|record| source.columns.iter().map(|column| record.get(column)));
            let mut outcome = Ok(());
            for cell in cells.flatten() {
                outcome =
                    outcome.and_then(|()| each_text(cell, &mut |text| cutter.add(text, &mut part)));
            }
            (records.len() as u64, outcome.map(|()| part))
        };
        source.view.scan(map, |(rows, part)| {
            done += rows;
            watch.at(done);
            stopped |= watch.stopped();
            let part = match part {
                Ok(part) if !stopped && failed.is_none() => part,
                Ok(_) => return Ok(()),
                Err(error) => {
                    failed = Some(error.to_string());
                    return Ok(());
                }
            };
            texts += part.texts;
            bytes += part.bytes;
            for (word, count) in part.words {
                total += count;
                *words.entry(word).or_default() += count;
            }
            while words.len() > MOST_WORDS {
                forgotten += 1;
                words.retain(|_, count| *count > forgotten);
            }
            Ok(())
        })?;
        if stopped {
            return Err(TrainError::Stopped);
        }
    }
    if let Some(problem) = failed {
        return Err(TrainError::Invalid(problem));
    }
    let mut words: Vec<(String, u64)> = words.into_iter().collect();
    words.sort_unstable_by(|(a, m), (b, n)| n.cmp(m).then_with(|| a.cmp(b)));
    Ok(Counts {
        words,
        rows: done,
        texts,
        bytes,
        total,
    })
}

/// The texts of a cell: of lists and maps, each in them.
fn each_text(
    cell: &Value,
    found: &mut dyn FnMut(&str) -> tokenizers::Result<()>,
) -> tokenizers::Result<()> {
    match cell {
        Value::Text(text) => found(text),
        Value::List(items) => items.iter().try_for_each(|item| each_text(item, found)),
        Value::Map(entries) => entries
            .iter()
            .try_for_each(|(_, item)| each_text(item, found)),
        _ => Ok(()),
    }
}

/// The characters of a vocabulary.
pub(super) struct Alphabet {
    /// In order of their code points.
    pub chars: Vec<char>,
    /// How many were left out.
    pub rare: usize,
}

impl Alphabet {
    /// The most frequent characters, until they make up `coverage` of the text.
    pub fn new(words: &[(String, u64)], coverage: f64) -> Self {
        let mut counts: HashMap<char, u64> = HashMap::new();
        for (word, count) in words {
            for c in word.chars() {
                *counts.entry(c).or_default() += count;
            }
        }
        let total: u64 = counts.values().sum();
        let mut counts: Vec<(char, u64)> = counts.into_iter().collect();
        counts.sort_unstable_by_key(|(c, count)| (std::cmp::Reverse(*count), *c));
        let wanted = total as f64 * coverage;
        let (mut covered, mut kept) = (0_u64, 0);
        for (_, count) in &counts {
            if covered as f64 >= wanted {
                break;
            }
            covered += count;
            kept += 1;
        }
        let rare = counts.len() - kept;
        let mut chars: Vec<char> = counts[..kept].iter().map(|(c, _)| *c).collect();
        chars.sort_unstable();
        Self { chars, rare }
    }

    pub fn has(&self, c: char) -> bool {
        self.chars.binary_search(&c).is_ok()
    }
}
