//! Stop strings: texts at which writing ends.

use anyhow::Result;
use tenon_plugin_api::error::StdError;
use tenon_plugin_api::tokenizer::Tokenizer;

/// Finds stop strings in what is being written.
pub struct Stops<'a> {
    tokenizer: Option<Tokenizer<'a>>,
    texts: &'a [String],
    /// Tokens that the longest stop string can lie in.
    window: usize,
}

impl<'a> Stops<'a> {
    /// Stops at any of these texts.
    pub fn new(tokenizer: Tokenizer<'a>, texts: &'a [String]) -> Self {
        let longest = texts.iter().map(String::len).max().unwrap_or(0);
        Self {
            tokenizer: (longest > 0).then_some(tokenizer),
            texts,
            // A token has a byte at least, save special ones; a few more settle what surrounds it.
            window: longest + 8,
        }
    }

    /// Never stops.
    #[cfg(test)]
    pub fn none() -> Stops<'static> {
        Stops {
            tokenizer: None,
            texts: &[],
            window: 0,
        }
    }

    /// Whether the end of what was written holds a stop string. Asked after every token.
    ///
    /// # Errors
    /// A token cannot be decoded.
    pub fn ended(&self, written: &[u32]) -> Result<bool> {
        let Some(tokenizer) = &self.tokenizer else {
            return Ok(false);
        };
        let tail = &written[written.len().saturating_sub(self.window)..];
        let text = tokenizer.decode(tail, true).map_err(StdError)?;
        Ok(self.texts.iter().any(|stop| text.contains(stop.as_str())))
    }

    /// The text up to the first stop string.
    pub fn cut<'t>(&self, text: &'t str) -> &'t str {
        let found = self
            .texts
            .iter()
            .filter_map(|stop| text.find(stop.as_str()));
        found.min().map_or(text, |end| &text[..end])
    }
}
