//! `tenon config`.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use tenon_core::config::{PluginSettings, reference, schema};
use tenon_core::folder::write_atomically;
use tenon_core::registry::{Registry, Search};
use tenon_core::request::exit;

use super::options::PluginOptions;
use super::{Failure, Output};

/// Describe run files: as a JSON Schema for editors, as a reference for people
#[derive(Debug, Subcommand)]
#[command(after_help = "\
Examples:
  tenon config schema --output run-file.schema.json
  tenon config reference | less")]
pub enum ConfigCommand {
    Schema(SchemaArgs),
    Reference(ReferenceArgs),
}

/// Print the JSON Schema of run files, for editors
///
/// It has the options of every plugin that is found. Editors that use taplo (such as Even Better
/// TOML) complete and check a run file that names the schema in its first line.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tenon config schema --output run-file.schema.json

In the first line of a run file:
  #:schema run-file.schema.json")]
pub struct SchemaArgs {
    /// Write to this file instead of standard output
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    plugins: PluginOptions,
}

/// Print the reference of run files as Markdown
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tenon config reference --output run-file.md")]
pub struct ReferenceArgs {
    /// Write to this file instead of standard output
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Describes run files.
pub fn run(command: &ConfigCommand, output: &Output) -> Result<i32, Failure> {
    match command {
        ConfigCommand::Schema(args) => {
            let search = Search::new(&args.plugins.dirs, &[]);
            let registry = Registry::scan(&search, &PluginSettings::default());
            output.warn_of_plugins(&registry);
            let text = serde_json::to_string_pretty(&schema(&registry))?;
            write(args.output.as_deref(), &format!("{text}\n"), output)?;
        }
        ConfigCommand::Reference(args) => {
            write(args.output.as_deref(), &reference(), output)?;
        }
    }
    Ok(exit::OK)
}

/// Writes to a file, or to standard output where none is named.
pub fn write(path: Option<&Path>, text: &str, output: &Output) -> Result<(), Failure> {
    let Some(path) = path else {
        output.print(text);
        return Ok(());
    };
    write_atomically(path, text.as_bytes()).map_err(|source| Failure::Write {
        path: path.to_owned(),
        source,
    })
}
