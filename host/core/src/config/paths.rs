//! Files and folders that a run file names: are they there?

use std::path::{Path, PathBuf};

use super::keypath::KeyPath;
use super::origin::Origin;
use super::report::{Code, Fault};
use super::settings::Pretrained;
use super::suggest;
use super::tree::Located;
use super::words;

/// In front of the name of a model on the hub, where it could be taken for a path.
const HUB: &str = "hf://";

/// A path of the data section: of which key, what it says, and who says it.
pub(super) struct DataPath<'a> {
    pub split: &'static str,
    pub key: KeyPath,
    pub path: &'a str,
    pub origin: &'a Origin,
    /// `format` of the table that holds it.
    pub format: Option<&'a Located>,
}

/// Faults of the files and folders that are missing.
pub(super) fn missing(tree: &Located, root: &Path) -> Vec<Fault> {
    let mut faults = Vec::new();
    // What a pattern stands for is found when columns are looked at.
    let plain = |data: &DataPath<'_>| !is_pattern(data.path) || root.join(data.path).exists();
    for data in data_paths(tree).into_iter().filter(plain) {
        faults.extend(absent(
            root,
            &data.key,
            data.path,
            data.origin,
            "file or folder",
        ));
    }
    let tokenizer = KeyPath::default().key("tokenizer").key("path");
    if let Some(value) = tree.at(&tokenizer)
        && let Some(path) = value.str()
    {
        faults.extend(absent(
            root,
            &tokenizer,
            path,
            &value.origin,
            "file or folder",
        ));
    }
    let folders = KeyPath::default().key("plugins").key("paths");
    for (index, path, origin) in tree.at(&folders).map(Located::texts).unwrap_or_default() {
        let key = index.map_or_else(|| folders.clone(), |index| folders.index(index));
        faults.extend(absent(root, &key, path, origin, "folder"));
    }
    faults.extend(pretrained_fault(tree, root));
    faults
}

/// Whether a path is a pattern that stands for the files it matches.
pub(super) fn is_pattern(path: &str) -> bool {
    path.contains(['*', '?', '[', '{'])
}

/// The paths of `data.train`, `data.validation` and `data.test`.
pub(super) fn data_paths(tree: &Located) -> Vec<DataPath<'_>> {
    let mut found = Vec::new();
    for split in ["train", "validation", "test"] {
        let key = KeyPath::default().key("data").key(split);
        let Some(value) = tree.at(&key) else { continue };
        let (key, paths) = match value.table() {
            Some(table) => (key.key("path"), table.get("path")),
            None => (key, Some(value)),
        };
        for (index, path, origin) in paths.map(Located::texts).unwrap_or_default() {
            let key = index.map_or_else(|| key.clone(), |index| key.index(index));
            found.push(DataPath {
                split,
                key,
                path,
                origin,
                format: value.get("format"),
            });
        }
    }
    found
}

fn absent(root: &Path, key: &KeyPath, path: &str, origin: &Origin, noun: &str) -> Option<Fault> {
    let path = Path::new(path);
    if root.join(path).exists() {
        return None;
    }
    let message = format!(
        "no such {noun} {}",
        words::text_shown(&path.to_string_lossy())
    );
    let fault =
        Fault::new(Code::MissingFile, key, origin.clone(), message).suggest(sibling(root, path));
    Some(match missing_part(root, path) {
        Some(part) => fault.note(format!(
            "{} does not exist",
            words::text_shown(&part.to_string_lossy())
        )),
        None => fault,
    })
}

/// The first folder on the way that does not exist.
fn missing_part(root: &Path, path: &Path) -> Option<PathBuf> {
    let parents = path
        .ancestors()
        .skip(1)
        .filter(|parent| !parent.as_os_str().is_empty());
    parents
        .filter(|parent| !root.join(parent).exists())
        .last()
        .map(Path::to_path_buf)
}

/// A path like this one, that exists: the part that is missing spelt a little differently.
pub(super) fn sibling(root: &Path, path: &Path) -> Option<String> {
    if root.join(path).exists() {
        return None;
    }
    let missing = missing_part(root, path).unwrap_or_else(|| path.to_path_buf());
    let name = missing.file_name()?.to_str()?;
    let folder = missing.parent().unwrap_or(Path::new(""));
    let real = root.join(folder);
    let real = if real.as_os_str().is_empty() {
        Path::new(".")
    } else {
        &real
    };
    let mut names: Vec<String> = std::fs::read_dir(real)
        .ok()?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect();
    names.sort_unstable();
    let meant = suggest::closest(name, names.iter().map(String::as_str))?;
    let rest = path.strip_prefix(&missing).unwrap_or(Path::new(""));
    let whole = folder.join(meant).join(rest);
    let whole = if rest.as_os_str().is_empty() {
        folder.join(meant)
    } else {
        whole
    };
    root.join(&whole)
        .exists()
        .then(|| whole.to_string_lossy().replace('\\', "/"))
}

/// Where `model.pretrained` leads: to a folder, or to a model on the hub.
///
/// A text is a path if it exists, if it starts like one, if its first part is a folder here, or
/// if it cannot be `owner/name`.
pub(super) fn pretrained(text: &str, revision: Option<&str>, root: &Path) -> Pretrained {
    let hub = |name: &str| Pretrained::Hub {
        name: name.to_owned(),
        revision: revision.map(str::to_owned),
    };
    if let Some(name) = text.strip_prefix(HUB) {
        return hub(name);
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let parts: Vec<&str> = text.split('/').collect();
    let is_name = parts.len() <= 2
        && parts
            .iter()
            .all(|part| !part.is_empty() && part.chars().all(allowed));
    let first_is_folder = parts.len() == 2 && root.join(parts[0]).is_dir();
    if !is_name || text.starts_with('.') || first_is_folder || root.join(text).exists() {
        return Pretrained::Folder(PathBuf::from(text));
    }
    hub(text)
}

fn pretrained_fault(tree: &Located, root: &Path) -> Option<Fault> {
    let key = KeyPath::default().key("model").key("pretrained");
    let value = tree.at(&key)?;
    let Pretrained::Folder(folder) = pretrained(value.str()?, None, root) else {
        return None;
    };
    let shown = words::text_shown(&folder.to_string_lossy());
    let real = root.join(&folder);
    let problem = if !real.exists() {
        return absent(root, &key, value.str()?, &value.origin, "folder");
    } else if !real.is_dir() {
        "is not a folder"
    } else if !real.join("config.json").exists() {
        "has no config.json; expected a model folder in Hugging Face layout"
    } else {
        return None;
    };
    Some(Fault::new(
        Code::MissingFile,
        key,
        value.origin.clone(),
        format!("{shown} {problem}"),
    ))
}
