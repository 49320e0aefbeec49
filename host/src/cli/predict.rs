//! `tenon predict`.

use std::path::{Path, PathBuf};

use clap::Args;
use tenon_core::config::Purpose;
use tenon_core::data::FormatKind;
use tenon_core::request::{Command, Generated, Inputs, PredictRequest, Weights};

use super::options::{DeviceOptions, RunFileOptions};
use super::{Failure, Output, engine, run_file};

/// Predict with a trained model
///
/// Inputs are texts on the command line, files, or standard input: one text a line, or one JSON
/// object a line with the columns of the run's data. Each prediction is a line of JSON, in the
/// order of the inputs.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tenon predict runs/quickstart \"a warm, funny film\"
  tenon predict runs/quickstart --input reviews.jsonl --output labels.jsonl
  cat reviews.txt | tenon predict runs/quickstart --top-k 1
  tenon predict runs/shakespeare \"ROMEO:\" --stream --set generation.do_sample=true")]
pub struct PredictArgs {
    /// The run's folder, or its run file
    #[arg(value_name = "RUN")]
    run: PathBuf,
    /// Texts to predict for
    #[arg(value_name = "TEXT", conflicts_with = "input")]
    texts: Vec<String>,
    /// A text to predict for, also one that begins with `-`, as in `--text=-5`; repeatable
    #[arg(long = "text", value_name = "TEXT", conflicts_with = "input")]
    more_texts: Vec<String>,
    /// Files to predict for: jsonl, csv, tsv, parquet, or plain text; `-` is standard input
    #[arg(long, short, value_name = "FILE", num_args = 1..)]
    input: Vec<PathBuf>,
    /// Write to this file instead of standard output
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Give probabilities of the K most probable labels only
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u32).range(1..))]
    top_k: Option<u32>,
    /// Put the columns of each input into its line too
    #[arg(long)]
    keep_columns: bool,
    /// Write generated text as it is being written, as plain text
    #[arg(long, conflicts_with_all = ["output", "keep_columns", "log_probs"])]
    stream: bool,
    /// Give the tokens of generated texts, their log-probabilities, and why the texts ended
    #[arg(long)]
    log_probs: bool,
    /// Examples in a batch, instead of what the run file says
    #[arg(long, value_name = "N")]
    batch_size: Option<u32>,
    /// Use the weights of this model or adapter folder instead of the run's
    #[arg(long, value_name = "DIR", conflicts_with = "pretrained")]
    model: Option<PathBuf>,
    /// Use the weights that the run starts from
    #[arg(long)]
    pretrained: bool,
    #[command(flatten)]
    device: DeviceOptions,
    #[command(flatten)]
    file: RunFileOptions,
}

/// Predicts.
pub fn run(args: &PredictArgs, output: &Output) -> Result<i32, Failure> {
    let texts = [&args.texts[..], &args.more_texts[..]].concat();
    let inputs = inputs(&texts, &args.input)?;
    let batch = args
        .batch_size
        .map(|size| format!("evaluate.batch_size={size}"));
    let sets: Vec<String> = args.device.assignment().into_iter().chain(batch).collect();
    let run = run_file::open(&args.run, &args.file, &sets, Purpose::Use, output)?;
    let request = PredictRequest {
        settings: run.loaded.resolved.settings.clone(),
        weights: match args.pretrained {
            true => Weights::Pretrained,
            false => run.weights(args.model.as_deref())?,
        },
        inputs,
        output: args.output.clone(),
        keep_columns: args.keep_columns,
        top_k: args.top_k.map(|count| count as usize),
        generated: match (args.stream, args.log_probs) {
            (true, _) => Generated::Stream,
            (_, true) => Generated::Tokens,
            _ => Generated::Predictions,
        },
    };
    engine::run(
        Command::Predict(Box::new(request)),
        &run.loaded.search,
        output,
    )
}

fn inputs(texts: &[String], files: &[PathBuf]) -> Result<Inputs, Failure> {
    if let [text] = texts
        && FormatKind::of(Path::new(text)).is_some()
        && Path::new(text).is_file()
    {
        return Err(Failure::Usage(format!(
            "`{text}` is a file, and would be taken for a text\n  help: read it with --input {text}"
        )));
    }
    let is_stdin = |file: &PathBuf| file.as_os_str() == "-";
    let is_text = |file: &&PathBuf| {
        matches!(
            FormatKind::of(file),
            None | Some((FormatKind::Lines, false))
        )
    };
    match (texts, files) {
        ([], []) => Ok(Inputs::Stdin),
        (texts, []) => Ok(Inputs::Texts(texts.to_vec())),
        (_, [only]) if is_stdin(only) => Ok(Inputs::Stdin),
        (_, files) if files.iter().any(is_stdin) => {
            let text = "standard input (`-`) cannot be read together with files".to_owned();
            Err(Failure::Usage(text))
        }
        (_, files) => match files.iter().filter(is_text).count() {
            0 => Ok(Inputs::Files(files.to_vec())),
            count if count == files.len() => Ok(Inputs::TextFiles(files.to_vec())),
            _ => Err(Failure::Usage(
                "plain text files and files with columns cannot be read together".to_owned(),
            )),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_are_told_apart() {
        let check = |texts: &[&str], files: &[&str]| {
            let texts: Vec<String> = texts.iter().map(ToString::to_string).collect();
            let files: Vec<PathBuf> = files.iter().map(PathBuf::from).collect();
            match inputs(&texts, &files) {
                Ok(inputs) => format!("{inputs:?}"),
                Err(failure) => format!("error: {failure}"),
            }
        };
        let lines = [
            check(&[], &[]),
            check(&["a fine film"], &[]),
            check(&[], &["-"]),
            check(&[], &["a.jsonl", "b.csv"]),
            check(&[], &["a.txt", "README"]),
            check(&[], &["a.txt", "b.csv"]),
            check(&[], &["a.txt", "-"]),
        ];
        insta::assert_snapshot!(lines.join("\n"), @r#"
        Stdin
        Texts(["a fine film"])
        Stdin
        Files(["a.jsonl", "b.csv"])
        TextFiles(["a.txt", "README"])
        error: plain text files and files with columns cannot be read together
        error: standard input (`-`) cannot be read together with files
        "#);
    }
}
