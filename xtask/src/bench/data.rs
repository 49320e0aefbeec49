//! SST-2 for both sides: the peer reads the files as they are, tenon the same lines as jsonl.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::json;

/// Files of the set, and what becomes of them.
pub const FILES: [(&str, &str); 2] = [
    ("stsa.binary.train", "train.jsonl"),
    ("stsa.binary.dev", "validation.jsonl"),
];

/// Writes the set that lies in `named` as jsonl into `folder`.
///
/// # Errors
/// No folder is named, a file is missing, or a line is none of the set.
pub fn prepare(named: Option<&Path>, folder: &Path) -> Result<()> {
    let named = self::named(named)?;
    fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
    for (from, to) in FILES {
        let path = named.join(from);
        let text = fs::read_to_string(&path).with_context(|| {
            format!(
                "reading {}: --data names the folder of SST-2, with {} and {} in it",
                path.display(),
                FILES[0].0,
                FILES[1].0
            )
        })?;
        let lines = jsonl(&text).with_context(|| path.display().to_string())?;
        let path = folder.join(to);
        fs::write(&path, lines).with_context(|| format!("writing {}", path.display()))?;
    }
    Ok(())
}

/// The folder of `--data`.
///
/// # Errors
/// None was named.
pub fn named(named: Option<&Path>) -> Result<PathBuf> {
    let named = named.context(
        "--data is missing: the folder of SST-2 as the files stsa.binary.train and \
         stsa.binary.dev, which may not be passed on and so are not in the repository; \
         `--only commands` needs none",
    )?;
    std::path::absolute(named).with_context(|| format!("resolving {}", named.display()))
}

/// Lines of `label text` as objects with both.
fn jsonl(text: &str) -> Result<String> {
    let mut lines = String::new();
    for (number, line) in text.lines().enumerate() {
        match line.split_once(' ') {
            Some((label @ ("0" | "1"), text)) => {
                lines += &format!("{}\n", json!({"label": label, "text": text}));
            }
            _ => bail!(
                "line {}: expected `0 text` or `1 text`, found {line:?}",
                number + 1
            ),
        }
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_become_objects() {
        let found = jsonl("1 a \"fine\" film\n0 dull .\n").expect("two lines");
        let expected = "{\"label\":\"1\",\"text\":\"a \\\"fine\\\" film\"}\n\
                        {\"label\":\"0\",\"text\":\"dull .\"}\n";
        assert_eq!(found, expected);
        let error = jsonl("1 good\n3 very good\n").expect_err("SST-5");
        assert_eq!(
            error.to_string(),
            "line 2: expected `0 text` or `1 text`, found \"3 very good\""
        );
    }

    #[test]
    fn what_is_missing_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let error = prepare(None, folder.path()).expect_err("no folder named");
        assert!(
            error.to_string().starts_with("--data is missing"),
            "{error}"
        );
        let error = prepare(Some(folder.path()), folder.path()).expect_err("an empty folder");
        assert!(error.to_string().contains("stsa.binary.train"), "{error}");
    }
}
