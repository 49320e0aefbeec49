//! `[task]` and `[[metrics]]`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Table;

/// The task.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-tenon-component" = "task"))]
pub struct TaskOptions {
    /// The component: its short name, or `plugin::component`.
    #[serde(rename = "use")]
    #[schemars(example = &"classification")]
    pub component: String,
    /// Options of the component.
    #[serde(flatten)]
    #[schemars(skip)]
    pub options: Table,
}

/// A metric. The other keys of the table are the options of the component.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-tenon-component" = "metric"))]
pub struct MetricOptions {
    /// The component: its short name, or `plugin::component`.
    #[serde(rename = "use")]
    #[schemars(example = &"f1")]
    pub component: String,
    /// Name in logs and in `train.select_best`. Without it, the name of the component. Needed
    /// where one metric is used twice.
    #[schemars(
        regex(pattern = "^[A-Za-z0-9_.-]+$"),
        extend("x-tenon-expected" = "a name of letters, digits, `_`, `-` and `.`"),
        example = &"f1_macro"
    )]
    pub name: Option<String>,
    /// Options of the component.
    #[serde(flatten)]
    #[schemars(skip)]
    pub options: Table,
}
