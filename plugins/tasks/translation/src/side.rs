//! One side of a pair as tokens.

use tenon_plugin_api::task::prelude::*;

/// How texts of one side become tokens.
pub struct Side<'a> {
    tokenizer: &'a Tokenizer<'a>,
    target: bool,
    /// What stands around a text.
    frame: Frame,
}

impl<'a> Side<'a> {
    /// The side as the tokenizer frames it, with `token` in place of what it puts before a text.
    ///
    /// # Errors
    /// The vocabulary lacks the token, or those of the tokenizer.
    pub fn new(tokenizer: &'a Tokenizer<'a>, target: bool, token: Option<&str>) -> Result<Self> {
        let mut frame = tokenizer.frame(target)?;
        if let Some(token) = token {
            let id = tokenizer.token_id(token).ok_or_else(|| {
                let key = if target {
                    "target_token"
                } else {
                    "source_token"
                };
                Error::options(format!("{key}: the tokenizer has no token {token:?}"))
            })?;
            frame.before = vec![i64::from(id)];
        }
        if target && frame.after.is_empty() {
            // Without an end it would not be learned where to stop.
            frame.after.extend(tokenizer.special("eos").map(i64::from));
        }
        Ok(Self {
            tokenizer,
            target,
            frame,
        })
    }

    /// The tokens of a text, `most` at most with what is around it.
    ///
    /// # Errors
    /// Those of the tokenizer, or nothing is left.
    pub fn tokens(&self, text: &str, most: Option<usize>) -> Result<Vec<i64>> {
        let mut ids = self.tokenizer.tokens(text, self.target)?;
        let around = self.frame.len();
        ids.truncate(most.map_or(usize::MAX, |most| most.saturating_sub(around)));
        let ids = self.frame.around(&ids);
        let side = if self.target { "target" } else { "source" };
        ensure!(!ids.is_empty(), Data, "the {side} is empty");
        Ok(ids)
    }
}
