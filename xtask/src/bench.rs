//! `cargo xtask bench`: the figures of `docs/benchmarks.md`, measured.
//!
//! Each part prints a table in Markdown and leaves what it measured, run by run, in
//! `target/bench/PART.json`; with `--write` the tables go into the page.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::cache::Cache;
use crate::cargo::repository;
use crate::model;
use crate::setup::{self, From};

mod boundary;
mod build;
mod commands;
mod data;
mod figures;
mod generation;
mod machine;
mod memory;
mod metrics;
mod nanogpt;
mod ours;
mod page;
mod peer;
mod pretraining;
mod training;
mod turns;

use machine::Machine;
use ours::Built;
use peer::Peer;

/// The page with the figures, in the repository.
const PAGE: &str = "docs/benchmarks.md";

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Part {
    /// Training and evaluation against transformers and peft; needs --data
    Training,
    /// What plugins cost: opened against linked, and nanoseconds of a call; needs --data
    Boundary,
    /// Training of a new GPT-2 of 124 million parameters against transformers; needs --text
    Pretraining,
    /// Tiny Shakespeare against nanoGPT's own loop; needs --text and --nanogpt
    Nanogpt,
    /// Generation against transformers and CTranslate2, with random weights
    Generation,
    /// Commands that do not compute
    Commands,
    /// Peak memory with data files of 2 GB, which go to the folder for temporary files
    Memory,
    /// Metrics on 100 000 examples against their Python packages; needs --python and --lines
    Metrics,
    /// Builds from nothing and after a change to one plugin, in a folder of their own
    Build,
}

impl Part {
    /// Those that run when none is named: the others take long or much space.
    const USUAL: [Self; 3] = [Self::Training, Self::Boundary, Self::Commands];

    /// Whether it trains on SST-2.
    fn trains(self) -> bool {
        matches!(self, Self::Training | Self::Boundary)
    }

    /// Whether it reads the file of `--text`.
    fn reads_text(self) -> bool {
        matches!(self, Self::Pretraining | Self::Nanogpt)
    }

    /// Whether it runs programs of Python in the pinned versions.
    fn has_peer(self) -> bool {
        self.reads_text() || matches!(self, Self::Training | Self::Generation)
    }

    /// Whether it runs what is built for a bench.
    fn uses_program(self) -> bool {
        self.trains() || self.has_peer() || self == Self::Commands
    }

    fn name(self) -> &'static str {
        match self {
            Self::Training => "training",
            Self::Boundary => "boundary",
            Self::Pretraining => "pretraining",
            Self::Nanogpt => "nanogpt",
            Self::Generation => "generation",
            Self::Commands => "commands",
            Self::Memory => "memory",
            Self::Metrics => "metrics",
            Self::Build => "build",
        }
    }
}

/// What to measure, and how often.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Measure this only (may be repeated)
    #[arg(long, value_enum, value_name = "PART")]
    pub only: Vec<Part>,
    /// Folder with SST-2 as stsa.binary.train and stsa.binary.dev: lines of `label text`
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Python with what xtask/bench/requirements.txt lists; without it, an environment is made in
    /// the cache (several GB)
    #[arg(long, value_name = "FILE")]
    pub python: Option<PathBuf>,
    /// For metrics: files of text, one line a segment (of a table the last column), or gzip of them
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub lines: Vec<PathBuf>,
    /// For metrics: files of code, .java and .cs with a method a line, .jsonl with Python under
    /// `code`; without them CodeBLEU is left out
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub code: Vec<PathBuf>,
    /// For pretraining and nanogpt: a file of text; nanogpt expects tiny Shakespeare
    #[arg(long, value_name = "FILE")]
    pub text: Option<PathBuf>,
    /// For nanogpt: a checkout of it, with train.py
    #[arg(long, value_name = "DIR")]
    pub nanogpt: Option<PathBuf>,
    /// For generation: measure only cases whose names contain this (may be repeated); with --write,
    /// only their rows change
    #[arg(long, value_name = "TEXT")]
    pub case: Vec<String>,
    /// Runs of each side, with seeds of their own where something is drawn
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    pub seeds: u32,
    /// Epochs of a run
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub epochs: u32,
    /// Stop a run after this many steps, whatever the epochs: to see that the bench works
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub max_steps: Option<u32>,
    /// Runs of each side when opened plugins are held against linked ones
    #[arg(long, value_name = "N", default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..))]
    pub rounds: u32,
    /// Put the tables into docs/benchmarks.md
    #[arg(long)]
    pub write: bool,
}

impl Options {
    /// The command that measures `part` with these options; places are left to the reader.
    fn command(&self, part: Part) -> String {
        let mut text = format!("cargo xtask bench --only {}", part.name());
        if part.trains() {
            text += " --data DIR";
        }
        match part {
            Part::Training => {
                text += &format!(" --python PYTHON --seeds {}", self.seeds);
                text += &format!(" --epochs {}", self.epochs);
            }
            Part::Boundary => text += &format!(" --rounds {}", self.rounds),
            Part::Pretraining | Part::Nanogpt | Part::Generation => {
                if part.reads_text() {
                    text += " --text FILE";
                }
                if part == Part::Nanogpt {
                    text += " --nanogpt DIR";
                }
                text += &format!(" --python PYTHON --seeds {}", self.seeds);
            }
            Part::Metrics => text += " --python PYTHON --lines FILE... --code FILE...",
            _ => return text,
        }
        if let Some(steps) = self.max_steps {
            text += &format!(" --max-steps {steps}");
        }
        text
    }

    /// The file of `--text`.
    fn text(&self) -> Result<PathBuf> {
        let named = self.text.as_deref();
        let named = named.context("--text is missing: a file of text to train on")?;
        ensure!(named.is_file(), "--text: {} is no file", named.display());
        std::path::absolute(named).with_context(|| format!("resolving {}", named.display()))
    }

    /// The folder of `--nanogpt`.
    fn nanogpt(&self) -> Result<PathBuf> {
        let named = self.nanogpt.as_deref();
        let named = named.context("--nanogpt is missing: a checkout of nanoGPT")?;
        ensure!(
            named.join("train.py").is_file(),
            "--nanogpt: {} has no train.py",
            named.display()
        );
        std::path::absolute(named).with_context(|| format!("resolving {}", named.display()))
    }
}

/// What a part found.
pub struct Findings {
    /// Tables and remarks, in Markdown.
    pub text: String,
    /// All that was measured.
    pub json: Value,
}

/// Measures, prints and writes what `options` ask for.
///
/// # Errors
/// Something is missing (each with what to do about it), a run fails, or the two sides did not do
/// the same work.
pub fn bench(options: &Options) -> Result<()> {
    let repository = repository();
    let parts = match options.only.as_slice() {
        [] => &Part::USUAL,
        named => named,
    };
    find_inputs(options, parts, &repository)?;
    let peer = match parts.iter().any(|part| part.has_peer()) {
        true => Some(Peer::find(options.python.as_deref())?),
        false => None,
    };
    setup::setup(&repository, From::Auto)?;
    model::obtain(&repository, &Cache::open()?)?;
    let built = match parts.iter().any(|part| part.uses_program()) {
        true => Some(Built::new()?),
        false => None,
    };
    let built = || built.as_ref().context("it was built above");
    let peer = || peer.as_ref().context("a peer was found above");
    let machine = Machine::here();
    println!("{machine}");
    if let Some(busy) = machine::busy_cores().filter(|busy| *busy > 0.1) {
        println!("warning: other programs keep {busy:.1} cores busy, so the figures will be off");
    }
    for part in parts {
        println!("\n── {}", part.name());
        let findings = match part {
            Part::Training => training::measure(options, built()?, peer()?)?,
            Part::Boundary => boundary::measure(options, built()?)?,
            Part::Pretraining => pretraining::measure(options, built()?, peer()?)?,
            Part::Nanogpt => nanogpt::measure(options, built()?, peer()?)?,
            Part::Generation => generation::measure(options, built()?, peer()?, &machine)?,
            Part::Commands => commands::measure(built()?)?,
            Part::Memory => memory::measure()?,
            Part::Metrics => metrics::measure(options)?,
            Part::Build => build::measure(&folder(&repository).join("build"))?,
        };
        println!("\n{}", findings.text);
        let partly = *part == Part::Generation && !options.case.is_empty();
        let path = repository.join(PAGE);
        let place = machine.place();
        if options.write && partly {
            page::amend(&path, part.name(), &place, generation::KEYS, &findings.text)?;
        } else if options.write {
            let command = options.command(*part);
            let text = format!("{machine}:\n\n    {command}\n\n{}", findings.text);
            page::write(&path, part.name(), &place, &text)?;
        }
        let name = part.name().to_owned() + if partly { "-cases" } else { "" };
        keep(&repository, &name, &machine, findings.json)?;
    }
    Ok(())
}

/// Looks for what `parts` read, so that what is missing is known before the first hour of building.
fn find_inputs(options: &Options, parts: &[Part], repository: &Path) -> Result<()> {
    if parts.iter().any(|part| part.trains()) {
        data::prepare(options.data.as_deref(), &folder(repository).join("sst2"))?;
    }
    if parts.iter().any(|part| part.reads_text()) {
        options.text()?;
    }
    if parts.contains(&Part::Nanogpt) {
        options.nanogpt()?;
    }
    if parts.contains(&Part::Generation) {
        generation::chosen(&options.case)?;
    }
    Ok(())
}

/// The folder of all that a bench makes.
fn folder(repository: &Path) -> PathBuf {
    repository.join("target").join("bench")
}

/// Writes what a part measured.
fn keep(repository: &Path, part: &str, machine: &Machine, measured: Value) -> Result<()> {
    let folder = folder(repository);
    let path = folder.join(format!("{part}.json"));
    let whole = json!({"part": part, "machine": machine.json(), "measured": measured});
    fs::create_dir_all(&folder).with_context(|| format!("creating {}", folder.display()))?;
    fs::write(&path, format!("{whole:#}\n"))
        .with_context(|| format!("writing {}", path.display()))?;
    println!("written: {}", path.display());
    Ok(())
}
