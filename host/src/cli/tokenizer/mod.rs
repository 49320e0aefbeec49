//! `tenon tokenizer`: training tokenizers, and looking at what one does.

mod show;
mod text;
mod train;

use clap::Subcommand;

use super::{Failure, Output};

/// Train a tokenizer, or see what one makes of a text
#[derive(Debug, Subcommand)]
#[command(after_help = "\
Examples:
  tenon tokenizer train --files corpus.txt --output tokenizers/corpus
  tenon tokenizer encode tokenizers/corpus \"To be, or not to be\"
  tenon tokenizer inspect tokenizers/corpus")]
pub enum TokenizerCommand {
    Train(Box<train::TrainArgs>),
    Encode(text::EncodeArgs),
    Decode(text::DecodeArgs),
    Inspect(show::InspectArgs),
}

/// Does what the command says.
pub fn run(command: &TokenizerCommand, output: &Output) -> Result<i32, Failure> {
    match command {
        TokenizerCommand::Train(args) => train::run(args, output),
        TokenizerCommand::Encode(args) => text::encode(args, output),
        TokenizerCommand::Decode(args) => text::decode(args, output),
        TokenizerCommand::Inspect(args) => show::run(args, output),
    }
}
