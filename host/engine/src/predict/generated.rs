//! Text that is generated, token by token: as it is written, or with log-probabilities.

use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use serde_json::json;
use tenon_core::data::Prepared;

use super::Lines;
use crate::generate::Writer;
use crate::services;
use crate::session::Session;

/// Writes texts to standard output while they are being written, one prompt after the other.
///
/// # Errors
/// As [`Writer::stream`], or the output cannot be written.
pub fn stream(session: &Session, prompts: &Arc<Prepared>) -> Result<()> {
    let writer = Writer::new(session)?;
    let skip = !writer.strategy().keep_special_tokens;
    for (_, prompt) in writer.prompts(prompts)? {
        let mut open = Open::new(&writer.strategy().stop);
        let mut detokenizer = session.vocabulary.detokenizer(skip);
        let mut out = std::io::stdout().lock();
        let mut say = |text: &str| -> Result<()> {
            out.write_all(text.as_bytes())
                .and_then(|()| out.flush())
                .context("writing text")
        };
        writer.stream(prompt, &mut |_, token| {
            say(&open.push(&detokenizer.push(token)))
        })?;
        say(&open.push(&detokenizer.finish()))?;
        say(&open.finish())?;
        say("\n")?;
    }
    Ok(())
}

/// Text of which the end may yet turn out to be a stop string.
struct Open<'a> {
    stops: &'a [String],
    held: String,
    ended: bool,
}

impl<'a> Open<'a> {
    fn new(stops: &'a [String]) -> Self {
        Self {
            stops,
            held: String::new(),
            ended: false,
        }
    }

    /// Takes text in; answers what of all so far is certain.
    fn push(&mut self, text: &str) -> String {
        if self.ended {
            return String::new();
        }
        self.held.push_str(text);
        let found = self
            .stops
            .iter()
            .filter_map(|stop| self.held.find(stop.as_str()));
        if let Some(end) = found.min() {
            self.ended = true;
            self.held.truncate(end);
            return std::mem::take(&mut self.held);
        }
        let is_open = |at: &usize| {
            let rest = &self.held[*at..];
            self.stops.iter().any(|stop| stop.starts_with(rest))
        };
        let places = self.held.char_indices().map(|(at, _)| at);
        let certain = places.into_iter().find(is_open).unwrap_or(self.held.len());
        let rest = self.held.split_off(certain);
        std::mem::replace(&mut self.held, rest)
    }

    fn finish(&mut self) -> String {
        std::mem::take(&mut self.held)
    }
}

/// A line of JSON for each prompt, with every text that was written for it.
///
/// # Errors
/// As [`Writer::write`], or the output cannot be written.
pub fn tokens(session: &Session, prompts: &Arc<Prepared>, output: Option<&Path>) -> Result<()> {
    let writer = Writer::new(session)?.with_log_probs();
    let (_, prompts): (Vec<usize>, Vec<_>) = writer.prompts(prompts)?.into_iter().unzip();
    let mut lines = match output {
        Some(path) => Lines::to_file(path, prompts.len())?,
        None => Lines::to_stdout(prompts.len()),
    };
    let bar = services::bar("predicting", "prompts", prompts.len() as u64);
    writer.write(&prompts, |at, texts| {
        let text = |(text, written): &(String, crate::generate::Written)| {
            let mut entry = json!({
                "text": text,
                "tokens": written.tokens,
                "end": written.end.name(),
            });
            if !written.log_probs.is_empty() {
                entry["log_probs"] = json!(written.log_probs);
            }
            if let Some(score) = written.score {
                entry["score"] = json!(score);
            }
            entry
        };
        let entries: Vec<_> = texts.iter().map(text).collect();
        let line = match entries.as_slice() {
            [only] => only.clone(),
            _ => json!({ "texts": entries }),
        };
        bar.advance(1);
        lines.put(at, line.to_string())
    })?;
    lines.finish()
}

#[cfg(test)]
mod tests {
    use super::Open;

    #[test]
    fn what_may_be_the_beginning_of_a_stop_string_is_held_back() {
        let stops = ["\n\n".to_owned(), "END".to_owned()];
        let check = |pieces: &[&str]| {
            let mut open = Open::new(&stops);
            let mut told: Vec<String> = pieces.iter().map(|piece| open.push(piece)).collect();
            told.push(open.finish());
            told
        };
        assert_eq!(check(&["a", "b"]), ["a", "b", ""]);
        assert_eq!(check(&["a\n", "b"]), ["a", "\nb", ""]);
        assert_eq!(check(&["a\n", "\nb", "c"]), ["a", "", "", ""]);
        assert_eq!(check(&["so E", "N", "ough"]), ["so ", "", "ENough", ""]);
        assert_eq!(check(&["the EN", "D. More"]), ["the ", "", ""]);
        assert_eq!(check(&["the E"]), ["the ", "E"]);
    }
}
