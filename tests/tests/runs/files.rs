//! What runs leave, read and compared.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::Value;

/// Files by their path in a folder.
pub type Files = BTreeMap<String, Vec<u8>>;

/// All files below a folder.
pub fn files(folder: &Path) -> Files {
    let mut found = Files::new();
    gather(folder, "", &mut found);
    found
}

fn gather(folder: &Path, below: &str, found: &mut Files) {
    let entries = fs::read_dir(folder);
    let entries = entries.unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    for entry in entries {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name").to_string_lossy();
        let name = format!("{below}{name}");
        match path.is_dir() {
            true => gather(&path, &format!("{name}/"), found),
            false => drop(found.insert(name, fs::read(&path).expect("a file"))),
        }
    }
}

/// Copies a folder with all below it.
pub fn copy(from: &Path, to: &Path) {
    for (name, bytes) in files(from) {
        let path = to.join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, bytes).expect("a file");
    }
}

/// What a run leaves that depends on nothing but its settings: the log, the checkpoints, the
/// result, and of the summary all but speeds. Nothing half-written lies about.
pub fn result(run: &Path) -> Files {
    let mut files = files(run);
    let hidden = |name: &&String| name.split('/').any(|part| part.starts_with('.'));
    let left: Vec<_> = files.keys().filter(hidden).collect();
    assert_eq!(left, [".lock"], "left in {}", run.display());
    files.retain(|name, _| {
        let folders = ["checkpoints/", "adapter/", "model/", "artifacts/"];
        folders.iter().any(|folder| name.starts_with(folder))
            || ["metrics.jsonl", "state.json"].contains(&name.as_str())
    });
    let mut summary = json(&run.join("summary.json"));
    leave_out_speeds(&mut summary);
    let text = serde_json::to_vec_pretty(&summary).expect("JSON");
    files.insert("summary.json".to_owned(), text);
    files
}

/// Leaves out of a summary what differs from one execution to the next, and the run's name.
fn leave_out_speeds(summary: &mut Value) {
    const FIGURES: [&str; 7] = [
        "run",
        "seconds",
        "peak_memory",
        "per_second",
        "resumed_from_step",
        "first_step",
        "last_step",
    ];
    if let Value::Object(entries) = summary {
        entries.retain(|key, _| !FIGURES.iter().any(|figure| key.contains(figure)));
        entries.values_mut().for_each(leave_out_speeds);
    }
}

/// Fails with the names of the files that differ.
pub fn assert_same(what: &str, found: &Files, expected: &Files) {
    let names = found.keys().chain(expected.keys());
    let mut differ: Vec<_> = names
        .filter(|name| found.get(*name) != expected.get(*name))
        .collect();
    differ.sort_unstable();
    differ.dedup();
    let Some(first) = differ.first() else { return };
    let text = |files: &Files| match files.get(*first) {
        Some(bytes) => String::from_utf8_lossy(bytes).chars().take(3000).collect(),
        None => "(no such file)".to_owned(),
    };
    let (found, expected) = (text(found), text(expected));
    panic!("{what}: these differ: {differ:?}\n{first}:\n{found}\nshould be:\n{expected}");
}

/// A JSON file.
pub fn json(path: &Path) -> Value {
    let text = fs::read_to_string(path);
    let text = text.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).expect("JSON")
}

/// A file of JSON lines.
pub fn lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path);
    let text = text.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let parse = |line| serde_json::from_str(line).expect("JSON");
    text.lines().map(parse).collect()
}

/// The scores of an evaluation by name, and its loss.
pub fn scores(evaluation: &Value) -> BTreeMap<String, f64> {
    let scores = evaluation["scores"].as_array().expect("scores");
    let score = |score: &Value| {
        let name = score["name"].as_str().expect("a name").to_owned();
        (name, score["value"].as_f64().expect("a value"))
    };
    let loss = evaluation["loss"].as_f64().expect("a loss");
    let mut all: BTreeMap<_, _> = scores.iter().map(score).collect();
    all.insert("loss".to_owned(), loss);
    all
}

/// The float32 tensors of a safetensors file, by name.
pub fn tensors(path: &Path) -> BTreeMap<String, Vec<f32>> {
    let bytes = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let (length, rest) = bytes.split_first_chunk().expect("a header");
    let (header, data) = rest.split_at(u64::from_le_bytes(*length) as usize);
    let header: BTreeMap<String, Value> = serde_json::from_slice(header).expect("JSON");
    let entries = header.iter().filter(|(name, _)| *name != "__metadata__");
    let values = |info: &Value| {
        assert_eq!(info["dtype"], "F32");
        let offset = |at: usize| info["data_offsets"][at].as_u64().expect("an offset") as usize;
        let (floats, _) = data[offset(0)..offset(1)].as_chunks();
        floats
            .iter()
            .map(|bytes| f32::from_le_bytes(*bytes))
            .collect()
    };
    entries
        .map(|(name, info)| (name.clone(), values(info)))
        .collect()
}
