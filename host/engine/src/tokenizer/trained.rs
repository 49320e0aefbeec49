//! Tokenizers that a run trains on its own data.
//!
//! A run whose file has `tokenizer.train` trains one before its model is built, and keeps it in
//! its folder, `tokenizer/`, once it is known that the run can start. From then on it is loaded
//! from there, and from the model folder that the run leaves.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use tenon_core::config::{RunSettings, TokenizerTrainSettings};
use tenon_core::folder::{RunFolder, write_folder_atomically};
use tenon_core::request::{Split, TokenizerRequest, exit};
use tenon_core::tokenizer::train::{
    Summary, TextSource, TrainError, TrainedTokenizer, Watch, train,
};
use tenon_plugin_api::info::{ColumnInfo, ColumnKind};

use crate::data::{Splits, file_column};
use crate::evaluate::Stopped;
use crate::services;

/// A tokenizer that was trained for a run that has not taken its folder yet.
#[derive(Clone, Debug)]
pub struct Trained(Arc<tempfile::TempDir>);

impl Trained {
    /// Where its files lie for now.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Copies its files to where the run keeps them.
    ///
    /// # Errors
    /// Copying fails.
    pub fn keep(&self, folder: &Path) -> Result<()> {
        write_folder_atomically(folder, |new| -> Result<()> {
            for entry in std::fs::read_dir(self.path())? {
                let entry = entry?;
                std::fs::copy(entry.path(), new.join(entry.file_name()))?;
            }
            Ok(())
        })
        .with_context(|| format!("writing {}", folder.display()))
    }
}

impl PartialEq for Trained {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// Trains the tokenizer of a run that wants one, unless the run has it from an earlier part.
///
/// # Errors
/// The data has no text, the vocabulary cannot hold what it must, or the user stops.
pub fn for_run(
    settings: &RunSettings,
    splits: &Splits,
    columns: &[ColumnInfo],
    continued: bool,
) -> Result<Option<Trained>> {
    let Some(wanted) = &settings.tokenizer.train else {
        return Ok(None);
    };
    if continued && kept(settings).is_some() {
        return Ok(None);
    }
    let trained = on_data(settings, wanted, splits, columns)?;
    services::say(&told(wanted, &trained.summary));
    let folder = tempfile::Builder::new()
        .prefix("tenon-tokenizer-")
        .tempdir();
    let folder = folder.context("making a temporary folder for the tokenizer")?;
    trained.write(folder.path())?;
    Ok(Some(Trained(Arc::new(folder))))
}

/// Where the run's tokenizer lies.
///
/// # Errors
/// The run file names none, or the one that the run trains is not there yet.
pub fn place(
    settings: &RunSettings,
    trained: Option<&Trained>,
    pretrained: Option<&Path>,
) -> Result<PathBuf> {
    if let Some(trained) = trained {
        return Ok(trained.path().to_owned());
    }
    if let Some(path) = &settings.tokenizer.path {
        return Ok(path.clone());
    }
    if settings.tokenizer.train.is_some() {
        let exported = pretrained.filter(|folder| folder.join("tokenizer.json").is_file());
        let kept = kept(settings).or_else(|| exported.map(Path::to_owned));
        return kept.with_context(|| {
            let folder = RunFolder::new(settings.run.folder()).tokenizer();
            format!(
                "no tokenizer at {}: it is trained when the run starts, by `tenon train`",
                folder.display()
            )
        });
    }
    let none = "no tokenizer: set tokenizer.path or tokenizer.train, or model.pretrained to a folder that has one";
    Ok(pretrained.context(none)?.to_owned())
}

/// The tokenizer in the run's folder, if it is there.
fn kept(settings: &RunSettings) -> Option<PathBuf> {
    let folder = RunFolder::new(settings.run.folder()).tokenizer();
    folder.join("tokenizer.json").is_file().then_some(folder)
}

/// `tenon tokenizer train RUN.toml`: only the tokenizer, into a folder of its own.
///
/// # Errors
/// As for training one for a run.
pub fn command(request: &TokenizerRequest, columns: &[ColumnInfo]) -> Result<i32> {
    let settings = &request.settings;
    let splits = Splits::open(&settings.data, columns, settings.run.seed)?;
    let trained = match on_data(settings, &request.train, &splits, columns) {
        Err(error) if error.is::<Stopped>() => {
            services::say("stopped; nothing was written");
            return Ok(exit::INTERRUPTED);
        }
        trained => trained?,
    };
    trained.write(&request.output)?;
    let line = told(&request.train, &trained.summary);
    services::say(&format!("{line}; it is in {}", request.output.display()));
    if request.json {
        println!("{}", serde_json::to_string_pretty(&trained.summary)?);
    }
    Ok(exit::OK)
}

fn on_data(
    settings: &RunSettings,
    wanted: &TokenizerTrainSettings,
    splits: &Splits,
    columns: &[ColumnInfo],
) -> Result<TrainedTokenizer> {
    let names: Vec<String> = match &wanted.columns {
        Some(names) => names.clone(),
        None => {
            let is_text =
                |column: &&ColumnInfo| matches!(column.kind, ColumnKind::Text | ColumnKind::Json);
            let texts = columns.iter().filter(is_text);
            texts.map(|column| column.name.clone()).collect()
        }
    };
    ensure!(
        !names.is_empty(),
        "the task reads no text, so there is nothing to train a tokenizer on: name columns in tokenizer.train.columns"
    );
    let is_read = |name: &String| columns.iter().any(|column| column.name == *name);
    let more: Vec<ColumnInfo> = names
        .iter()
        .filter(|name| !is_read(name))
        .map(|name| ColumnInfo {
            name: name.clone(),
            kind: ColumnKind::Text,
            for_prediction: true,
        })
        .collect();
    let wider = match more.is_empty() {
        true => None,
        false => {
            let all = [columns, &more].concat();
            Some(Splits::open(&settings.data, &all, settings.run.seed)?)
        }
    };
    let Some(view) = wider.as_ref().unwrap_or(splits).get(Split::Train) else {
        bail!("the run file names no data.train");
    };
    let source = TextSource {
        view,
        columns: names
            .iter()
            .map(|name| file_column(&settings.data, name).to_owned())
            .collect(),
    };
    match train(&wanted.spec, &[source], &Bar::default()) {
        Err(TrainError::Stopped) => Err(Stopped.into()),
        outcome => outcome.context("training the tokenizer"),
    }
}

fn told(wanted: &TokenizerTrainSettings, summary: &Summary) -> String {
    format!(
        "a {} tokenizer of {} tokens was trained on {} texts",
        wanted.spec.kind.name(),
        summary.vocab_size,
        summary.texts,
    )
}

/// A progress bar for each phase.
#[derive(Default)]
struct Bar(std::cell::RefCell<Option<services::Bar>>);

impl Watch for Bar {
    fn phase(&self, name: &'static str, total: u64) {
        self.0.replace(Some(services::bar(
            &format!("tokenizer: {name}"),
            "",
            total,
        )));
    }

    fn at(&self, done: u64) {
        if let Some(bar) = &*self.0.borrow() {
            bar.set(done);
        }
    }

    fn stopped(&self) -> bool {
        services::interrupted()
    }
}
