//! Conversations: records with turns, as the model's chat template wants them.

use serde_json::Value;
use tenon_plugin_api::task::prelude::*;
use tenon_plugin_api::tokenizer::Message;

use crate::options::Format;

/// The one whose turns are learned.
pub const ASSISTANT: &str = "assistant";
/// The one who says what goes for all of it.
pub const SYSTEM: &str = "system";

/// The turns of a record, after the system prompt, if there is one and the record has none.
///
/// # Errors
/// The cell is no conversation; which turn is at fault, and how.
pub fn turns(
    record: Record<'_>,
    column: &str,
    format: Format,
    system: Option<&str>,
) -> Result<Vec<Message>> {
    let cell = record.json(column)?;
    let Some(Value::Array(items)) = cell else {
        let found = cell.as_ref().map_or("none", kind);
        bail!(
            Data,
            "column `{column}`: expected a list of turns, found {found}"
        );
    };
    let mut messages = with_system(system);
    for (number, item) in items.iter().enumerate() {
        let turn = match format {
            Format::Sharegpt => sharegpt(item),
            _ => openai(item),
        };
        let turn = turn.map_err(|problem| {
            Error::data(format!("column `{column}`, turn {}: {problem}", number + 1))
        })?;
        if number == 0 && turn.role == SYSTEM {
            messages.clear();
        }
        messages.push(turn);
    }
    ensure!(
        !items.is_empty(),
        Data,
        "column `{column}`: a conversation without a turn"
    );
    Ok(messages)
}

/// The turns before a prompt.
pub fn with_system(system: Option<&str>) -> Vec<Message> {
    let turn = system.map(|system| Message::new(SYSTEM, system));
    turn.into_iter().collect()
}

fn openai(turn: &Value) -> Result<Message, String> {
    let role = text_of(turn, "role")?;
    let content = match turn.get("content") {
        Some(Value::String(content)) => content.clone(),
        // Parts, of which a language model reads those of text.
        Some(Value::Array(parts)) => {
            let part = |part: &Value| {
                let text = part.get("text").and_then(Value::as_str);
                text.map(str::to_owned)
                    .ok_or("expected parts of text in `content`, found another")
            };
            parts.iter().map(part).collect::<Result<String, _>>()?
        }
        other => return Err(expected("content", other)),
    };
    Ok(Message::new(role, content))
}

fn sharegpt(turn: &Value) -> Result<Message, String> {
    let from = text_of(turn, "from")?;
    let role = match from {
        "human" | "user" => "user",
        "gpt" | "assistant" | "chatgpt" | "bing" | "bard" | "model" => ASSISTANT,
        "system" => SYSTEM,
        "tool" | "function" | "observation" => "tool",
        other => {
            return Err(format!(
                "expected `from` to be human, gpt, system or tool, found {other:?}"
            ));
        }
    };
    Ok(Message::new(role, text_of(turn, "value")?))
}

fn text_of<'a>(turn: &'a Value, key: &str) -> Result<&'a str, String> {
    let value = turn.get(key);
    value
        .and_then(Value::as_str)
        .ok_or_else(|| expected(key, value))
}

fn expected(key: &str, found: Option<&Value>) -> String {
    format!(
        "expected a text as `{key}`, found {}",
        found.map_or("none", kind)
    )
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a map",
    }
}

/// A conversation as text, with the bytes of the assistant's turns in it.
#[derive(Debug, PartialEq)]
pub struct Written {
    /// All of it.
    pub text: String,
    /// From and to of each turn that is learned.
    pub spans: Vec<(usize, usize)>,
}

/// Writes a conversation by the model's chat template, and finds the turns of the assistant in it: each is what the
/// template adds to the conversation before it, which ends with the invitation to answer. White space at the end of
/// a turn is the template's and is not learned; nor are turns before the one at `own`, which are demonstrations.
///
/// # Errors
/// There is no chat template, it refuses the conversation, or it writes earlier turns in another way once there are
/// later ones; no turn is the assistant's.
pub fn write(
    messages: &[Message],
    own: usize,
    only_last: bool,
    tokenizer: &Tokenizer<'_>,
) -> Result<Written> {
    let assistant = |at: &usize| messages[*at].role == ASSISTANT;
    let Some(last) = (own..messages.len()).rev().find(assistant) else {
        return Err(
            Error::data("a conversation without a turn of the assistant teaches nothing")
                .with_help("leave such records out, or set `data.on_bad_row = \"skip\"`"),
        );
    };
    let learned = (own..=last).filter(|at| assistant(at) && (!only_last || *at == last));
    let text = tokenizer.chat(&messages[..=last], false)?;
    let mut spans = Vec::new();
    for at in learned {
        let before = tokenizer.chat(&messages[..at], true)?;
        let with = match at == last {
            true => text.clone(),
            false => tokenizer.chat(&messages[..=at], false)?,
        };
        if !with.starts_with(&before) || !text.starts_with(&with) {
            return Err(Error::data(format!(
                "the chat template writes turn {} differently when others follow it",
                at + 1
            ))
            .with_help("set `turns = \"last\"` to learn the last one of each conversation"));
        }
        spans.push((before.len(), with.trim_end().len().max(before.len())));
    }
    Ok(Written { text, spans })
}
