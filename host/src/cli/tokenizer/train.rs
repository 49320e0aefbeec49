//! `tenon tokenizer train`.

use std::cell::RefCell;
use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::{ArgGroup, Args};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;
use tenon_core::config::options::{OneOrMany, TokenizerTrainOptions};
use tenon_core::config::{Purpose, TokenizerTrainSettings};
use tenon_core::request::{Command, TokenizerRequest, exit};
use tenon_core::tokenizer::train::{TextFile, Watch, train};

use crate::cli::options::RunFileOptions;
use crate::cli::{Failure, Output, engine, run_file};

/// Train a tokenizer on the training data of a run file, or on files
///
/// The folder that is written, with tokenizer.json and tokenizer_config.json, is read by tenon
/// (`tokenizer.path`) and by transformers (`AutoTokenizer.from_pretrained`). The same text and
/// options give the same bytes.
///
/// bpe        any text, by bytes; `<|endoftext|>` parts documents; as GPT-2's
/// unigram    the most probable pieces; `</s>` ends each text; as T5's and Marian's
/// wordpiece  words and their continuations, between `[CLS]` and `[SEP]`; as BERT's
/// char       one token a character
///
/// Of a run file, the rows of its training split are read and the columns that its task reads as
/// text, so that nothing is learnt of what is held out; its `tokenizer.train` gives the options
/// that are not given here. A run whose file has `tokenizer.train` trains its tokenizer itself.
///
/// Of files, jsonl, csv, tsv and parquet need --column unless there is one column only, or one
/// named `text`. Other files are plain text, read line by line. Several columns and files share one
/// vocabulary.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment, group(ArgGroup::new("data").required(true).args(["run", "files"])), after_help = "\
Examples:
  tenon tokenizer train --files corpus.txt --output tokenizers/corpus
  tenon tokenizer train --files a.en a.de --kind unigram --vocab-size 10000 --output en-de
  tenon tokenizer train --files pairs.tsv --column source --column target --output pairs
  tenon tokenizer train configs/quickstart.toml --kind wordpiece --lowercase --output films")]
pub struct TrainArgs {
    /// The run file whose training data is read
    #[arg(value_name = "RUN.toml")]
    run: Option<PathBuf>,
    /// Files to read; a quoted pattern or a folder stands for several
    #[arg(long, value_name = "FILE", num_args = 1..)]
    files: Vec<PathBuf>,
    /// A column with text; repeatable
    #[arg(long = "column", value_name = "COLUMN")]
    columns: Vec<String>,
    /// The folder to write into, made if it is not there
    #[arg(long, short, value_name = "DIR")]
    output: PathBuf,
    /// Replace a tokenizer that is in the folder
    #[arg(long)]
    overwrite: bool,
    #[command(flatten)]
    file: RunFileOptions,
    #[command(flatten)]
    kind: KindArgs,
}

/// What kind of tokenizer.
#[derive(Debug, Args)]
#[command(next_help_heading = "The tokenizer")]
struct KindArgs {
    /// What kind [default: bpe]
    #[arg(long, value_parser = PossibleValuesParser::new(["bpe", "unigram", "wordpiece", "char"]))]
    kind: Option<String>,
    /// Tokens of the vocabulary at most, special ones included [default: 8000]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(2..=2_000_000))]
    vocab_size: Option<u32>,
    /// How often two tokens must come side by side to become one [default: 2]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..))]
    min_frequency: Option<u32>,
    /// Share of all characters that the vocabulary has [default: 0.9995 for unigram and wordpiece, else 1]
    #[arg(long, value_name = "SHARE", value_parser = share)]
    character_coverage: Option<f64>,
    /// What is done to characters first [default: nfkc for unigram, else none]
    #[arg(long, value_parser = PossibleValuesParser::new(["none", "nfc", "nfkc"]))]
    normalization: Option<String>,
    /// Lower-case the text
    #[arg(long)]
    lowercase: bool,
    /// Take accents off
    #[arg(long)]
    strip_accents: bool,
    /// A special token besides those of the kind; repeatable
    #[arg(long = "special-token", value_name = "TOKEN")]
    special_tokens: Vec<String>,
    /// Put the token for beginning before each text
    #[arg(long)]
    add_bos: bool,
    /// Put the token for end after each text
    #[arg(long)]
    add_eos: bool,
}

fn share(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(share) if share > 0.0 && share <= 1.0 => Ok(share),
        _ => Err("expected a number above 0, and 1 at most".to_owned()),
    }
}

impl TrainArgs {
    /// The options that are given, by their keys in `tokenizer.train`.
    fn given(&self) -> Vec<(&'static str, serde_json::Value)> {
        let kind = &self.kind;
        let mut given = Vec::new();
        let mut put = |key, value: Option<serde_json::Value>| {
            given.extend(value.map(|value| (key, value)));
        };
        put("kind", kind.kind.as_ref().map(|kind| json!(kind)));
        put("vocab_size", kind.vocab_size.map(|size| json!(size)));
        put(
            "min_frequency",
            kind.min_frequency.map(|count| json!(count)),
        );
        put(
            "character_coverage",
            kind.character_coverage.map(|share| json!(share)),
        );
        put(
            "normalization",
            kind.normalization.as_ref().map(|form| json!(form)),
        );
        put("lowercase", kind.lowercase.then(|| json!(true)));
        put("strip_accents", kind.strip_accents.then(|| json!(true)));
        let tokens = (!kind.special_tokens.is_empty()).then(|| json!(kind.special_tokens));
        put("special_tokens", tokens);
        put("add_bos", kind.add_bos.then(|| json!(true)));
        put("add_eos", kind.add_eos.then(|| json!(true)));
        put(
            "columns",
            (!self.columns.is_empty()).then(|| json!(self.columns)),
        );
        given
    }
}

/// Trains.
pub fn run(args: &TrainArgs, output: &Output) -> Result<i32, Failure> {
    let there = args.output.join("tokenizer.json");
    if there.exists() && !args.overwrite {
        return Err(Failure::Usage(format!(
            "{} is there already; --overwrite replaces it",
            there.display()
        )));
    }
    match &args.run {
        Some(file) => on_run(file, args, output),
        None => on_files(args, output),
    }
}

/// On the training split of a run, which the engine reads as the run would.
fn on_run(file: &std::path::Path, args: &TrainArgs, output: &Output) -> Result<i32, Failure> {
    let given = args.given();
    let assign =
        |(key, value): &(&str, serde_json::Value)| format!("tokenizer.train.{key}={value}");
    let sets: Vec<String> = given.iter().map(assign).collect();
    let loaded = run_file::load(file, &args.file, &sets, Purpose::Train, output)?;
    let settings = loaded.resolved.settings.clone();
    let train = settings
        .tokenizer
        .train
        .clone()
        .unwrap_or_else(|| TokenizerTrainSettings {
            spec: TokenizerTrainOptions::default().spec(),
            columns: None,
        });
    let request = TokenizerRequest {
        settings,
        train,
        output: args.output.clone(),
        json: output.json,
    };
    engine::run(
        Command::Tokenizer(Box::new(request)),
        &loaded.search,
        output,
    )
}

fn on_files(args: &TrainArgs, output: &Output) -> Result<i32, Failure> {
    let given = args.given().into_iter();
    let given = given.map(|(key, value)| (key.to_owned(), value)).collect();
    let options: TokenizerTrainOptions = serde_json::from_value(serde_json::Value::Object(given))?;
    let columns = options
        .columns
        .clone()
        .map_or_else(Vec::new, OneOrMany::into_vec);
    let opened = args.files.iter().map(|file| TextFile::open(file, &columns));
    let opened: Vec<TextFile> = opened.collect::<Result<_, _>>()?;
    let sources: Vec<_> = opened.iter().map(TextFile::source).collect();
    let trained = train(&options.spec(), &sources, &Bar::new(output))?;
    trained.write(&args.output)?;
    let found = trained.summary;
    output.note(&format!(
        "a {} tokenizer of {} tokens was trained on {} texts; it is in {}",
        options.kind.name(),
        found.vocab_size,
        found.texts,
        args.output.display(),
    ));
    if output.json {
        output.print_json(&json!(found));
    }
    Ok(exit::OK)
}

/// A progress bar for each phase, on a terminal.
struct Bar {
    target: fn() -> ProgressDrawTarget,
    bar: RefCell<Option<ProgressBar>>,
}

impl Bar {
    fn new(output: &Output) -> Self {
        let terminal = output.terminal();
        Self {
            target: match terminal.interactive && terminal.verbosity >= 0 {
                true => ProgressDrawTarget::stderr,
                false => ProgressDrawTarget::hidden,
            },
            bar: RefCell::new(None),
        }
    }

    fn end(&self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

impl Watch for Bar {
    fn phase(&self, name: &'static str, total: u64) {
        self.end();
        let bar = ProgressBar::with_draw_target(Some(total), (self.target)());
        let template = "{prefix:>20} {bar:32} {human_pos}/{human_len} {eta:>4}";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("━╸ "));
        }
        bar.set_prefix(name);
        self.bar.replace(Some(bar));
    }

    fn at(&self, done: u64) {
        if let Some(bar) = &*self.bar.borrow() {
            bar.set_position(done);
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.end();
    }
}
