//! `[model]`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Table;

/// The model.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-tenon-component" = "model"))]
pub struct ModelOptions {
    /// The component: its short name, or `plugin::component`.
    #[serde(rename = "use")]
    #[schemars(example = &"bert")]
    pub component: String,
    /// Where the weights, configuration and tokenizer come from: a folder in Hugging Face layout,
    /// or the name of a model on the Hugging Face hub. Without it the model is initialised at
    /// random. A name whose first part is a folder here is taken for a path; `hf://` in front
    /// makes it a name.
    #[schemars(example = &"models/all-MiniLM-L6-v2", extend("x-tenon-also" = ["model_name_or_path", "path"]))]
    pub pretrained: Option<String>,
    /// Branch, tag or commit on the hub.
    #[schemars(example = &"main")]
    pub revision: Option<String>,
    /// Tensors of the pretrained weights that may be left out, as globs. One that is in the files and
    /// in no parameter is an error, unless the model knows that it does without it.
    #[schemars(extend("examples" = [["vision_tower.*"]]))]
    pub ignore_weights: Option<Vec<String>>,
    /// Type in which the parameters are held.
    #[serde(default)]
    #[schemars(extend("x-tenon-also" = ["torch_dtype"]))]
    pub dtype: Dtype,
    /// Options of the component.
    #[serde(flatten)]
    #[schemars(skip)]
    pub options: Table,
}

/// Type of the parameters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Dtype {
    /// IEEE single precision.
    #[default]
    Float32,
    /// 16 bits with the range of `float32` and 8 bits of precision.
    Bfloat16,
}
