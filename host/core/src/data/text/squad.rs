//! SQuAD JSON: articles of paragraphs of questions, written out as one row a question.
//!
//! ```text
//! {"data": [{"title": …, "paragraphs": [{"context": …, "qas": [{"id": …, "question": …, "answers": […]}]}]}]}
//! ```
//!
//! The rows go to a file of JSON lines, in which they are then found by number as in any other; at any time one
//! article is in memory. Answers become `{"text": […], "answer_start": […]}`, as Hugging Face has them; a question
//! without answers (SQuAD 2.0) has empty lists.

use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::path::Path;

use flate2::read::MultiGzDecoder;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::PositionedFile;
use super::unpack::kept;
use crate::data::error::DataError;

/// The columns of a row.
pub(super) const COLUMNS: [&str; 5] = ["id", "title", "context", "question", "answers"];

const EXPECTED: &str =
    "expected SQuAD JSON, {\"data\": [{\"paragraphs\": [{\"context\": …, \"qas\": […]}]}]}";

/// How much of a file is read to tell whether it is SQuAD's.
const START: u64 = 4 << 10;

#[derive(Deserialize)]
struct Article {
    #[serde(default)]
    title: String,
    paragraphs: Vec<Paragraph>,
}

#[derive(Deserialize)]
struct Paragraph {
    context: String,
    qas: Vec<Question>,
}

#[derive(Deserialize)]
struct Question {
    #[serde(default)]
    id: Value,
    question: String,
    #[serde(default)]
    answers: Vec<Answer>,
}

#[derive(Deserialize)]
struct Answer {
    text: String,
    answer_start: Option<u64>,
}

#[derive(Serialize)]
struct Row<'a> {
    id: &'a Value,
    title: &'a str,
    context: &'a str,
    question: &'a str,
    answers: Answers<'a>,
}

#[derive(Serialize)]
struct Answers<'a> {
    text: Vec<&'a str>,
    answer_start: Vec<Option<u64>>,
}

/// Whether a JSON file is SQuAD's, by its beginning.
pub(crate) fn is_squad(path: &Path, gzip: bool) -> bool {
    let read = || -> io::Result<Vec<u8>> {
        let mut start = Vec::new();
        let file = File::open(path)?;
        match gzip {
            true => MultiGzDecoder::new(file)
                .take(START)
                .read_to_end(&mut start)?,
            false => file.take(START).read_to_end(&mut start)?,
        };
        Ok(start)
    };
    read().is_ok_and(|start| announces(&String::from_utf8_lossy(&start)).is_some())
}

/// Matches `{"version": …, "data": [{"title": …, "paragraphs": [` with keys left out or in another order.
fn announces(start: &str) -> Option<()> {
    let start: String = start.chars().filter(|c| !c.is_whitespace()).collect();
    let start = start.trim_start_matches('\u{feff}').strip_prefix('{')?;
    let start = match start.strip_prefix("\"version\":") {
        Some(version) => version.split_once(',')?.1,
        None => start,
    };
    let article = start.strip_prefix("\"data\":[{\"")?;
    let known = article.starts_with("paragraphs\":[")
        || article.starts_with("title\":\"") && article.contains("\"paragraphs\":[");
    known.then_some(())
}

/// The questions of `path` as JSON lines: in `folder`, where a later run finds them again, or in a temporary file.
pub(super) fn questions(
    path: &Path,
    gzip: bool,
    folder: Option<&Path>,
) -> Result<PositionedFile, DataError> {
    kept(path, folder, "squad.jsonl", |source, target| {
        let written = match gzip {
            true => write_rows(MultiGzDecoder::new(BufReader::new(source)), target),
            false => write_rows(source, target),
        };
        written.map_err(|problem| match problem {
            Problem::Read(source) => DataError::io("read", path, source),
            Problem::Write(source) => DataError::io("write out the questions of", path, source),
            Problem::Content(problem) => DataError::format(path, problem),
        })
    })
}

enum Problem {
    Read(io::Error),
    Write(io::Error),
    Content(String),
}

fn write_rows(source: impl Read, target: &mut File) -> Result<(), Problem> {
    let mut source = BufReader::with_capacity(1 << 18, source);
    if source
        .fill_buf()
        .map_err(Problem::Read)?
        .starts_with("\u{feff}".as_bytes())
    {
        source.consume(3);
    }
    let mut rows = Rows {
        out: BufWriter::with_capacity(1 << 18, target),
        articles: 0,
        found: false,
        failed: None,
    };
    let mut parser = serde_json::Deserializer::from_reader(source);
    let parsed = Whole(&mut rows).deserialize(&mut parser);
    let within = parsed.is_err() && rows.found;
    let parsed = parsed.and_then(|()| match rows.found {
        true => parser.end(),
        false => Ok(()),
    });
    if let Some(error) = rows.failed {
        return Err(Problem::Write(error));
    }
    match parsed {
        Err(error) if error.is_io() => return Err(Problem::Read(error.into())),
        Err(error) => {
            return Err(Problem::Content(explain(
                &error,
                within.then_some(rows.articles + 1),
            )));
        }
        Ok(()) if !rows.found => {
            return Err(Problem::Content(format!("no `data`: {EXPECTED}")));
        }
        Ok(()) => {}
    }
    rows.out.flush().map_err(Problem::Write)
}

/// `article` is the number of the one that is at fault.
fn explain(error: &serde_json::Error, article: Option<u64>) -> String {
    let message = error.to_string();
    let problem = message.split(" at line ").next().unwrap_or(&message);
    let article = article.map_or_else(String::new, |number| format!(" (article {number})"));
    let (line, column) = (error.line(), error.column());
    format!("{problem} at line {line}, column {column}{article}; {EXPECTED}")
}

/// Where rows go.
struct Rows<W> {
    out: W,
    articles: u64,
    /// Whether there was a `data`.
    found: bool,
    failed: Option<io::Error>,
}

impl<W: Write> Rows<W> {
    fn write(&mut self, article: &Article) -> io::Result<()> {
        for paragraph in &article.paragraphs {
            for question in &paragraph.qas {
                let answers = &question.answers;
                let row = Row {
                    id: &question.id,
                    title: &article.title,
                    context: &paragraph.context,
                    question: &question.question,
                    answers: Answers {
                        text: answers.iter().map(|answer| answer.text.as_str()).collect(),
                        answer_start: answers.iter().map(|answer| answer.answer_start).collect(),
                    },
                };
                serde_json::to_writer(&mut self.out, &row)?;
                self.out.write_all(b"\n")?;
            }
        }
        self.articles += 1;
        Ok(())
    }
}

/// The outermost object.
struct Whole<'a, W>(&'a mut Rows<W>);

impl<'de, W: Write> DeserializeSeed<'de> for Whole<'_, W> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, W: Write> Visitor<'de> for Whole<'_, W> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object with `data`")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "data" => {
                    self.0.found = true;
                    map.next_value_seed(Articles(self.0))?;
                }
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }
}

/// The list of articles, one after another.
struct Articles<'a, W>(&'a mut Rows<W>);

impl<'de, W: Write> DeserializeSeed<'de> for Articles<'_, W> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de, W: Write> Visitor<'de> for Articles<'_, W> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of articles")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut articles: A) -> Result<(), A::Error> {
        while let Some(article) = articles.next_element::<Article>()? {
            if let Err(error) = self.0.write(&article) {
                self.0.failed = Some(error);
                return Err(serde::de::Error::custom("the rows cannot be written"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_squad_are_told_by_their_beginning() {
        let cases = [
            (
                r#"{"version": "1.1", "data": [{"title": "A", "paragraphs": [{"context"#,
                true,
            ),
            (r#"{"data": [{"title": "A", "paragraphs": [{"qas"#, true),
            ("\u{feff}{\n \"data\": [\n  {\n   \"paragraphs\": [", true),
            (r#"{"data": [{"title": "A", "rows": []}]}"#, false),
            (r#"{"data": 3}"#, false),
            (r#"{"context": "A", "question": "B"}"#, false),
            ("", false),
        ];
        for (start, expected) in cases {
            assert_eq!(announces(start).is_some(), expected, "{start}");
        }
    }
}
