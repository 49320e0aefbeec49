//! `[plugins]`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where plugins are looked for, and which may be opened.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct PluginsOptions {
    /// Folders with plugins, searched before those of `TENON_PLUGIN_PATH`.
    #[schemars(example = vec!["plugins"])]
    pub paths: Vec<String>,
    /// The plugins that may be opened: a name, or a name with the SHA-256 of the library. Without
    /// this key every plugin found may be opened.
    #[schemars(example = vec!["lora"])]
    pub allow: Option<Vec<AllowOptions>>,
    /// Which component a short name means where several plugins bring one of that name.
    #[schemars(example = serde_json::json!({ "f1": "classification-metrics::f1" }))]
    pub prefer: BTreeMap<String, String>,
}

/// One plugin that may be opened.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum AllowOptions {
    /// Its name; any library of that name.
    Name(String),
    /// Its name and the SHA-256 of its library.
    Pinned(AllowTable),
}

/// A plugin that may be opened, and the hash of its library.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct AllowTable {
    /// Name of the plugin.
    pub name: String,
    /// SHA-256 of the library, in hexadecimal; `tenon plugin list` shows it.
    #[schemars(
        regex(pattern = r"^[0-9a-fA-F]{64}$"),
        extend("x-tenon-expected" = "64 hexadecimal digits")
    )]
    pub sha256: Option<String>,
}
