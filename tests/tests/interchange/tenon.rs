//! The real binary on run files of the small BERT, or another model: training, prediction, merging.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Map, Value, json};
use tempfile::TempDir;
use tenon_tests::{binary, repository};

/// A folder with data and run files; what the commands write goes there too.
pub struct Desk {
    folder: TempDir,
    model: &'static str,
    pretrained: &'static str,
}

/// A file of `tests/fixtures`.
pub fn fixture(name: &str) -> PathBuf {
    repository().join("tests/fixtures").join(name)
}

impl Desk {
    /// A folder with sixteen pairs of texts to train on, and `inputs` to predict for.
    pub fn new(inputs: &Value) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let desk = Self {
            folder,
            model: "bert",
            pretrained: "bert/gelu",
        };
        let texts = [
            "a fine film",
            "the plot was dull",
            "great music",
            "bad ending, but not long",
        ];
        let rows = (0..16).map(|row| {
            let (text, hypothesis) = (texts[row % 4], texts[row / 4]);
            // sorted, the class names keep their ids
            let label = if row % 4 < 2 { "no" } else { "yes" };
            json!({"text": text, "hypothesis": hypothesis, "label": label})
        });
        desk.write_lines("train.jsonl", rows);
        let inputs = inputs.as_array().expect("a list of inputs");
        desk.write_lines("inputs.jsonl", inputs.iter().cloned());
        desk
    }

    /// The same on another model: its component, and the fixture with its weights.
    pub fn on(self, model: &'static str, pretrained: &'static str) -> Self {
        Self {
            model,
            pretrained,
            ..self
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write_lines(&self, name: &str, rows: impl Iterator<Item = Value>) {
        let text: String = rows.map(|row| format!("{row}\n")).collect();
        fs::write(self.path(name), text).expect("a file");
    }

    /// Writes a run file for the model; `peft` is its table of that name.
    pub fn run_file(&self, name: &str, peft: &str) -> PathBuf {
        let (pretrained, tokenizer) = (fixture(self.pretrained), fixture("peft/tokenizer.json"));
        let (pretrained, tokenizer) = (pretrained.display(), tokenizer.display());
        let model = self.model;
        let path = self.path(&format!("{name}.toml"));
        let text = format!(
            r#"
[run]
output_dir = "runs"
device = "cpu"
threads = 1

[model]
use = "{model}"
pretrained = "{pretrained}"

[tokenizer]
path = "{tokenizer}"

[task]
use = "classification"
text_pair = "hypothesis"

[data]
train = "train.jsonl"
cache = false

[peft]
{peft}

[[metrics]]
use = "accuracy"

[train]
max_steps = 4
batch_size = 8
learning_rate = 0.02

[plugins]
allow = ["bert", "classification", "lora", "freeze", "classification-metrics"]
"#
        );
        fs::write(&path, text).expect("a run file");
        path
    }

    /// Runs `tenon`, which must succeed, and returns what it writes to standard output.
    pub fn tenon(&self, arguments: &[&dyn AsRef<OsStr>]) -> String {
        let output = self.run(arguments);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}\n{errors}", output.status);
        String::from_utf8(output.stdout).expect("UTF-8")
    }

    /// Runs `tenon`, which must fail, and returns what it writes to standard error, without the
    /// places of files.
    pub fn refused(&self, arguments: &[&dyn AsRef<OsStr>]) -> String {
        let output = self.run(arguments);
        assert_eq!(output.status.code(), Some(1));
        let errors = String::from_utf8(output.stderr).expect("UTF-8");
        let folder = self.folder.path().display().to_string();
        errors.replace(&format!("{folder}/"), "")
    }

    fn run(&self, arguments: &[&dyn AsRef<OsStr>]) -> Output {
        let mut command = Command::new(binary());
        command.current_dir(self.folder.path());
        let set = std::env::vars_os().map(|(name, _)| name);
        // they set keys of run files
        for name in set.filter(|name| name.to_string_lossy().starts_with("TENON_")) {
            command.env_remove(name);
        }
        for argument in arguments {
            command.arg(argument.as_ref());
        }
        command.output().expect("it starts")
    }

    /// A copy of `peft`'s adapter `default`, in one file of which `from` reads `to`, which is as
    /// long.
    pub fn changed_adapter(&self, name: &str, file: &str, from: &str, to: &str) -> PathBuf {
        assert_eq!(from.len(), to.len());
        let copy = self.path(name);
        fs::create_dir(&copy).expect("a folder");
        for name in ["adapter_config.json", "adapter_model.safetensors"] {
            let mut bytes = fs::read(fixture("peft/default").join(name)).expect("a fixture");
            if name.starts_with(file) {
                bytes = replaced(&bytes, from.as_bytes(), to.as_bytes());
            }
            fs::write(copy.join(name), bytes).expect("a file");
        }
        copy
    }

    /// Trains, and returns the run's folder.
    pub fn train(&self, name: &str, peft: &str) -> PathBuf {
        let file = self.run_file(name, peft);
        self.tenon(&[&"train", &file]);
        self.path("runs").join(name)
    }

    /// The probabilities of both classes for each of the inputs. `more` are arguments of
    /// `tenon predict`.
    pub fn predict(&self, more: &[&dyn AsRef<OsStr>]) -> Vec<[f64; 2]> {
        let inputs = self.path("inputs.jsonl");
        let fixed: [&dyn AsRef<OsStr>; 3] = [&"predict", &"--input", &inputs];
        let arguments = [&fixed[..1], more, &fixed[1..]].concat();
        let lines = self.tenon(&arguments);
        lines.lines().map(probabilities).collect()
    }
}

/// Those of a line that `tenon predict` writes.
fn probabilities(line: &str) -> [f64; 2] {
    let line: Value = serde_json::from_str(line).expect("JSON");
    ["no", "yes"].map(|class| {
        let of = &line["probabilities"][class];
        of.as_f64()
            .unwrap_or_else(|| panic!("no probability of {class:?} in {line}"))
    })
}

fn replaced(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut found = 0;
    while out.len() < bytes.len() {
        let rest = &bytes[out.len()..];
        match rest.starts_with(from) {
            true => {
                found += 1;
                out.extend(to);
            }
            false => out.push(rest[0]),
        }
    }
    assert!(found > 0, "nothing to replace");
    out
}

/// An `adapter_config.json`.
pub fn config(adapter: &Path) -> Map<String, Value> {
    let path = adapter.join("adapter_config.json");
    let text = fs::read_to_string(&path);
    let text = text.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).expect("JSON")
}

/// Dtype and shape of the tensors of a safetensors file, by name.
pub fn tensors(path: &Path) -> BTreeMap<String, String> {
    let (header, _) = read(path);
    let described = |info: &Value| format!("{} {}", info["dtype"], info["shape"]);
    let entries = header.iter();
    entries
        .map(|(name, info)| (name.clone(), described(info)))
        .collect()
}

/// The bytes of the tensors of a safetensors file, by name.
pub fn contents(path: &Path) -> BTreeMap<String, Vec<u8>> {
    let (header, data) = read(path);
    let bytes = |info: &Value| {
        let offset = |at: usize| info["data_offsets"][at].as_u64().expect("an offset") as usize;
        data[offset(0)..offset(1)].to_vec()
    };
    let entries = header.iter();
    entries
        .map(|(name, info)| (name.clone(), bytes(info)))
        .collect()
}

/// The entries of the header, and what follows it.
fn read(path: &Path) -> (Map<String, Value>, Vec<u8>) {
    let bytes = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let (length, rest) = bytes.split_first_chunk().expect("a header");
    let (header, data) = rest.split_at(u64::from_le_bytes(*length) as usize);
    let mut header: Map<String, Value> = serde_json::from_slice(header).expect("JSON");
    header.remove("__metadata__");
    (header, data.to_vec())
}
