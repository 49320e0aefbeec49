//! Answers as they lie in the data, and where they stand in the passage.

use std::ops::Range;

use serde_json::Value as Json;
use tenon_plugin_api::task::prelude::*;

use crate::options::Offsets;

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Its words, as the passage has them.
    pub text: String,
    /// Its first character in the passage.
    pub start: Option<usize>,
}

/// The answers of a record; none where the question has no answer.
///
/// # Errors
/// The column holds something else.
pub fn read(record: Record<'_>, column: &str) -> Result<Vec<Answer>> {
    let text = record.opt_text(column).unwrap_or_default().trim();
    let value = match text.as_bytes() {
        [] => return Ok(Vec::new()),
        // what csv has in a plain column is an answer as it is
        [b'{' | b'[' | b'"', ..] => record.json(column)?.unwrap_or_default(),
        _ if text == "null" => return Ok(Vec::new()),
        _ => Json::String(text.to_owned()),
    };
    let answers = match &value {
        Json::Object(lists) => columns(lists),
        Json::Array(items) => items.iter().map(single).collect(),
        Json::String(_) => single(&value).map(|answer| vec![answer]),
        _ => None,
    };
    let mut answers = answers.ok_or_else(|| {
        let shown: String = text.chars().take(80).collect();
        Error::data(format!(
            "column `{column}`: expected answers such as {{\"text\": [\"…\"], \"answer_start\": [0]}}, found {shown}"
        ))
    })?;
    answers.retain(|answer| !answer.text.trim().is_empty());
    Ok(answers)
}

/// `{"text": […], "answer_start": […]}`, as Hugging Face has it.
fn columns(lists: &serde_json::Map<String, Json>) -> Option<Vec<Answer>> {
    let (texts, starts) = match (lists.get("text")?, lists.get("answer_start")) {
        (text @ Json::String(_), Some(start)) => (vec![text], vec![start]),
        (text @ Json::String(_), None) => (vec![text], Vec::new()),
        (Json::Array(texts), None) => (texts.iter().collect(), Vec::new()),
        (Json::Array(texts), Some(Json::Array(starts))) if texts.len() == starts.len() => {
            (texts.iter().collect(), starts.iter().collect())
        }
        _ => return None,
    };
    let starts = starts.into_iter().map(Some).chain(std::iter::repeat(None));
    let answer = |(text, start): (&Json, Option<&Json>)| {
        Some(Answer {
            text: text.as_str()?.to_owned(),
            start: match start {
                Some(start) => Some(number(start)?),
                None => None,
            },
        })
    };
    texts.into_iter().zip(starts).map(answer).collect()
}

/// `{"text": …, "answer_start": …}`, as SQuAD has it, or the text alone.
fn single(value: &Json) -> Option<Answer> {
    let (text, start) = match value {
        Json::String(text) => (text.as_str(), None),
        Json::Object(entries) => (entries.get("text")?.as_str()?, entries.get("answer_start")),
        _ => return None,
    };
    Some(Answer {
        text: text.to_owned(),
        start: match start {
            Some(start) => Some(number(start)?),
            None => None,
        },
    })
}

fn number(value: &Json) -> Option<usize> {
    usize::try_from(value.as_u64()?).ok()
}

/// The bytes of the passage that an answer takes.
///
/// # Errors
/// It is not where it should be.
pub fn find(answer: &Answer, context: &str, offsets: Offsets) -> Result<Range<usize>> {
    let text = answer.text.as_str();
    let first = context.find(text);
    let absent = |problem: String| {
        let error = Error::data(problem);
        match (first, offsets) {
            (Some(_), Offsets::Given) => error.with_help(
                "set offsets = \"first\" to learn the first occurrence, or mend the data",
            ),
            _ => error,
        }
    };
    let start = match (offsets, answer.start) {
        (Offsets::First, _) => first.ok_or_else(|| {
            Error::data(format!("the answer {text:?} does not occur in the passage"))
        })?,
        (Offsets::Given, None) => {
            return Err(absent(format!("the answer {text:?} has no `answer_start`")));
        }
        (Offsets::Given, Some(start)) => {
            let byte = byte_of(context, start);
            match byte.filter(|byte| context[*byte..].starts_with(text)) {
                Some(byte) => byte,
                None => return Err(absent(elsewhere(text, start, byte, context, first))),
            }
        }
    };
    Ok(start..start + text.len())
}

/// The byte at which a character starts; the end of the text counts as one.
fn byte_of(text: &str, character: usize) -> Option<usize> {
    let starts = text.char_indices().map(|(byte, _)| byte);
    starts.chain([text.len()]).nth(character)
}

/// What to say of an answer that is not at its offset.
fn elsewhere(
    text: &str,
    start: usize,
    byte: Option<usize>,
    context: &str,
    first: Option<usize>,
) -> String {
    let found = match byte {
        Some(byte) => {
            let there: String = context[byte..].chars().take(text.chars().count()).collect();
            format!("where {there:?} stands")
        }
        None => format!("which ends after {} characters", context.chars().count()),
    };
    let occurs = match first {
        Some(byte) => format!("it first occurs at {}", context[..byte].chars().count()),
        None => "it does not occur at all".to_owned(),
    };
    format!("the answer {text:?} is not at character {start} of the passage, {found}; {occurs}")
}
