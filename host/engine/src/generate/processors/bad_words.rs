//! Words and phrases that are never written: the last token of each is forbidden after its others.

use tenon_plugin_api::processor::prelude::*;

use super::{NEVER, at};

/// Options of `bad-words`.
#[derive(Options)]
pub struct Words {
    /// The tokens of each.
    words: Vec<Vec<u32>>,
}

/// See the module.
pub struct BadWords(Vec<Vec<u32>>);

impl Processor for BadWords {
    const ID: &'static str = "bad-words";
    type Options = Words;

    fn new(options: Words) -> Result<Self> {
        Ok(Self(options.words))
    }

    fn begin(&mut self, decoding: &Decoding) -> Result<()> {
        // A token that ends texts is no word.
        let ends = |word: &Vec<u32>| matches!(word[..], [only] if decoding.eos.contains(&only));
        self.0.retain(|word| !word.is_empty() && !ends(word));
        Ok(())
    }

    fn process(&self, sequence: Sequence<'_>, scores: &mut [f32]) -> Result<()> {
        for word in &self.0 {
            let Some((last, before)) = word.split_last() else {
                continue;
            };
            if sequence.tokens.ends_with(before)
                && let Some(score) = at(scores, *last)
            {
                *score = NEVER;
            }
        }
        Ok(())
    }
}
