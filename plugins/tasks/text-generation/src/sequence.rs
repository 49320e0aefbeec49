//! Token sequences: prompts and targets as the model's inputs and labels.

use tenon_nn::IGNORED;
use tenon_plugin_api::task::prelude::*;

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
