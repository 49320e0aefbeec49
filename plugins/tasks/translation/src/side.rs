//! One side of a pair as tokens.

use tenon_plugin_api::task::prelude::*;

/// How texts of one side become tokens.
pub struct Side<'a> {
    tokenizer: &'a Tokenizer<'a>,
    target: bool,
    /// Tokens before and after a text.
    before: Vec<i64>,
    after: Vec<i64>,
}

impl<'a> Side<'a> {
    /// The side as the tokenizer frames it, with `token` in place of what it puts before a text.
    ///
    /// # Errors
    /// The vocabulary lacks the token, or those of the tokenizer.
    pub fn new(tokenizer: &'a Tokenizer<'a>, target: bool, token: Option<&str>) -> Result<Self> {
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
        let mut side = Self {
            tokenizer,
            target,
            before: encoding.ids[..first].to_vec(),
            after: encoding.ids[last.map_or(first, |last| last + 1)..].to_vec(),
        };
        if let Some(token) = token {
            let id = tokenizer.token_id(token).ok_or_else(|| {
                let key = if target {
                    "target_token"
                } else {
                    "source_token"
                };
                Error::options(format!("{key}: the tokenizer has no token {token:?}"))
            })?;
            side.before = vec![i64::from(id)];
        }
        if target && side.after.is_empty() {
            // Without an end it would not be learned where to stop.
            side.after.extend(tokenizer.special("eos").map(i64::from));
        }
        Ok(side)
    }

    /// The tokens of a text, `most` at most with what is around it.
    ///
    /// # Errors
    /// Those of the tokenizer, or nothing is left.
    pub fn tokens(&self, text: &str, most: Option<usize>) -> Result<Vec<i64>> {
        let how = Encode {
            no_special_tokens: true,
            target: self.target,
            ..Encode::default()
        };
        let mut ids = self.tokenizer.encode(text, &how)?.ids;
        let around = self.before.len() + self.after.len();
        ids.truncate(most.map_or(usize::MAX, |most| most.saturating_sub(around)));
        let ids = [&self.before[..], &ids, &self.after].concat();
        let side = if self.target { "target" } else { "source" };
        ensure!(!ids.is_empty(), Data, "the {side} is empty");
        Ok(ids)
    }
}
