//! `tenon tokenizer encode` and `decode`.

use std::io::BufRead;
use std::path::PathBuf;

use clap::Args;
use serde_json::json;
use tenon_core::data::{EncodeOptions, HfTokenizer, Tokenize, Truncation};
use tenon_core::request::exit;

use crate::cli::{Failure, Output};

/// Print the token ids of texts
///
/// Each text, or each line of standard input, gives a line of ids.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tenon tokenizer encode models/all-MiniLM-L6-v2 \"a warm, funny film\"
  tenon tokenizer encode runs/gpt/tokenizer --tokens < corpus.txt
  tenon tokenizer encode models/opus-mt-en-de --target --json \"Guten Tag\"")]
pub struct EncodeArgs {
    /// A tokenizer.json, a SentencePiece model, or a folder that holds one
    #[arg(value_name = "TOKENIZER")]
    tokenizer: PathBuf,
    /// Texts; without any, the lines of standard input
    #[arg(value_name = "TEXT")]
    texts: Vec<String>,
    /// Print the tokens instead of their ids, as JSON strings
    #[arg(long)]
    tokens: bool,
    /// Leave out the special tokens that are put around texts
    #[arg(long)]
    no_special_tokens: bool,
    /// Encode as text of the target side, where the sides differ
    #[arg(long)]
    target: bool,
    /// Cut texts to so many tokens
    #[arg(long, value_name = "TOKENS")]
    max_length: Option<usize>,
}

/// Print the text of token ids
///
/// Ids stand between spaces or commas. Each argument, or each line of standard input, gives a line.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tenon tokenizer decode models/all-MiniLM-L6-v2 \"101 7592 102\"
  tenon tokenizer encode tokenizers/corpus < a.txt | tenon tokenizer decode tokenizers/corpus")]
pub struct DecodeArgs {
    /// A tokenizer.json, a SentencePiece model, or a folder that holds one
    #[arg(value_name = "TOKENIZER")]
    tokenizer: PathBuf,
    /// Ids; without any, the lines of standard input
    #[arg(value_name = "IDS")]
    ids: Vec<String>,
    /// Leave out special tokens
    #[arg(long)]
    skip_special_tokens: bool,
    /// Decode as ids of the target side, where the sides differ
    #[arg(long)]
    target: bool,
}

/// Encodes.
pub fn encode(args: &EncodeArgs, output: &Output) -> Result<i32, Failure> {
    let tokenizer = HfTokenizer::load(&args.tokenizer)?;
    let options = EncodeOptions {
        max_length: args.max_length,
        truncation: Truncation::LongestFirst,
        special_tokens: !args.no_special_tokens,
        offsets: output.json,
        target: args.target,
        ..EncodeOptions::default()
    };
    each(&args.texts, |text| {
        let encoded = tokenizer.encode(text, None, &options)?;
        let tokens = || encoded.ids.iter().map(|id| tokenizer.token(*id));
        let line = match (output.json, args.tokens) {
            (true, _) => json!({
                "ids": encoded.ids,
                "tokens": tokens().collect::<Vec<_>>(),
                "offsets": encoded.offsets,
            })
            .to_string(),
            (false, true) => join(tokens().flatten().map(|token| json!(token))),
            (false, false) => join(encoded.ids.iter()),
        };
        output.print(&format!("{line}\n"));
        Ok(())
    })
}

/// Decodes.
pub fn decode(args: &DecodeArgs, output: &Output) -> Result<i32, Failure> {
    let tokenizer = HfTokenizer::load(&args.tokenizer)?;
    let size = tokenizer.vocab_size();
    each(&args.ids, |line| {
        let mut ids = Vec::new();
        let words = line.split(|c: char| c.is_whitespace() || matches!(c, ',' | '[' | ']'));
        for word in words.filter(|word| !word.is_empty()) {
            let id = word.parse::<u32>().ok().filter(|id| (*id as usize) < size);
            ids.push(id.ok_or_else(|| {
                Failure::Usage(format!(
                    "`{word}` is no id of this tokenizer, whose ids are 0 to {}",
                    size.saturating_sub(1)
                ))
            })?);
        }
        let text = match args.target {
            true => tokenizer.decode_target(&ids, args.skip_special_tokens)?,
            false => tokenizer.decode(&ids, args.skip_special_tokens)?,
        };
        let line = match output.json {
            true => json!({ "text": text }).to_string(),
            false => text,
        };
        output.print(&format!("{line}\n"));
        Ok(())
    })
}

fn join<T: ToString>(items: impl Iterator<Item = T>) -> String {
    items
        .map(|item| item.to_string())
        .collect::<Vec<_>>()
        .join(" ")
}

/// Each argument, or else each line of standard input.
fn each(
    arguments: &[String],
    mut work: impl FnMut(&str) -> Result<(), Failure>,
) -> Result<i32, Failure> {
    if !arguments.is_empty() {
        arguments.iter().try_for_each(|text| work(text))?;
        return Ok(exit::OK);
    }
    let mut input = std::io::stdin().lock();
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        let read = input.read_until(b'\n', &mut line);
        let unread =
            |problem: String| Failure::Usage(format!("standard input, line {number}: {problem}"));
        if read.map_err(|error| unread(error.to_string()))? == 0 {
            break;
        }
        let text =
            std::str::from_utf8(&line).map_err(|error| unread(format!("not UTF-8: {error}")))?;
        let text = text.strip_suffix('\n').unwrap_or(text);
        work(text.strip_suffix('\r').unwrap_or(text))?;
    }
    Ok(exit::OK)
}
