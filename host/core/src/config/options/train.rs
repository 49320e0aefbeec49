//! `[train]`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Training.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("x-tenon-either" = [
    ["epochs", "max_steps"],
    ["batch_size", "batch_tokens"],
    ["warmup_steps", "warmup_ratio"],
]))]
pub struct TrainOptions {
    /// Passes over the training data.
    #[schemars(range(min = 1, max = 1_000_000), extend("x-tenon-also" = ["num_train_epochs", "num_epochs"]))]
    pub epochs: Option<u32>,
    /// Optimizer steps, instead of `epochs`.
    #[schemars(range(min = 1), example = 1000)]
    pub max_steps: Option<u64>,
    /// Examples in a batch.
    #[schemars(range(min = 1, max = 1_000_000), extend("x-tenon-also" = ["per_device_train_batch_size", "train_batch_size"]))]
    pub batch_size: Option<u32>,
    /// Tokens in a batch, padding included, instead of `batch_size`.
    #[schemars(range(min = 1, max = 1_000_000_000), example = 4096)]
    pub batch_tokens: Option<u32>,
    /// Batches whose gradients are summed before each optimizer step. The loss is normalised over
    /// all of them, so the step equals that of one large batch.
    #[schemars(range(min = 1, max = 1_000_000), extend("x-tenon-also" = ["gradient_accumulation", "accumulate_grad_batches"]))]
    pub gradient_accumulation_steps: u32,
    /// Learning rate at the end of the warm-up.
    #[schemars(range(min = 0.0), extend("x-tenon-also" = ["lr"]))]
    pub learning_rate: f64,
    /// Decoupled weight decay of AdamW; biases and norms are exempt.
    #[schemars(range(min = 0.0))]
    pub weight_decay: f64,
    /// Decay of the first moment of AdamW.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1, "x-tenon-also" = ["beta1"]))]
    pub adam_beta1: f64,
    /// Decay of the second moment of AdamW.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1, "x-tenon-also" = ["beta2"]))]
    pub adam_beta2: f64,
    /// Added to the denominator of AdamW.
    #[schemars(extend("exclusiveMinimum" = 0, "x-tenon-also" = ["eps", "adam_eps"]))]
    pub adam_epsilon: f64,
    /// How the learning rate goes on after the warm-up.
    #[schemars(extend("x-tenon-also" = ["lr_scheduler_type", "lr_scheduler"]))]
    pub schedule: Schedule,
    /// Steps over which the learning rate rises from 0.
    #[schemars(example = 100)]
    pub warmup_steps: Option<u64>,
    /// Fraction of all steps over which the learning rate rises from 0.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub warmup_ratio: Option<f64>,
    /// Norm to which the gradient is clipped; 0 leaves it as it is.
    #[schemars(range(min = 0.0), extend("x-tenon-also" = ["clip_grad_norm", "gradient_clip_val"]))]
    pub max_grad_norm: f64,
    /// Type in which forward and backward compute.
    #[schemars(extend("x-tenon-also" = ["bf16", "fp16"]))]
    pub precision: Precision,
    /// When to evaluate on `data.validation`: every so many steps, `"epoch"` or `"never"`.
    #[schemars(extend("x-tenon-also" = ["eval_steps", "eval_strategy", "evaluation_strategy"]))]
    pub eval_every: Every,
    /// When to save a checkpoint: every so many steps, `"epoch"` or `"never"`.
    #[schemars(extend("x-tenon-also" = ["save_steps", "save_strategy"]))]
    pub save_every: Every,
    /// Checkpoints to keep; the best one is kept besides.
    #[schemars(range(min = 1, max = 1_000_000), extend("x-tenon-also" = ["save_total_limit"]))]
    pub keep_checkpoints: u32,
    /// Score by which the best checkpoint is chosen as the result: `loss`, or a score of a metric.
    /// Without it the result is the last state.
    #[schemars(extend("x-tenon-also" = ["metric_for_best_model", "load_best_model_at_end"]), example = &"accuracy")]
    pub select_best: Option<String>,
    /// Whether the best score is the largest or the smallest. Without it, what the metric says.
    #[schemars(extend("x-tenon-also" = ["greater_is_better"]), example = &"max")]
    pub mode: Option<Mode>,
    /// Evaluations without a better score after which training stops. Needs `select_best`.
    #[schemars(range(min = 1), extend("x-tenon-also" = ["early_stopping_patience"]), example = 3)]
    pub patience: Option<u32>,
    /// Batches that are drawn at once and sorted by length, so that little is padded; 0 leaves
    /// the order random.
    #[schemars(range(max = 1_000_000), extend("x-tenon-also" = ["group_by_length"]))]
    pub bucket: u32,
    /// Steps between two entries of the log.
    #[schemars(range(min = 1), extend("x-tenon-also" = ["logging_steps"]))]
    pub log_every: u64,
    /// What to do where the run's folder holds an earlier, unfinished run with these settings.
    #[schemars(extend("x-tenon-also" = ["resume_from_checkpoint"]))]
    pub resume: Resume,
}

impl Default for TrainOptions {
    fn default() -> Self {
        Self {
            epochs: Some(3),
            max_steps: None,
            batch_size: Some(32),
            batch_tokens: None,
            gradient_accumulation_steps: 1,
            learning_rate: 5e-5,
            weight_decay: 0.0,
            adam_beta1: 0.9,
            adam_beta2: 0.999,
            adam_epsilon: 1e-8,
            schedule: Schedule::default(),
            warmup_steps: None,
            warmup_ratio: Some(0.0),
            max_grad_norm: 1.0,
            precision: Precision::default(),
            eval_every: Every::default(),
            save_every: Every::default(),
            keep_checkpoints: 2,
            select_best: None,
            mode: None,
            patience: None,
            bucket: 50,
            log_every: 10,
            resume: Resume::default(),
        }
    }
}

/// Course of the learning rate after the warm-up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Schedule {
    /// Falls on a line to 0 at the last step.
    #[default]
    Linear,
    /// Falls along half a cosine to 0 at the last step.
    Cosine,
    /// Stays.
    Constant,
}

/// Type in which forward and backward compute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// IEEE single precision throughout.
    #[default]
    Float32,
    /// Matrix products in `bfloat16`, all else in `float32`.
    Bfloat16,
}

/// A rhythm: every so many steps, or a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Every {
    /// Every so many optimizer steps.
    Steps(#[schemars(range(min = 1))] u64),
    /// At the end of each epoch, or never.
    Word(EveryWord),
}

impl Default for Every {
    fn default() -> Self {
        Self::Word(EveryWord::Epoch)
    }
}

/// The words that stand for a rhythm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum EveryWord {
    /// At the end of each epoch.
    Epoch,
    /// Not during training; once at its end.
    Never,
}

/// Which score is the best.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// The largest.
    Max,
    /// The smallest.
    Min,
}

/// What becomes of an earlier, unfinished run in the same folder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Resume {
    /// It is continued if its settings are the same, else it is an error.
    #[default]
    Auto,
    /// It is an error.
    Never,
    /// It must be there to be continued.
    Require,
}
