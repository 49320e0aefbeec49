//! Options that several commands have.

use std::path::PathBuf;

use clap::{ArgAction, Args, ValueEnum};

/// Options of every command.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Global options")]
pub struct GlobalOptions {
    /// Write results, and errors too, to standard output as JSON
    #[arg(long, global = true)]
    pub json: bool,
    /// Say more; twice for even more
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub verbose: u8,
    /// Say less: no progress and notes; twice for errors only
    #[arg(short, long, global = true, action = ArgAction::Count, conflicts_with = "verbose")]
    pub quiet: u8,
    /// When to colour; `auto` on a terminal, unless NO_COLOR is set
    #[arg(long, global = true, value_enum, default_value_t, value_name = "WHEN")]
    pub color: When,
}

/// When to colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum When {
    /// On a terminal.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// How a run file is read.
#[derive(Clone, Debug, Default, Args)]
pub struct RunFileOptions {
    /// Set a key of the run file, as in `train.epochs=1`, over all else that sets it; repeatable
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Apply the tables `[profile.NAME.…]` of the run file
    #[arg(long, value_name = "NAME")]
    pub profile: Option<String>,
    #[command(flatten)]
    pub plugins: PluginOptions,
}

/// Where plugins are looked for.
#[derive(Clone, Debug, Default, Args)]
pub struct PluginOptions {
    /// Look for plugins in this folder first, or take this one file; repeatable
    #[arg(long = "plugin-dir", value_name = "DIR")]
    pub dirs: Vec<PathBuf>,
}

/// Where a command computes.
#[derive(Clone, Debug, Default, Args)]
pub struct DeviceOptions {
    /// Where to compute: auto (the first GPU, else the CPU), cpu, cuda or cuda:N
    #[arg(long, value_parser = device)]
    pub device: Option<String>,
}

impl DeviceOptions {
    /// As an assignment to the run file.
    pub fn assignment(&self) -> Option<String> {
        let device = self.device.as_ref()?;
        Some(format!("run.device=\"{device}\""))
    }
}

fn device(text: &str) -> Result<String, String> {
    let index = text.strip_prefix("cuda:");
    let is_index = |index: &str| index.len() <= 3 && index.parse::<u16>().is_ok();
    match matches!(text, "auto" | "cpu" | "cuda") || index.is_some_and(is_index) {
        true => Ok(text.to_owned()),
        false => Err("expected auto, cpu, cuda or cuda:N".to_owned()),
    }
}
