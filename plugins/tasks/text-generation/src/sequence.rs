//! Token sequences: prompts and targets as the model's inputs and labels.

use tenon_nn::IGNORED;
use tenon_plugin_api::task::prelude::*;

/// What a tokenizer puts around a text.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Frame {
    /// Before it, such as `<s>`.
    pub before: Vec<i64>,
    /// After it, such as `</s>`.
    pub after: Vec<i64>,
}

impl Frame {
    /// The frame of one side's texts.
    ///
    /// # Errors
    /// Those of the tokenizer.
    pub fn of(tokenizer: &Tokenizer<'_>, target: bool) -> Result<Self> {
        let how = Encode {
            offsets: true,
            target,
            ..Encode::default()
        };
        let encoding = tokenizer.encode("a", &how)?;
        let text = |place: &Option<usize>| place.is_some();
        let first = encoding.sequences.iter().position(text);
        let first = first.unwrap_or(encoding.ids.len());
        let last = encoding.sequences.iter().rposition(text);
        Ok(Self {
            before: encoding.ids[..first].to_vec(),
            after: encoding.ids[last.map_or(first, |last| last + 1)..].to_vec(),
        })
    }

    /// Tokens that it adds.
    pub fn len(&self) -> usize {
        self.before.len() + self.after.len()
    }

    /// The frame with `ids` in it.
    pub fn around(&self, ids: &[i64]) -> Vec<i64> {
        [&self.before[..], ids, &self.after[..]].concat()
    }
}

/// The tokens of a text without anything around them.
///
/// # Errors
/// Those of the tokenizer.
pub fn tokens(text: &str, target: bool, tokenizer: &Tokenizer<'_>) -> Result<Vec<i64>> {
    let how = Encode {
        no_special_tokens: true,
        target,
        ..Encode::default()
    };
    Ok(tokenizer.encode(text, &how)?.ids)
}

/// The token that ends a text.
pub fn end(tokenizer: &Tokenizer<'_>, frame: &Frame) -> Option<i64> {
    let eos = tokenizer.special("eos").map(i64::from);
    eos.or_else(|| frame.after.last().copied())
}

/// At most `most` tokens, from the start or from the end.
pub fn cut(ids: &[i64], most: usize, keep_end: bool) -> &[i64] {
    let most = most.min(ids.len());
    match keep_end {
        true => &ids[ids.len() - most..],
        false => &ids[..most],
    }
}

/// Tokens of a causal model, of which some are learned.
#[derive(Debug, Default)]
pub struct Line {
    ids: Vec<i64>,
    learned: Vec<bool>,
}

impl Line {
    /// Appends tokens.
    pub fn push(&mut self, ids: &[i64], learned: bool) {
        self.ids.extend_from_slice(ids);
        self.learned.resize(self.ids.len(), learned);
    }

    /// The number of its tokens.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// At most `most` tokens of it, from the start or from the end.
    pub fn cut(&mut self, most: usize, keep_end: bool) {
        self.ids = cut(&self.ids, most, keep_end).to_vec();
        let from = self.learned.len() - most.min(self.learned.len());
        match keep_end {
            true => drop(self.learned.drain(..from)),
            false => self.learned.truncate(most),
        }
    }

    /// The example: all up to the last token that is learned, which is no input, and at each position the next token
    /// where it is learned. None if nothing is.
    pub fn example(&self, examples: &mut Examples) {
        let Some(last) = self.learned.iter().rposition(|learned| *learned) else {
            return;
        };
        let next = self.ids[..=last].iter().zip(&self.learned).skip(1);
        let labels: Vec<i64> = next
            .map(|(id, learned)| if *learned { *id } else { IGNORED })
            .collect();
        // What comes first is predicted from nothing.
        if labels.iter().any(|label| *label != IGNORED) {
            examples
                .example()
                .ints("input_ids", &self.ids[..last])
                .ints("labels", &labels);
        }
    }
}

/// The example of an encoder–decoder whose decoder starts with `start`.
pub fn pair(source: &[i64], target: &[i64], start: i64, examples: &mut Examples) {
    let shifted: Vec<i64> = std::iter::once(start)
        .chain(target[..target.len().saturating_sub(1)].iter().copied())
        .collect();
    examples
        .example()
        .ints("input_ids", source)
        .ints("decoder_input_ids", &shifted)
        .ints("labels", target);
}
