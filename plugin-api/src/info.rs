//! Descriptions that components and host exchange as JSON: heads, fields, sites, plans.
//!
//! Keys are only ever added; what a side does not know it ignores.

use serde::{Deserialize, Serialize};

pub use crate::metric::OutputInfo;
pub use crate::prompt::PromptInfo;

/// The head that a task asks a model for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct HeadInfo {
    /// `sequence-classification`, `token-classification`, `question-answering`, `masked-lm`, `causal-lm`,
    /// `seq2seq-lm`, …
    pub kind: String,
    /// Outputs of the head: classes, or 1 for regression.
    #[serde(default)]
    pub num_labels: usize,
    /// As Hugging Face names it: `single_label_classification`, `multi_label_classification`,
    /// `regression`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem_type: Option<String>,
}

/// A column of the data that a task reads.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ColumnInfo {
    /// Name in the data.
    pub name: String,
    /// How its cells are read.
    pub kind: ColumnKind,
    /// Whether prediction needs it too; a label column is needed for training and scoring only.
    pub for_prediction: bool,
}

/// How the cells of a column are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ColumnKind {
    /// A string, or a list of strings.
    Text,
    /// One of a set of names (or integers) that the host discovers and numbers.
    Label,
    /// A list of such names.
    Labels,
    /// A number.
    Number,
    /// Anything, read as JSON text: lists and maps, such as the turns of a conversation. A cell that is text is
    /// taken to be JSON already, as in csv.
    Json,
    /// One of the kinds of labels, or a number: the host looks at the column and says in [`DataInfo::kinds`] which.
    Auto,
}

/// Type of the values of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FieldKind {
    /// 64-bit integers.
    Int,
    /// 32-bit floats.
    Float,
}

/// What a shorter example is filled up with in a batch.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pad {
    /// All examples have the same shape: `[n]` values become `[batch, n]`, a single one `[batch]`.
    Stack,
    /// The tokenizer's padding id.
    Token,
    /// This value.
    Value(f64),
}

/// A field of the examples that a task makes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FieldInfo {
    /// Name of the tensor in the batch: `input_ids`, `labels`, …
    pub name: String,
    /// Type of its values.
    pub kind: FieldKind,
    /// How batches are filled up.
    pub pad: Pad,
    /// Whether this field's length is the example's length (for bucketing and the mask). Where several fields say
    /// so, as for both sides of a translation, `attention_mask` is that of the first, and batches are planned by
    /// the sum of their lengths.
    #[serde(default)]
    pub length: bool,
}

impl FieldInfo {
    /// Token ids: padded with the padding token; their number is the example's length.
    #[must_use]
    pub fn token_ids(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            kind: FieldKind::Int,
            pad: Pad::Token,
            length: true,
        }
    }

    /// Integers padded with `value`.
    #[must_use]
    pub fn ints(name: &str, value: i64) -> Self {
        Self {
            name: name.to_owned(),
            kind: FieldKind::Int,
            pad: Pad::Value(value as f64),
            length: false,
        }
    }

    /// Values of the same shape for each example.
    #[must_use]
    pub fn stacked(name: &str, kind: FieldKind) -> Self {
        Self {
            name: name.to_owned(),
            kind,
            pad: Pad::Stack,
            length: false,
        }
    }
}

/// A metric that a task suggests when the run file names none.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MetricRequest {
    /// The metric's name.
    #[serde(rename = "use")]
    pub name: String,
    /// Its options.
    #[serde(default)]
    pub options: serde_json::Map<String, serde_json::Value>,
}

impl MetricRequest {
    /// A metric with its default options.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            options: serde_json::Map::new(),
        }
    }

    /// Sets an option.
    #[must_use]
    pub fn option(mut self, key: &str, value: impl Into<serde_json::Value>) -> Self {
        self.options.insert(key.to_owned(), value.into());
        self
    }
}

/// How a host packs examples: those of consecutive records one after another, cut into blocks. For tasks that learn
/// from running text; each field of their examples has one value for each token.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PackInfo {
    /// Tokens of a block. Only the last one may have fewer.
    pub length: usize,
    /// In evaluation, tokens from the start of a block to that of the next, at most `length`: each target counts
    /// once, with `length - stride` tokens before it at least. In training blocks never overlap.
    pub stride: usize,
    /// The field of labels. Examples hold at each position the token that stands *there*, or -100; in a block it is
    /// shifted, so that a position holds what is to be predicted there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Fields of integers, such as the bytes of each token, of which a block has the sum over the tokens that are
    /// predicted in it; they are declared as stacked.
    #[serde(default)]
    pub sums: Vec<String>,
    /// The token after each document: a role (`eos`), which is passed over where the tokenizer has no such token,
    /// or a token as it is spelled. It is put into the field with the length and into `target`, and 0 into others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub separator: Option<String>,
}

/// What a task reads, makes, needs and puts out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TaskInfo {
    /// Columns that it reads.
    pub columns: Vec<ColumnInfo>,
    /// The head that it needs of the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head: Option<HeadInfo>,
    /// Fields of its examples.
    pub fields: Vec<FieldInfo>,
    /// What it predicts.
    pub output: OutputInfo,
    /// Metrics when the run file names none.
    #[serde(default)]
    pub metrics: Vec<MetricRequest>,
    /// How examples are packed; each is one on its own without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pack: Option<PackInfo>,
    /// Fields of the examples of [`Task::encode_prompt`](crate::task::Task::encode_prompt): what the model is to
    /// go on with. With such fields predictions are made by generating text; without, by `predict`.
    #[serde(default)]
    pub prompt: Vec<FieldInfo>,
    /// Whether predictions are made record by record in [`Task::conclude`](crate::task::Task::conclude).
    #[serde(default)]
    pub concludes: bool,
    /// Whether the task understands [`DataInfo::prompt`].
    #[serde(default)]
    pub promptable: bool,
    /// What the task wants of a decoding where the run file's `[generation]` says nothing, in its keys:
    /// `max_new_tokens`, `stop_strings`, …
    #[serde(default)]
    pub generation: serde_json::Map<String, serde_json::Value>,
}

/// What a task is told of the run's model.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ModelFacts {
    /// Name of the model component.
    pub id: String,
    /// What it offers: `encoder`, `causal-lm`, `seq2seq-lm`, …
    #[serde(default)]
    pub offers: Vec<String>,
    /// The token that a decoder of an encoder–decoder begins with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decoder_start_token_id: Option<i64>,
    /// Size of the output vocabulary, 0 where it is not known.
    #[serde(default)]
    pub vocab_size: usize,
}

impl ModelFacts {
    /// Whether the model offers `what`.
    #[must_use]
    pub fn offers(&self, what: &str) -> bool {
        self.offers.iter().any(|offer| offer == what)
    }

    /// Whether text is written by a decoder that attends to an encoder.
    #[must_use]
    pub fn is_encoder_decoder(&self) -> bool {
        self.offers("seq2seq-lm")
    }
}

/// What the host found in the data, told to a task before the first record.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DataInfo {
    /// Class names by id of each label column.
    #[serde(default)]
    pub labels: std::collections::BTreeMap<String, Vec<String>>,
    /// What the host found columns of [`ColumnKind::Auto`] to hold: lists are `Labels`, numbers
    /// with a fraction `Number`, all else `Label`.
    #[serde(default)]
    pub kinds: std::collections::BTreeMap<String, ColumnKind>,
    /// The most tokens that the model takes, 0 when there is no limit.
    #[serde(default)]
    pub max_length: usize,
    /// The run's model.
    #[serde(default)]
    pub model: ModelFacts,
    /// How records become prompts, where the run file says so; only told to tasks that say that they are
    /// [`promptable`](TaskInfo::promptable).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt: Option<PromptInfo>,
}

/// How a parameter starts when no weights are loaded for it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "init")]
#[non_exhaustive]
pub enum Init {
    /// All zeros.
    Zeros,
    /// All ones.
    Ones,
    /// Normal with mean 0.
    Normal {
        /// Standard deviation.
        std: f64,
    },
    /// Uniform between `-bound` and `bound`.
    Uniform {
        /// The bound.
        bound: f64,
    },
    /// As `torch.nn.init.kaiming_uniform_` with this `a`, over the fan-in (He et al. 2015, eq. 10).
    KaimingUniform {
        /// Negative slope of the rectifier.
        a: f64,
    },
}

/// What stands in the place of an [`Init`] in the request for a tied parameter.
#[cfg(feature = "torch")]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "init")]
pub(crate) enum Tie {
    /// It is another parameter, unless the weights have one of its own.
    Tied {
        /// The name of the other.
        to: String,
    },
}

/// What the host tells a builder.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct BuildInfo {
    /// The head that the task asks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head: Option<HeadInfo>,
}

/// Kind of a site, which says what tensors pass through it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SiteKind {
    /// A linear layer: input `[…, in]` and output `[…, out]` in, output out. The output given may
    /// be overwritten, so a model keeps nothing of it.
    Linear,
    /// Output of a sublayer before the residual sum: `[…, hidden]` in and out.
    Output,
    /// Keys and values of attention: two of `[batch, heads, time, dim]` in and out; the time may
    /// grow at its front.
    KeyValue,
    /// Input embeddings: `[batch, time, hidden]` in and out; the time may grow at its front.
    Embedding,
}

/// A site of a model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SiteInfo {
    /// Module name: `bert.encoder.layer.0.attention.self.query`.
    pub name: String,
    /// What it does in the architecture: `query`, `attention_output`, …
    pub role: String,
    /// What passes through it.
    pub kind: SiteKind,
    /// Index of its layer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layer: Option<usize>,
    /// Size of the input's last dimension.
    pub in_features: i64,
    /// Size of the output's last dimension.
    pub out_features: i64,
    /// Whether the weight is stored `[in, out]` (GPT-2's `Conv1D`) and not `[out, in]`.
    #[serde(default)]
    pub transposed: bool,
}

impl SiteInfo {
    /// Whether what a user wrote selects this site: its role, or its name by
    /// [`crate::names::selects`].
    #[must_use]
    pub fn selected_by(&self, selector: &str) -> bool {
        self.role == selector || crate::names::selects(selector, &self.name)
    }
}

/// What a parameter is in its layer, whatever the layer is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ParamRole {
    /// A table whose rows are looked up by number: of a token, a position, a segment.
    Embedding,
    /// Gain or bias of a normalisation.
    Norm,
    /// Kept with the weights and never trained; methods of fine-tuning are not shown it.
    Buffer,
    /// A role of a later version.
    #[serde(other)]
    Other,
}

impl ParamRole {
    /// The number that stands for it in a request; 0 stands for none.
    #[cfg(feature = "torch")]
    pub(crate) fn code(self) -> u64 {
        match self {
            Self::Embedding => 1,
            Self::Norm => 2,
            Self::Buffer => 3,
            Self::Other => 255,
        }
    }

    /// The role that a number stands for.
    #[cfg(all(feature = "torch", feature = "host"))]
    pub(crate) fn from_code(code: u64) -> Option<Self> {
        Some(match code {
            0 => return None,
            1 => Self::Embedding,
            2 => Self::Norm,
            3 => Self::Buffer,
            _ => Self::Other,
        })
    }
}

/// A parameter of a model.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ParamInfo {
    /// Name, as Hugging Face has it.
    pub name: String,
    /// Shape.
    pub shape: Vec<i64>,
    /// Whether it is new, that is of a head that the pretrained weights do not have.
    #[serde(default)]
    pub new: bool,
    /// Whether it is of the task's head, be it new or in the pretrained weights.
    #[serde(default)]
    pub head: bool,
    /// What it is in its layer, where the model says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<ParamRole>,
}

/// What a PEFT method is shown of a model.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ModelView {
    /// Name of the model component.
    pub model: String,
    /// Folder or hub name of the pretrained weights, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pretrained: Option<String>,
    /// The task's head.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head: Option<HeadInfo>,
    /// Sites in the order of the forward pass.
    pub sites: Vec<SiteInfo>,
    /// Parameters in the order of building.
    pub parameters: Vec<ParamInfo>,
}

/// Where a PEFT method attaches and what stays trainable.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Names of the sites to attach to.
    pub sites: Vec<String>,
    /// Names of the model's own parameters that stay trainable; the rest is frozen. What `attach`
    /// creates is always trainable.
    pub trainable: Vec<String>,
}

/// What a model tells of itself once it is built.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ModelInfo {
    /// Class name for `config.json`: `BertForSequenceClassification`.
    pub architecture: String,
    /// The most positions that it takes, 0 when there is no limit.
    #[serde(default)]
    pub max_length: usize,
    /// Entries of `config.json` that this version of the model writes (besides those it was
    /// given).
    #[serde(default)]
    pub config: serde_json::Map<String, serde_json::Value>,
}
