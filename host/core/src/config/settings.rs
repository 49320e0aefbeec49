//! What the program uses: the settings of a run, resolved from a checked run file.
//!
//! Plain data, readable from JSON. Paths are as the run file has them: relative ones are
//! relative to the directory in which `tenon` was started.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::options::{
    AllowOptions, DataFormat, DataOptions, Dtype, EvaluateOptions, Every, EveryWord, Generate,
    GenerationOptions, HeldOutOptions, Mode, OnBadRow, OneOrMany, PluginsOptions, Precision,
    PromptOptions, Resume, RunFile, RunOptions, Schedule, SourceOptions, Table, TrainOptions,
};
use crate::data::FormatOptions;
use crate::tokenizer::train::TrainSpec;

/// The settings of one run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunSettings {
    /// The run itself.
    pub run: RunSection,
    /// Plugins.
    pub plugins: PluginSettings,
    /// The model.
    pub model: ModelSettings,
    /// The task.
    pub task: ComponentSettings,
    /// The data.
    pub data: DataSettings,
    /// The tokenizer.
    pub tokenizer: TokenizerSettings,
    /// The PEFT method; `None` trains every parameter.
    pub peft: Option<ComponentSettings>,
    /// The metrics in the order of the run file; empty asks for those of the task.
    pub metrics: Vec<MetricSettings>,
    /// Training.
    pub train: TrainSettings,
    /// Evaluation.
    pub evaluate: EvaluateSettings,
    /// How a model writes text: what the run file sets of it.
    #[serde(default)]
    pub generation: GenerationOptions,
    /// How records become prompts; `None`: they do not.
    #[serde(default)]
    pub prompt: Option<PromptSettings>,
    /// Processors of scores, in order.
    #[serde(default)]
    pub processors: Vec<ComponentSettings>,
}

/// The run itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunSection {
    /// Name of the run and of its folder.
    pub name: String,
    /// Seed of everything random.
    pub seed: u64,
    /// Folder in which the run's folder lies.
    pub output_dir: PathBuf,
    /// Where the run computes.
    pub device: Device,
    /// Threads of the matrix kernels; `None`: one for each core.
    pub threads: Option<u32>,
    /// Whether kernels that are not reproducible are refused.
    pub deterministic: bool,
}

impl RunSection {
    /// The folder of this run: `output_dir/name`.
    pub fn folder(&self) -> PathBuf {
        self.output_dir.join(&self.name)
    }
}

/// A device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Device {
    /// The first GPU, or the CPU if there is none.
    Auto,
    /// The CPU.
    Cpu,
    /// The GPU of this index.
    Cuda(u32),
}

/// Where plugins are looked for, and which may be opened.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PluginSettings {
    /// Folders to search, first to last.
    pub paths: Vec<PathBuf>,
    /// The plugins that may be opened; `None`: every one.
    pub allow: Option<Vec<AllowedPlugin>>,
    /// Full name of the component that a short name means where several bear it.
    pub prefer: BTreeMap<String, String>,
}

/// A plugin that may be opened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AllowedPlugin {
    /// Its name.
    pub name: String,
    /// SHA-256 that its library must have, in lower-case hexadecimal.
    pub sha256: Option<String>,
}

/// The model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelSettings {
    /// The component and its options.
    pub component: ComponentSettings,
    /// Where the weights come from; `None`: they are initialised at random.
    pub pretrained: Option<Pretrained>,
    /// Tensors of the weights that may be left out, as globs.
    #[serde(default)]
    pub ignore_weights: Vec<String>,
    /// Type in which the parameters are held.
    pub dtype: Dtype,
}

/// Where pretrained weights come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pretrained {
    /// A folder in Hugging Face layout.
    Folder(PathBuf),
    /// A model on the Hugging Face hub.
    Hub {
        /// `owner/name`, or the name alone.
        name: String,
        /// Branch, tag or commit; `None`: the default branch.
        revision: Option<String>,
    },
}

/// A component and its options.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ComponentSettings {
    /// The plugin that brings it.
    pub plugin: String,
    /// Its short name.
    pub id: String,
    /// Its options, checked against its schema, defaults filled in.
    pub options: Table,
}

/// A metric, its options and its name in this run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MetricSettings {
    /// Name in logs and in `select_best`; unique in the run.
    pub name: String,
    /// The component and its options.
    pub component: ComponentSettings,
}

/// The data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DataSettings {
    /// What the model learns from.
    pub train: Option<SourceSettings>,
    /// What it is evaluated on during training.
    pub validation: Option<HeldOut>,
    /// What the result is evaluated on.
    pub test: Option<HeldOut>,
    /// New name → column of the files.
    pub columns: BTreeMap<String, String>,
    /// What a bad row leads to.
    pub on_bad_row: OnBadRow,
    /// Whether tokenized data is kept between runs.
    pub cache: bool,
}

/// Files to read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceSettings {
    /// Files and folders, in order.
    pub paths: Vec<PathBuf>,
    /// Their format.
    pub format: FormatOptions,
    /// Rows to read at most.
    pub limit: Option<u64>,
}

/// Data that is held out from training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HeldOut {
    /// Files of their own.
    Files(SourceSettings),
    /// A part of the training data.
    Split {
        /// Fraction of the training data, above 0 and below 1.
        fraction: f64,
        /// Whether each label is held out in the same fraction.
        stratify: bool,
        /// Column of the files whose rows of one value stay together.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        group: Option<String>,
        /// Rows to keep at most.
        limit: Option<u64>,
    },
}

/// The tokenizer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TokenizerSettings {
    /// `tokenizer.json` or a folder with one; `None`: that of the pretrained model.
    pub path: Option<PathBuf>,
    /// How one is trained when the run starts; `None`: none is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub train: Option<TokenizerTrainSettings>,
    /// Tokens after which an input is cut; `None`: the limit of the model.
    pub max_length: Option<u32>,
}

/// A tokenizer that is trained when the run starts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TokenizerTrainSettings {
    /// What kind of tokenizer.
    pub spec: TrainSpec,
    /// The columns with its text; `None`: those that the task reads as text.
    pub columns: Option<Vec<String>>,
}

/// How long training lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Length {
    /// Passes over the training data.
    Epochs(u32),
    /// Optimizer steps.
    Steps(u64),
}

/// What fills a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Batch {
    /// So many examples.
    Examples(u32),
    /// So many tokens, padding included.
    Tokens(u32),
}

/// How long the learning rate rises.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Warmup {
    /// So many steps.
    Steps(u64),
    /// This fraction of all steps.
    Ratio(f64),
}

/// A rhythm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Rhythm {
    /// Every so many optimizer steps.
    Steps(u64),
    /// At the end of each epoch.
    Epoch,
    /// Not during training.
    Never,
}

/// Training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrainSettings {
    /// How long it lasts.
    pub length: Length,
    /// What fills a batch.
    pub batch: Batch,
    /// Batches for each optimizer step.
    pub gradient_accumulation_steps: u32,
    /// Learning rate at the end of the warm-up.
    pub learning_rate: f64,
    /// Decoupled weight decay.
    pub weight_decay: f64,
    /// Decay of AdamW's first and second moment.
    pub adam_betas: (f64, f64),
    /// Added to AdamW's denominator.
    pub adam_epsilon: f64,
    /// Course of the learning rate after the warm-up.
    pub schedule: Schedule,
    /// How long the learning rate rises from 0.
    pub warmup: Warmup,
    /// Norm to which the gradient is clipped; `None`: it is not.
    pub max_grad_norm: Option<f64>,
    /// Type in which forward and backward compute.
    pub precision: Precision,
    /// When to evaluate.
    pub eval_every: Rhythm,
    /// When to save a checkpoint.
    pub save_every: Rhythm,
    /// Checkpoints to keep besides the best.
    pub keep_checkpoints: u32,
    /// The score that chooses the result; `None`: the last state is the result.
    pub select_best: Option<SelectBest>,
    /// Evaluations without a better score after which training stops.
    pub patience: Option<u32>,
    /// Batches drawn at once and sorted by length; 0: order at random.
    pub bucket: u32,
    /// Steps between two entries of the log.
    pub log_every: u64,
    /// What becomes of an earlier, unfinished run in the folder.
    pub resume: Resume,
}

/// How the best checkpoint is chosen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SelectBest {
    /// Name of the score.
    pub score: String,
    /// Which is the best; `None`: what the metric says (the smallest `loss`).
    pub mode: Option<Mode>,
}

/// Evaluation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EvaluateSettings {
    /// What fills a batch.
    pub batch: Batch,
    /// When text is generated.
    #[serde(default)]
    pub generate: Generate,
    /// Records for which text is generated during training; `None`: all.
    #[serde(default)]
    pub generate_limit: Option<u64>,
}

/// How records become prompts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PromptSettings {
    /// Jinja over the columns, with `answer`; `None`: the task's own.
    #[serde(default)]
    pub template: Option<String>,
    /// Label → word.
    pub verbalizers: BTreeMap<String, String>,
    /// Solved examples before each prompt.
    pub shots: u32,
    /// Whether each label has as many of them.
    pub balanced: bool,
    /// Text between examples.
    pub separator: String,
    /// Whether scores of a prompt without content are taken off.
    pub calibrate: bool,
}

impl From<PromptOptions> for PromptSettings {
    fn from(options: PromptOptions) -> Self {
        Self {
            template: options.template,
            verbalizers: options.verbalizers,
            shots: options.shots,
            balanced: options.balanced,
            separator: options.separator,
            calibrate: options.calibrate,
        }
    }
}

/// What settings need to know that the options alone do not say.
pub(super) struct Resolution {
    /// The components that `use` names, as found in the catalog: plugin and id.
    pub model: (String, String),
    pub task: (String, String),
    pub peft: Option<(String, String)>,
    pub metrics: Vec<(String, String)>,
    pub processors: Vec<(String, String)>,
    /// Where `model.pretrained` leads.
    pub pretrained: Option<Pretrained>,
    /// `run.name` where the run file has none.
    pub name: String,
}

impl RunSettings {
    /// Settings of options that passed the check.
    pub(super) fn new(file: RunFile, resolution: Resolution) -> Self {
        let metrics = file.metrics.into_iter().zip(resolution.metrics);
        let train = TrainSettings::from(file.train);
        Self {
            run: RunSection::new(file.run, resolution.name),
            plugins: file.plugins.into(),
            model: ModelSettings {
                component: component(resolution.model, file.model.options),
                pretrained: resolution.pretrained,
                ignore_weights: file.model.ignore_weights.unwrap_or_default(),
                dtype: file.model.dtype,
            },
            task: component(resolution.task, file.task.options),
            data: file.data.into(),
            tokenizer: TokenizerSettings {
                path: file.tokenizer.path.map(PathBuf::from),
                train: file.tokenizer.train.map(|train| TokenizerTrainSettings {
                    spec: train.spec(),
                    columns: train.columns.map(OneOrMany::into_vec),
                }),
                max_length: file.tokenizer.max_length,
            },
            peft: file
                .peft
                .zip(resolution.peft)
                .map(|(options, found)| component(found, options.options)),
            metrics: metrics
                .map(|(options, found)| MetricSettings {
                    name: options.name.unwrap_or_else(|| found.1.clone()),
                    component: component(found, options.options),
                })
                .collect(),
            evaluate: EvaluateSettings::new(&file.evaluate, train.batch),
            generation: file.generation,
            prompt: file.prompt.map(Into::into),
            processors: (file.processors.into_iter().zip(resolution.processors))
                .map(|(options, found)| component(found, options.options))
                .collect(),
            train,
        }
    }
}

fn component((plugin, id): (String, String), options: Table) -> ComponentSettings {
    ComponentSettings {
        plugin,
        id,
        options,
    }
}

impl RunSection {
    fn new(options: RunOptions, name: String) -> Self {
        Self {
            name: options.name.unwrap_or(name),
            seed: options.seed,
            output_dir: options.output_dir.into(),
            device: match options.device.split_once(':') {
                Some((_, index)) => Device::Cuda(index.parse().unwrap_or(0)),
                None if options.device == "cuda" => Device::Cuda(0),
                None if options.device == "cpu" => Device::Cpu,
                None => Device::Auto,
            },
            threads: options.threads,
            deterministic: options.deterministic,
        }
    }
}

impl From<PluginsOptions> for PluginSettings {
    fn from(options: PluginsOptions) -> Self {
        let allowed = |entry| match entry {
            AllowOptions::Name(name) => AllowedPlugin { name, sha256: None },
            AllowOptions::Pinned(table) => AllowedPlugin {
                name: table.name,
                sha256: table.sha256.map(|hash| hash.to_ascii_lowercase()),
            },
        };
        Self {
            paths: options.paths.into_iter().map(PathBuf::from).collect(),
            allow: options
                .allow
                .map(|list| list.into_iter().map(allowed).collect()),
            prefer: options.prefer,
        }
    }
}

impl From<DataOptions> for DataSettings {
    fn from(options: DataOptions) -> Self {
        let format = options.format;
        Self {
            train: options.train.map(|source| match source {
                SourceOptions::Paths(paths) => files(paths, None, &format, None),
                SourceOptions::Table(table) => {
                    files(table.path, table.format, &format, table.limit)
                }
            }),
            validation: options
                .validation
                .and_then(|source| held_out(source, &format)),
            test: options.test.and_then(|source| held_out(source, &format)),
            columns: options.columns,
            on_bad_row: options.on_bad_row,
            cache: options.cache,
        }
    }
}

/// Files in a format of their own, or in that of the section.
fn files(
    paths: OneOrMany<String>,
    own: Option<DataFormat>,
    format: &DataFormat,
    limit: Option<u64>,
) -> SourceSettings {
    SourceSettings {
        paths: paths.into_vec().into_iter().map(PathBuf::from).collect(),
        format: own.unwrap_or_else(|| format.clone()).into(),
        limit,
    }
}

/// `None` for a table with neither `path` nor `split`, which the check refuses.
fn held_out(options: HeldOutOptions, format: &DataFormat) -> Option<HeldOut> {
    let table = match options {
        HeldOutOptions::Paths(paths) => {
            return Some(HeldOut::Files(files(paths, None, format, None)));
        }
        HeldOutOptions::Table(table) => table,
    };
    match (table.path, table.split) {
        (Some(paths), _) => Some(HeldOut::Files(files(
            paths,
            table.format,
            format,
            table.limit,
        ))),
        (None, Some(fraction)) => Some(HeldOut::Split {
            fraction,
            stratify: table.stratify,
            group: table.group,
            limit: table.limit,
        }),
        (None, None) => None,
    }
}

impl From<TrainOptions> for TrainSettings {
    fn from(options: TrainOptions) -> Self {
        // Of two keys that exclude each other, one has a default: the other wins where it is set.
        let defaults = TrainOptions::default();
        Self {
            length: match options.max_steps {
                Some(steps) => Length::Steps(steps),
                None => Length::Epochs(options.epochs.or(defaults.epochs).unwrap_or(1)),
            },
            batch: batch(options.batch_size, options.batch_tokens).unwrap_or(Batch::Examples(1)),
            gradient_accumulation_steps: options.gradient_accumulation_steps,
            learning_rate: options.learning_rate,
            weight_decay: options.weight_decay,
            adam_betas: (options.adam_beta1, options.adam_beta2),
            adam_epsilon: options.adam_epsilon,
            schedule: options.schedule,
            warmup: match options.warmup_steps {
                Some(steps) => Warmup::Steps(steps),
                None => Warmup::Ratio(options.warmup_ratio.unwrap_or(0.0)),
            },
            max_grad_norm: (options.max_grad_norm > 0.0).then_some(options.max_grad_norm),
            precision: options.precision,
            eval_every: options.eval_every.into(),
            save_every: options.save_every.into(),
            keep_checkpoints: options.keep_checkpoints,
            select_best: options.select_best.map(|score| SelectBest {
                score,
                mode: options.mode,
            }),
            patience: options.patience,
            bucket: options.bucket,
            log_every: options.log_every,
            resume: options.resume,
        }
    }
}

impl EvaluateSettings {
    fn new(options: &EvaluateOptions, training: Batch) -> Self {
        Self {
            batch: batch(options.batch_size, options.batch_tokens).unwrap_or(training),
            generate: options.generate,
            generate_limit: options.generate_limit,
        }
    }
}

fn batch(examples: Option<u32>, tokens: Option<u32>) -> Option<Batch> {
    tokens.map(Batch::Tokens).or(examples.map(Batch::Examples))
}

impl From<Every> for Rhythm {
    fn from(every: Every) -> Self {
        match every {
            Every::Steps(steps) => Self::Steps(steps),
            Every::Word(EveryWord::Epoch) => Self::Epoch,
            Every::Word(EveryWord::Never) => Self::Never,
        }
    }
}
