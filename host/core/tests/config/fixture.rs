//! A folder with run files and data, and components as plugins would describe them.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;
use tenon_core::config::{
    Catalog, ComponentInfo, Draft, Kind, LoadRequest, LookupError, Purpose, Report, Resolved, load,
};
use tenon_core::data::FormatOptions;

/// A run file without faults.
pub const GOOD: &str = r#"[model]
use = "bert"
pretrained = "models/minilm"

[task]
use = "classification"
text = "message"
label = "label"

[data]
train = "data/train.jsonl"
validation = { split = 0.1 }

[peft]
use = "lora"
target_sites = ["query", "value"]

[[metrics]]
use = "accuracy"

[[metrics]]
use = "classification-metrics::f1"
average = "macro"

[train]
epochs = 2
batch_tokens = 4096
learning_rate = 2e-4
"#;

/// A folder in which a run starts.
pub struct Workplace {
    folder: TempDir,
    request: LoadRequest,
}

impl Workplace {
    /// With a model, data and `run.toml`.
    pub fn new(run_file: &str) -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let request = LoadRequest {
            file: "run.toml".into(),
            root: folder.path().to_path_buf(),
            ..LoadRequest::default()
        };
        let place = Self { folder, request };
        place
            .file("run.toml", run_file)
            .file("models/minilm/config.json", "{}")
            .file(
                "data/train.jsonl",
                "{\"message\": \"hi\", \"label\": \"ham\"}\n",
            )
            .file(
                "data/test.jsonl",
                "{\"text\": \"hi\", \"label\": \"ham\"}\n",
            )
    }

    pub fn file(self, name: &str, content: impl AsRef<[u8]>) -> Self {
        let path = self.folder.path().join(name);
        std::fs::create_dir_all(path.parent().expect("is in the folder")).expect("a folder");
        std::fs::write(path, content).expect("a file");
        self
    }

    pub fn set(mut self, assignment: &str) -> Self {
        self.request.sets.push(assignment.into());
        self
    }

    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.request.env.push((name.into(), value.into()));
        self
    }

    pub fn profile(mut self, name: &str) -> Self {
        self.request.profile = Some(name.into());
        self
    }

    pub fn run_file(mut self, name: &str) -> Self {
        self.request.file = PathBuf::from(name);
        self
    }

    pub fn draft(&self) -> Result<Draft, Report> {
        load(&self.request)
    }

    pub fn check(&self) -> Result<Resolved, Report> {
        self.check_for(Purpose::Train)
    }

    pub fn check_for(&self, purpose: Purpose) -> Result<Resolved, Report> {
        self.draft()?.check(purpose, &Installed, &columns)
    }

    /// The report, which there must be.
    pub fn report(&self) -> String {
        match self.check() {
            Ok(resolved) => panic!("no fault found in\n{}", resolved.to_annotated_toml()),
            Err(report) => report
                .to_string()
                .replace(&*self.folder.path().to_string_lossy(), "[folder]"),
        }
    }

    /// The settings, which there must be.
    pub fn resolved(&self) -> Resolved {
        self.check().unwrap_or_else(|report| panic!("{report}"))
    }
}

/// Columns of data as the tests have it: the keys of the first line.
fn columns(path: &Path, _: &FormatOptions) -> Result<Vec<String>, String> {
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    let row: Value = serde_json::from_str(text.lines().next().unwrap_or_default())
        .map_err(|_| "line 1 is not JSON".to_owned())?;
    Ok(row
        .as_object()
        .into_iter()
        .flatten()
        .map(|(key, _)| key.clone())
        .collect())
}

/// The components of the tests.
pub struct Installed;

impl Catalog for Installed {
    fn lookup(&self, kind: Kind, name: &str) -> Result<ComponentInfo, LookupError> {
        if name == "broken" {
            let reason = Some("libbroken.so was built for another libtorch".into());
            return Err(LookupError::NotFound {
                installed: Vec::new(),
                reason,
            });
        }
        let all = self.components(kind);
        let mut found: Vec<ComponentInfo> = all
            .iter()
            .filter(|c| c.id == name || c.full_name() == name)
            .cloned()
            .collect();
        match found.len() {
            0 => Err(LookupError::NotFound {
                installed: all.into_iter().map(|c| c.id).collect(),
                reason: None,
            }),
            1 => Ok(found.remove(0)),
            _ => Err(LookupError::Ambiguous {
                candidates: found.iter().map(ComponentInfo::full_name).collect(),
            }),
        }
    }

    fn components(&self, kind: Kind) -> Vec<ComponentInfo> {
        match kind {
            Kind::Model => vec![bert()],
            Kind::Task => vec![classification()],
            Kind::Peft => vec![freeze(), lora()],
            Kind::Metric => vec![
                metric("classification-metrics", "accuracy", json!({}), "label"),
                metric("text-metrics", "bleu", json!({}), "text"),
                metric("classification-metrics", "f1", average(), "label"),
                metric("classification-metrics", "mcc", json!({}), "label"),
                metric("other-metrics", "mcc", json!({}), "label"),
            ],
            Kind::Processor => Vec::new(),
        }
    }
}

fn component(plugin: &str, id: &str, doc: &str, properties: Value, extra: Value) -> ComponentInfo {
    let schema =
        json!({ "type": "object", "properties": properties, "additionalProperties": false });
    ComponentInfo {
        plugin: plugin.into(),
        id: id.into(),
        doc: doc.into(),
        schema,
        extra,
    }
}

fn bert() -> ComponentInfo {
    let site = |role: &str, end: &str| json!({ "role": role, "path": format!("bert.encoder.layer.{{layer}}.{end}"), "kind": "linear" });
    let sites = [
        site("query", "attention.self.query"),
        site("key", "attention.self.key"),
        site("value", "attention.self.value"),
        site("attention_output", "attention.output.dense"),
    ];
    let properties = json!({
        "hidden_dropout_prob": { "type": "number", "minimum": 0.0, "exclusiveMaximum": 1.0, "description": "Dropout." },
    });
    component(
        "bert",
        "bert",
        "BERT encoders.",
        properties,
        json!({ "sites": sites }),
    )
}

fn classification() -> ComponentInfo {
    let properties = json!({
        "text": { "type": "string", "x-tenon": "column", "default": "text", "description": "Column of the text." },
        "text_pair": { "type": "string", "x-tenon": "column", "description": "Column of the second text." },
        "label": { "type": "string", "x-tenon": "column", "default": "label", "description": "Column of the label." },
        "hint": { "type": "string", "x-tenon": "template", "description": "Template of a text." },
        "labels": { "type": "array", "items": { "type": "string" }, "description": "The labels in order." },
    });
    component(
        "classification",
        "classification",
        "Labels for texts.",
        properties,
        json!({ "outputs": ["label"] }),
    )
}

fn lora() -> ComponentInfo {
    let properties = json!({
        "r": { "type": "integer", "minimum": 1, "default": 8, "description": "Rank of the update." },
        "lora_alpha": { "type": "number", "exclusiveMinimum": 0, "default": 16.0, "description": "Scaling.", "x-tenon-alias": ["alpha"] },
        "lora_dropout": { "type": "number", "minimum": 0.0, "exclusiveMaximum": 1.0, "default": 0.0, "description": "Dropout." },
        "bias": { "type": "string", "enum": ["none", "all", "lora_only"], "default": "none", "description": "Biases to train." },
        "target_sites": {
            "x-tenon": "sites",
            "anyOf": [{ "type": "string" }, { "type": "array", "items": { "type": "string" } }],
            "default": ["query", "value"],
            "description": "Where it attaches.",
        },
        "use_rslora": { "type": "boolean", "default": false, "description": "Scale by the root." },
    });
    component(
        "lora",
        "lora",
        "Low-rank adaptation.",
        properties,
        json!({}),
    )
}

fn freeze() -> ComponentInfo {
    let mut freeze = component(
        "freeze",
        "freeze",
        "Trains some parameters only.",
        json!({ "layers": { "type": "integer", "minimum": 0, "description": "Layers from the top." } }),
        json!({}),
    );
    freeze.schema["required"] = json!(["layers"]);
    freeze
}

fn average() -> Value {
    json!({
        "average": { "type": "string", "enum": ["binary", "micro", "macro", "weighted"], "default": "binary", "description": "How classes are averaged." },
    })
}

fn metric(plugin: &str, id: &str, properties: Value, input: &str) -> ComponentInfo {
    component(
        plugin,
        id,
        "A metric.",
        properties,
        json!({ "inputs": [input] }),
    )
}
