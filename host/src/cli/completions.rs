//! `tenon completions`.

use clap::{Args, CommandFactory};
use clap_complete::Shell;
use tenon_core::request::exit;

use super::Cli;

/// Print completions for a shell
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tenon completions bash > ~/.local/share/bash-completion/completions/tenon
  tenon completions zsh > ~/.zfunc/_tenon
  tenon completions fish > ~/.config/fish/completions/tenon.fish")]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

/// Prints completions.
pub fn run(args: &CompletionsArgs) -> i32 {
    let mut command = Cli::command();
    clap_complete::generate(args.shell, &mut command, "tenon", &mut std::io::stdout());
    exit::OK
}
