//! The manifest: what a plugin says of itself, as JSON that is read without opening it.

use std::fmt;

use serde::Deserialize;
use serde_json::Value;

use crate::config::Kind;

/// What a plugin says of itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Manifest {
    /// Package that it was built from.
    pub package: String,
    /// Version of the package.
    pub version: String,
    /// Version of the plugin API that it was built against.
    pub api: ApiVersion,
    /// Whether a panic in it can be contained.
    pub unwinds: bool,
    /// The libtorch that it was built against, if any.
    pub torch: Option<String>,
    /// Symbol of its table.
    pub symbol: String,
    /// What it brings.
    pub components: Vec<Component>,
    /// The manifest as it stands in the file, without the line's end.
    pub text: String,
}

impl Manifest {
    /// Name of the plugin: the package's without a leading `tenon-`.
    #[must_use]
    pub fn name(&self) -> &str {
        plugin_name(&self.package)
    }

    /// Reads a manifest.
    ///
    /// # Errors
    /// What is wrong with it, in one line.
    pub fn parse(text: &str) -> Result<Self, String> {
        let written: Written = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let api = ApiVersion::parse(&written.api)
            .ok_or_else(|| format!("`api` is \"{}\", which is no version", written.api))?;
        if !is_symbol(&written.symbol) {
            let symbol = written.symbol;
            return Err(format!("`symbol` is {symbol:?}, which is no symbol"));
        }
        if plugin_name(&written.package).is_empty() {
            return Err("`package` is empty".to_owned());
        }
        let components = written.components.into_iter().map(Component::read);
        Ok(Self {
            package: written.package,
            version: written.version,
            api,
            unwinds: written.panic != "abort",
            torch: written.torch,
            symbol: written.symbol,
            components: components.collect::<Result<_, _>>()?,
            text: text.to_owned(),
        })
    }

    /// The component of a kind and name.
    #[must_use]
    pub fn component(&self, kind: Kind, id: &str) -> Option<&Component> {
        let found = |component: &&Component| component.kind() == Some(kind) && component.id == id;
        self.components.iter().find(found)
    }
}

/// The package's name without a leading `tenon-`.
#[must_use]
pub(super) fn plugin_name(package: &str) -> &str {
    package.strip_prefix("tenon-").unwrap_or(package)
}

fn is_symbol(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    text.starts_with("tenon_plugin_") && text.len() <= 256 && text.bytes().all(plain)
}

/// Keys that are not here are of later versions.
#[derive(Deserialize)]
struct Written {
    package: String,
    version: String,
    api: String,
    panic: String,
    symbol: String,
    #[serde(default)]
    torch: Option<String>,
    components: Vec<Value>,
}

/// What a manifest says of a component.
#[derive(Clone, Debug, PartialEq)]
pub struct Component {
    /// `model`, `task`, `peft`, `metric`, or a kind of a later version.
    pub kind_name: String,
    /// Short name.
    pub id: String,
    /// One line on what it is.
    pub about: String,
    /// JSON Schema of its options.
    pub schema: Value,
    /// The whole entry.
    pub entry: Value,
}

impl Component {
    /// Its kind, if this version knows it.
    #[must_use]
    pub fn kind(&self) -> Option<Kind> {
        KINDS
            .iter()
            .find(|(_, name)| *name == self.kind_name)
            .map(|(kind, _)| *kind)
    }

    /// A list of words in the entry, such as a metric's `inputs`; empty without it.
    #[must_use]
    pub fn list(&self, name: &str) -> Vec<&str> {
        let items = self.entry.get(name).and_then(Value::as_array);
        items
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect()
    }

    fn read(entry: Value) -> Result<Self, String> {
        let text = |key: &str| entry.get(key).and_then(Value::as_str).map(str::to_owned);
        let id = text("id").ok_or("a component has no `id`")?;
        let kind_name = text("kind").ok_or_else(|| format!("component `{id}` has no `kind`"))?;
        let schema = entry.get("schema").filter(|schema| schema.is_object());
        let schema = schema.ok_or_else(|| format!("component `{id}` has no `schema`"))?;
        Ok(Self {
            about: text("about").unwrap_or_default(),
            schema: schema.clone(),
            kind_name,
            id,
            entry,
        })
    }
}

/// The kinds as manifests name them.
pub const KINDS: [(Kind, &str); 5] = [
    (Kind::Model, "model"),
    (Kind::Task, "task"),
    (Kind::Peft, "peft"),
    (Kind::Metric, "metric"),
    (Kind::Processor, "processor"),
];

/// The kind as manifests name it.
#[must_use]
pub fn kind_name(kind: Kind) -> &'static str {
    let found = KINDS.iter().find(|(known, _)| *known == kind);
    found.map_or("component", |(_, name)| name)
}

/// Version of the plugin API: major and minor; patches do not change it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ApiVersion {
    /// Another one is another API.
    pub major: u32,
    /// A later one only adds.
    pub minor: u32,
}

impl ApiVersion {
    /// Reads `1.2.3` or `1.2`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('.').map(str::parse);
        let (major, minor) = (parts.next()?.ok()?, parts.next()?.ok()?);
        Some(Self { major, minor })
    }

    /// That of this host.
    #[must_use]
    pub fn ours() -> Self {
        // Cargo's own version text always parses.
        Self::parse(tenon_plugin_api::manifest::API_VERSION).unwrap_or(Self { major: 0, minor: 0 })
    }

    /// The earliest whose plugins this host opens: two minor versions back.
    #[must_use]
    pub fn oldest(self) -> Self {
        let minor = self.minor.saturating_sub(2);
        Self { minor, ..self }
    }
}

impl fmt::Display for ApiVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_said_in_one_line() {
        let whole = r#"{"package":"tenon-x","version":"1.0.0","api":"0.1.0","panic":"unwind",
            "symbol":"tenon_plugin_x","components":[{"kind":"metric","id":"m","schema":{}}]}"#;
        let manifest = Manifest::parse(whole).expect("a manifest");
        assert_eq!((manifest.name(), manifest.unwinds), ("x", true));
        for (from, to, expected) in [
            (
                "\"0.1.0\"",
                "\"new\"",
                "`api` is \"new\", which is no version",
            ),
            (
                "tenon_plugin_x",
                "system",
                "`symbol` is \"system\", which is no symbol",
            ),
            ("tenon-x", "tenon-", "`package` is empty"),
            ("\"id\":\"m\",", "", "a component has no `id`"),
            ("\"kind\":\"metric\",", "", "component `m` has no `kind`"),
            (",\"schema\":{}", "", "component `m` has no `schema`"),
        ] {
            let found = Manifest::parse(&whole.replace(from, to));
            assert_eq!(found, Err(expected.to_owned()));
        }
    }

    #[test]
    fn versions_compare_by_major_and_minor() {
        let parse = |text| ApiVersion::parse(text).map(|version| version.to_string());
        assert_eq!(parse("0.12.3"), Some("0.12".to_owned()));
        assert_eq!(parse("2.0.0-beta.1"), Some("2.0".to_owned()));
        assert_eq!(parse("1"), None);
        assert_eq!(parse("-1.0"), None);
    }
}
