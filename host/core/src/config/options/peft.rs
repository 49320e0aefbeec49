//! `[peft]`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Table;

/// The method of parameter-efficient fine-tuning.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-tenon-component" = "peft"))]
pub struct PeftOptions {
    /// The component: its short name, or `plugin::component`. `full` trains every parameter, as
    /// if the table were absent.
    #[serde(rename = "use")]
    #[schemars(example = &"lora", extend("x-tenon-also" = ["peft_type"]))]
    pub component: String,
    /// Options of the component.
    #[serde(flatten)]
    #[schemars(skip)]
    pub options: Table,
}
