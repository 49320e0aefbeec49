//! What was expected and what was found, in words.

use serde_json::Value;

use super::tree::{Data, Located};

/// Characters of a text that a message shows.
const SHOWN: usize = 40;

/// What a schema expects: `a positive integer`, `"linear", "cosine" or "constant"`.
pub fn expected(schema: &Value) -> String {
    either(&forms(schema))
}

/// The forms that a value may have.
fn forms(schema: &Value) -> Vec<String> {
    if let Some(words) = schema["x-tenon-expected"].as_str() {
        return vec![words.to_owned()];
    }
    let choices = ["anyOf", "oneOf"]
        .iter()
        .find_map(|list| schema[*list].as_array());
    if let Some(branches) = choices {
        let mut words: Vec<String> = branches.iter().flat_map(forms).collect();
        words.dedup();
        return words;
    }
    if let Some(words) = schema["enum"].as_array() {
        return words.iter().map(Value::to_string).collect();
    }
    match &schema["type"] {
        Value::String(kind) => vec![of_type(kind, schema)],
        Value::Array(kinds) => {
            let kinds = kinds.iter().filter_map(Value::as_str);
            kinds.map(|kind| of_type(kind, schema)).collect()
        }
        _ => vec!["a value".into()],
    }
}

fn of_type(kind: &str, schema: &Value) -> String {
    match kind {
        "boolean" => "true or false".into(),
        "string" if schema["format"] == "path" => "a path".into(),
        "string" => "a string".into(),
        "integer" => number("integer", schema),
        "number" => number("number", schema),
        "array" => match &schema["items"] {
            Value::Object(items) if !items.is_empty() => {
                format!("a list of {}", plural(&schema["items"]))
            }
            _ => "a list".into(),
        },
        "object" => "a table".into(),
        other => other.to_owned(),
    }
}

fn plural(items: &Value) -> String {
    match items["type"].as_str() {
        Some("string") if items.get("enum").is_none() => "strings".into(),
        Some("integer") => "integers".into(),
        Some("number") => "numbers".into(),
        Some("object") => "tables".into(),
        _ => format!("values, each {}", expected(items)),
    }
}

/// `a positive integer`, `a number ≥ 0 and < 1`.
fn number(noun: &str, schema: &Value) -> String {
    let bound = |key: &str| schema[key].as_f64();
    let article = if noun == "integer" { "an" } else { "a" };
    let (low, above) = (bound("minimum"), bound("exclusiveMinimum"));
    let (high, below) = (bound("maximum"), bound("exclusiveMaximum"));
    match (low, above, high, below) {
        (Some(1.0), None, _, None) if noun == "integer" && is_generous(high) => {
            return "a positive integer".into();
        }
        (None, Some(0.0), None, None) => return format!("a positive {noun}"),
        (Some(0.0), None, _, None) if noun == "integer" && is_generous(high) => {
            return format!("{article} {noun} ≥ 0");
        }
        (Some(low), None, Some(high), None) => {
            return format!("{article} {noun} from {low} to {high}");
        }
        _ => {}
    }
    let bounds = [("≥", low), (">", above), ("≤", high), ("<", below)];
    let bounds: Vec<String> = bounds
        .iter()
        .filter_map(|(sign, bound)| bound.map(|bound| format!("{sign} {bound}")))
        .collect();
    format!("{article} {noun} {}", bounds.join(" and "))
        .trim_end()
        .to_owned()
}

/// Whether an upper bound only guards against nonsense, so that it need not be named.
fn is_generous(high: Option<f64>) -> bool {
    high.is_none_or(|high| high >= 1e6)
}

/// `a, b or c`.
fn either(words: &[String]) -> String {
    match words {
        [] => "nothing".into(),
        [only] => only.clone(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

/// What was found: `"three"`, `0`, `a table`.
pub(super) fn found(value: &Located) -> String {
    match &value.data {
        Data::Bool(flag) => flag.to_string(),
        Data::Integer(integer) => integer.to_string(),
        Data::Float(float) => format!("{float:?}"),
        Data::Text(text) => text_shown(text),
        Data::Array(items) if items.is_empty() => "an empty list".into(),
        Data::Array(_) => "a list".into(),
        Data::Table(_) => "a table".into(),
    }
}

/// A text in quotes, cut if it is long, with control characters spelt out.
pub(super) fn text_shown(text: &str) -> String {
    let mut shown: String = text
        .chars()
        .take(SHOWN)
        .flat_map(char::escape_debug)
        .collect();
    if text.chars().nth(SHOWN).is_some() {
        shown.push('…');
    }
    format!("\"{}\"", shown.replace("\\'", "'"))
}

/// The first sentence of a doc.
pub(super) fn first_sentence(doc: &str) -> &str {
    let paragraph = doc.split("\n\n").next().unwrap_or(doc);
    paragraph
        .find(". ")
        .map_or(paragraph, |end| &paragraph[..end])
        .trim_end_matches('.')
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn names_what_is_expected() {
        for (schema, words) in [
            (
                json!({ "type": "integer", "minimum": 1 }),
                "a positive integer",
            ),
            (
                json!({ "type": "integer", "minimum": 1, "maximum": 1_000_000 }),
                "a positive integer",
            ),
            (
                json!({ "type": "integer", "minimum": 1, "maximum": 8 }),
                "an integer from 1 to 8",
            ),
            (json!({ "type": "integer", "minimum": 0 }), "an integer ≥ 0"),
            (json!({ "type": "integer", "minimum": 2 }), "an integer ≥ 2"),
            (json!({ "type": "integer" }), "an integer"),
            (
                json!({ "type": "number", "exclusiveMinimum": 0 }),
                "a positive number",
            ),
            (
                json!({ "type": "number", "minimum": 0.0, "exclusiveMaximum": 1.0 }),
                "a number ≥ 0 and < 1",
            ),
            (
                json!({ "type": ["string", "integer"] }),
                "a string or an integer",
            ),
            (
                json!({ "type": "string", "enum": ["a", "b", "c"] }),
                "\"a\", \"b\" or \"c\"",
            ),
            (
                json!({ "type": "array", "items": { "type": "string" } }),
                "a list of strings",
            ),
            (
                json!({ "anyOf": [{ "type": "string" }, { "type": "array", "items": { "type": "string" } }] }),
                "a string or a list of strings",
            ),
            (json!({ "type": "boolean" }), "true or false"),
        ] {
            assert_eq!(expected(&schema), words);
        }
    }

    #[test]
    fn shows_texts_on_one_line() {
        assert_eq!(text_shown("it's\n\u{1b}[31m"), "\"it's\\n\\u{1b}[31m\"");
        assert_eq!(
            text_shown(&"x".repeat(50)),
            format!("\"{}…\"", "x".repeat(40))
        );
    }
}
