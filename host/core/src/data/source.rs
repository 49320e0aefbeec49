//! Sources: which files a run file's `train = "…"` stands for.
//!
//! A source is a file, a glob, a folder, or a list of these. A folder is read as Hugging Face
//! datasets lay it out: data files at any depth, told apart by split in their own name or that of
//! a folder (`train-00000-of-00004.parquet`, `data/test.jsonl`, `validation/0000.parquet`).
//! Files are taken in the order of their paths, compared byte by byte with `/` between parts.

use std::fs;
use std::path::{Path, PathBuf};

use globset::{GlobBuilder, GlobMatcher};

use super::error::{DataError, nearest};
use super::format::{Format, FormatKind, FormatOptions};

/// A source as the run file gives it.
#[derive(Clone, Debug, Default)]
pub struct SourceSpec {
    /// Files, globs and folders, relative to `base` or absolute.
    pub paths: Vec<String>,
    /// Format; by default that of each file's extension.
    pub format: FormatOptions,
    /// The folder that relative paths start from.
    pub base: PathBuf,
}

/// The files of a source, all of one format.
#[derive(Clone, Debug)]
pub struct Source {
    /// The source as it was written, for messages.
    pub name: String,
    /// The files, in order.
    pub files: Vec<SourceFile>,
    /// Their format.
    pub format: Format,
}

/// A file of a source.
#[derive(Clone, Debug)]
pub struct SourceFile {
    /// Where it is.
    pub path: PathBuf,
    /// Whether it is compressed with gzip.
    pub gzip: bool,
    /// What messages call it: its path, or what a temporary file holds.
    pub shown: PathBuf,
}

impl Source {
    /// Finds the files of `spec`. Where a folder holds several splits, those of `split` are taken
    /// (`train`, `validation` or `test`; `dev`, `valid`, `eval`… are understood as well).
    ///
    /// # Errors
    /// [`DataError::NotFound`], [`DataError::NoFiles`] or [`DataError::Format`]: every path must
    /// give at least one file, shards must be complete, formats must agree.
    pub fn resolve(spec: &SourceSpec, split: &str) -> Result<Self, DataError> {
        let name = spec.paths.join(", ");
        let mut files: Vec<PathBuf> = Vec::new();
        for path in &spec.paths {
            for file in expand(path, &spec.base, &spec.format, split)? {
                if files.contains(&file) {
                    let problem = format!("{} is named twice", file.display());
                    return Err(DataError::NoFiles {
                        source_name: name,
                        problem,
                    });
                }
                files.push(file);
            }
        }
        let no_files = |problem: &str| DataError::NoFiles {
            source_name: name.clone(),
            problem: problem.to_owned(),
        };
        let first = files.first().ok_or_else(|| no_files("names no file"))?;
        let (format, _) = Format::resolve(first, &spec.format)?;
        let mut resolved = Vec::with_capacity(files.len());
        for file in &files {
            let (other, gzip) = Format::resolve(file, &spec.format)?;
            if other != format {
                let problem = format!(
                    "{} and {} differ in format; name files of one format",
                    first.display(),
                    file.display()
                );
                return Err(no_files(&problem));
            }
            resolved.push(SourceFile {
                path: file.clone(),
                gzip,
                shown: file.clone(),
            });
        }
        Ok(Self {
            name,
            files: resolved,
            format,
        })
    }

    /// Calls the files by other names in messages: those of what temporary files hold.
    pub fn show_as(&mut self, names: &[PathBuf]) {
        if names.is_empty() {
            return;
        }
        for (file, name) in self.files.iter_mut().zip(names) {
            file.shown.clone_from(name);
        }
        let shown = self.files.iter().map(|file| file.shown.to_string_lossy());
        self.name = shown.collect::<Vec<_>>().join(", ");
    }
}

/// The files that one path, glob or folder stands for, sorted, at least one.
fn expand(
    text: &str,
    base: &Path,
    format: &FormatOptions,
    split: &str,
) -> Result<Vec<PathBuf>, DataError> {
    let path = base.join(text);
    let no_files = |problem: String| DataError::NoFiles {
        source_name: text.to_owned(),
        problem,
    };
    match fs::metadata(&path) {
        Ok(metadata) if metadata.is_dir() => {
            let mut files = Vec::new();
            walk(&path, &mut |file| {
                if FormatKind::of(file).is_some() && !is_metadata(file) {
                    files.push(file.to_owned());
                }
            })?;
            if files.is_empty() {
                let wanted = "holds no jsonl, csv, tsv, txt or parquet file; name the files, with a `format`, if theirs have other extensions";
                return Err(no_files(wanted.to_owned()));
            }
            let files = of_split(files, &path, split).map_err(no_files)?;
            complete_shards(&files).map_err(no_files)?;
            Ok(one_format(files, format))
        }
        Ok(_) => Ok(vec![path]),
        Err(_) if text.contains(['*', '?', '[', '{']) => {
            let mut files = Vec::new();
            let matcher = glob(&path).map_err(no_files)?;
            let root = literal_root(&path);
            if root.is_dir() {
                walk(&root, &mut |file| {
                    if matcher.is_match(file) {
                        files.push(file.to_owned());
                    }
                })?;
            }
            match files.is_empty() {
                true => Err(no_files(format!(
                    "matches no file under {}",
                    root.display()
                ))),
                false => Ok(sorted(files)),
            }
        }
        Err(_) => Err(DataError::NotFound {
            hint: neighbour(&path),
            path,
        }),
    }
}

/// Files of splits are told apart only where some file says which split it is of.
fn of_split(files: Vec<PathBuf>, root: &Path, wanted: &str) -> Result<Vec<PathBuf>, String> {
    let splits: Vec<_> = files
        .iter()
        .map(|file| split_of(file.strip_prefix(root).unwrap_or(file)))
        .collect();
    if splits.iter().all(Option::is_none) {
        return Ok(sorted(files));
    }
    let canonical = canonical_split(wanted).unwrap_or(wanted);
    let found: Vec<_> = files
        .into_iter()
        .zip(&splits)
        .filter(|(_, split)| **split == Some(canonical))
        .map(|(file, _)| file)
        .collect();
    if found.is_empty() {
        let mut names: Vec<_> = splits.into_iter().flatten().collect();
        names.sort_unstable();
        names.dedup();
        return Err(format!(
            "holds no files of a {wanted} split; it has {}",
            names.join(", ")
        ));
    }
    Ok(sorted(found))
}

/// The split that a path names in its file name, else in the nearest folder.
fn split_of(path: &Path) -> Option<&'static str> {
    path.iter().rev().find_map(|part| {
        let part = part.to_str()?.to_ascii_lowercase();
        part.split(|c: char| !c.is_ascii_alphabetic())
            .find_map(canonical_split)
    })
}

fn canonical_split(word: &str) -> Option<&'static str> {
    match word {
        "train" | "training" => Some("train"),
        "validation" | "valid" | "val" | "dev" | "development" => Some("validation"),
        "test" | "testing" | "eval" | "evaluation" => Some("test"),
        _ => None,
    }
}

/// A file of a data folder that describes the data and is none.
fn is_metadata(file: &Path) -> bool {
    let name = file
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default();
    matches!(
        name,
        "dataset_info.json"
            | "dataset_infos.json"
            | "dataset_dict.json"
            | "state.json"
            | "README.txt"
            | "LICENSE.txt"
    )
}

/// With the same data in two formats side by side, as after a conversion, the one asked for.
fn one_format(files: Vec<PathBuf>, format: &FormatOptions) -> Vec<PathBuf> {
    let Some(kind) = format.kind else {
        return files;
    };
    let (matching, others): (Vec<_>, Vec<_>) = files
        .into_iter()
        .partition(|file| FormatKind::of(file).is_some_and(|(found, _)| found == kind));
    if matching.is_empty() {
        others
    } else {
        matching
    }
}

/// Shards `NAME-00002-of-00004.EXT` must all be there.
fn complete_shards(files: &[PathBuf]) -> Result<(), String> {
    let mut groups: Vec<((PathBuf, u64), Vec<u64>)> = Vec::new();
    for file in files {
        let Some((stem, number, count)) = shard_of(file) else {
            continue;
        };
        let key = (file.with_file_name(stem), count);
        match groups.iter_mut().find(|(known, _)| *known == key) {
            Some((_, numbers)) => numbers.push(number),
            None => groups.push((key, vec![number])),
        }
    }
    for ((stem, count), numbers) in groups {
        // Counting first keeps a hostile `-of-99999999999` from being enumerated.
        if (numbers.len() as u64) < count {
            let missing = (0..count)
                .find(|number| !numbers.contains(number))
                .unwrap_or(count);
            return Err(format!(
                "{} has {} of its {count} shards; the first missing is {missing:05}",
                stem.display(),
                numbers.len()
            ));
        }
    }
    Ok(())
}

fn shard_of(file: &Path) -> Option<(String, u64, u64)> {
    let name = file.file_name()?.to_str()?;
    let (head, tail) = name.rsplit_once("-of-")?;
    let (stem, number) = head.rsplit_once('-')?;
    let (digits, _) = tail.split_once(['.', '-']).unwrap_or((tail, ""));
    Some((stem.to_owned(), number.parse().ok()?, digits.parse().ok()?))
}

fn glob(path: &Path) -> Result<GlobMatcher, String> {
    let pattern = path.to_string_lossy();
    GlobBuilder::new(&pattern)
        .literal_separator(true)
        .build()
        .map(|glob| glob.compile_matcher())
        .map_err(|error| format!("not a glob: {error}"))
}

/// The folder that holds everything that a glob can match.
fn literal_root(path: &Path) -> PathBuf {
    let literal: PathBuf = path
        .iter()
        .take_while(|part| !part.to_string_lossy().contains(['*', '?', '[', '{']))
        .collect();
    if literal.as_os_str().is_empty() {
        PathBuf::from(".")
    } else {
        literal
    }
}

/// Calls `visit` with every file below `folder`; hidden files and folders are left out.
fn walk(folder: &Path, visit: &mut dyn FnMut(&Path)) -> Result<(), DataError> {
    const DEEPEST: usize = 16;
    fn descend(folder: &Path, depth: usize, visit: &mut dyn FnMut(&Path)) -> Result<(), DataError> {
        let failed = |source| DataError::io("list", folder, source);
        for entry in fs::read_dir(folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            if entry.file_name().to_string_lossy().starts_with('.') {
                continue;
            }
            let path = entry.path();
            // Follows links, as caches of the Hugging Face hub consist of them; depth ends loops.
            match fs::metadata(&path) {
                Ok(metadata) if metadata.is_dir() && depth < DEEPEST => {
                    descend(&path, depth + 1, visit)?
                }
                Ok(metadata) if metadata.is_file() => visit(&path),
                _ => {}
            }
        }
        Ok(())
    }
    descend(folder, 0, visit)
}

fn sorted(mut files: Vec<PathBuf>) -> Vec<PathBuf> {
    files.sort_by_cached_key(|file| file.to_string_lossy().replace('\\', "/").into_bytes());
    files
}

/// The entry of the nearest existing folder whose name is most like the missing one.
fn neighbour(path: &Path) -> Option<String> {
    let missing = path.file_name()?.to_str()?;
    let parent = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let names: Vec<String> = fs::read_dir(parent)
        .ok()?
        .take(10_000)
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect();
    nearest(missing, names.iter().map(String::as_str))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[&str]) -> tempfile::TempDir {
        let root = tempfile::tempdir().expect("temp dir");
        for file in files {
            let path = root.path().join(file);
            fs::create_dir_all(path.parent().expect("has a parent")).expect("mkdir");
            fs::write(path, "x").expect("write");
        }
        root
    }

    /// What `path` resolves to for `split`: file names joined with spaces, or the message.
    fn resolved(root: &Path, path: &str, split: &str) -> String {
        let spec = SourceSpec {
            paths: vec![path.to_owned()],
            base: root.to_owned(),
            ..SourceSpec::default()
        };
        match Source::resolve(&spec, split) {
            Ok(source) => {
                let names = source.files.iter().map(|file| {
                    file.path
                        .strip_prefix(root)
                        .expect("inside")
                        .to_string_lossy()
                        .replace('\\', "/")
                });
                names.collect::<Vec<_>>().join(" ")
            }
            Err(error) => error
                .to_string()
                .replace(&root.display().to_string(), "ROOT"),
        }
    }

    #[test]
    fn hugging_face_folders() {
        let shards = folder(&[
            "README.md",
            "dataset_info.json",
            "data/train-00000-of-00002.parquet",
            "data/train-00001-of-00002.parquet",
            "data/test-00000-of-00001.parquet",
            ".cache/train-x.parquet",
        ]);
        let converted = folder(&[
            "default/train/0000.parquet",
            "default/validation/0000.parquet",
        ]);
        let plain = folder(&["b.jsonl", "a.jsonl"]);
        let partial = folder(&[
            "train-00000-of-00003.parquet",
            "train-00002-of-00003.parquet",
        ]);
        let empty = folder(&["picture.png"]);
        let mixed = folder(&["a.jsonl", "b.csv"]);
        let cases = [
            (&shards, ".", "train"),
            (&shards, "data", "test"),
            (&shards, ".", "validation"),
            (&converted, ".", "dev"),
            (&plain, ".", "train"),
            (&partial, ".", "train"),
            (&empty, ".", "train"),
            (&mixed, ".", "train"),
        ];
        let found: Vec<_> = cases
            .iter()
            .map(|(root, path, split)| {
                format!(
                    "{path} {split}: {}",
                    resolved(root.path(), path, split).replace("/./", "/")
                )
            })
            .collect();
        insta::assert_snapshot!(found.join("\n"));
    }

    #[test]
    fn globs_and_missing_files() {
        let root = folder(&[
            "train-b.jsonl",
            "train-a.jsonl",
            "sub/train-c.jsonl",
            "old.csv",
            "movies.train",
        ]);
        let cases = [
            "train-*.jsonl",
            "**/*.jsonl",
            "train-{a,b}.jsonl",
            "nothing-*.jsonl",
            "train-c.jsonl",
            "[.jsonl",
            "movies.train",
        ];
        let found: Vec<_> = cases
            .iter()
            .map(|path| format!("{path}: {}", resolved(root.path(), path, "train")))
            .collect();
        insta::assert_snapshot!(found.join("\n"));
    }

    #[test]
    fn a_file_named_twice_is_an_error() {
        let root = folder(&["a.jsonl"]);
        let spec = SourceSpec {
            paths: vec!["a.jsonl".to_owned(), "*.jsonl".to_owned()],
            base: root.path().to_owned(),
            ..SourceSpec::default()
        };
        let error = Source::resolve(&spec, "train").expect_err("named twice");
        assert!(
            error.to_string().ends_with("a.jsonl is named twice"),
            "{error}"
        );
    }
}
