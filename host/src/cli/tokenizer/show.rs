//! `tenon tokenizer inspect`.

use std::path::PathBuf;

use clap::Args;
use serde_json::Value;
use tenon_core::data::HfTokenizer;
use tenon_core::request::exit;

use crate::cli::output::{NAME, pad, wrap};
use crate::cli::{Failure, Output};

/// Special tokens that are listed.
const LISTED: usize = 24;

/// Show what a tokenizer is made of: its kind, vocabulary, special tokens and their roles
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tenon tokenizer inspect models/all-MiniLM-L6-v2
  tenon tokenizer inspect tokenizers/corpus --json")]
pub struct InspectArgs {
    /// A tokenizer.json, a SentencePiece model, or a folder that holds one
    #[arg(value_name = "TOKENIZER")]
    tokenizer: PathBuf,
}

/// Shows.
pub fn run(args: &InspectArgs, output: &Output) -> Result<i32, Failure> {
    let found = HfTokenizer::load(&args.tokenizer)?.describe();
    if output.json {
        output.print_json(&found);
        return Ok(exit::OK);
    }
    let mut lines = vec![
        ("model", text(&found["kind"])),
        ("vocabulary", format!("{} ids", found["vocab_size"])),
    ];
    if found["sides"] == 2 {
        lines.push(("sides", "source and target differ".to_owned()));
    }
    for part in ["normalizer", "pre_tokenizer", "post_processor", "decoder"] {
        lines.push((part, kinds(&found["parts"][part])));
    }
    let shown = |entry: &Value| format!("{} {}", text(&entry["token"]), entry["id"]);
    let roles = found["roles"].as_object().into_iter().flatten();
    let roles: Vec<String> = roles
        .map(|(role, entry)| format!("{role} {}", shown(entry)))
        .collect();
    lines.push(("roles", roles.join(", ")));
    let special: Vec<String> = found["special"]
        .as_array()
        .into_iter()
        .flatten()
        .map(shown)
        .collect();
    let mut listed = special[..special.len().min(LISTED)].join(", ");
    if special.len() > LISTED {
        listed.push_str(&format!(", and {} more", special.len() - LISTED));
    }
    lines.push(("special", listed));
    lines.push(("chat template", text(&found["chat_template"])));
    for (name, value) in lines {
        let value = if value.is_empty() {
            "none".to_owned()
        } else {
            value
        };
        for (index, part) in wrap(&value, 80).into_iter().enumerate() {
            let name = if index == 0 {
                pad(name, 16)
            } else {
                " ".repeat(16)
            };
            output.print(&format!("{}{part}\n", output.paint(NAME, &name)));
        }
    }
    Ok(exit::OK)
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// The types of a part; those of a sequence in their order.
fn kinds(part: &Value) -> String {
    let inner = ["normalizers", "pretokenizers", "processors", "decoders"]
        .iter()
        .find_map(|key| part[*key].as_array());
    match inner {
        Some(parts) => parts.iter().map(kinds).collect::<Vec<_>>().join(", "),
        None => text(&part["type"]),
    }
}
