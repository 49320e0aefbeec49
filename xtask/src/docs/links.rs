//! Links from one document to another, or to a file of the repository: each leads somewhere.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};

/// The documents whose links are followed, besides every page of `docs/`.
const DOCUMENTS: [&str; 3] = ["README.md", "CHANGELOG.md", "plugin-api/CHANGELOG.md"];

/// Follows the links of all documents in the repository; tells how many.
///
/// # Errors
/// Links that lead nowhere, all of them.
pub fn check(repository: &Path) -> Result<usize> {
    let mut documents: Vec<String> = DOCUMENTS.map(str::to_owned).to_vec();
    for entry in fs::read_dir(repository.join("docs")).context("reading docs/")? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name.ends_with(".md") {
            documents.push(format!("docs/{name}"));
        }
    }
    documents.sort();
    let (mut seen, mut lost) = (0, Vec::new());
    for document in &documents {
        let path = repository.join(document);
        let text = fs::read_to_string(&path).with_context(|| format!("reading {document}"))?;
        for target in targets(&text) {
            seen += 1;
            let folder = path.parent().unwrap_or(repository);
            if !leads_somewhere(target, folder, &text) {
                lost.push(format!("{document}: {target}"));
            }
        }
    }
    ensure!(
        lost.is_empty(),
        "{} links lead nowhere\n  {}",
        lost.len(),
        lost.join("\n  ")
    );
    ensure!(seen > 10, "only {seen} links were found");
    Ok(seen)
}

/// What the links of a page name, but for other sites. Code has none.
fn targets(text: &str) -> Vec<&str> {
    let mut code = false;
    let mut found = Vec::new();
    for line in text.lines() {
        if line.starts_with("```") {
            code = !code;
        }
        if code {
            continue;
        }
        for rest in line.split("](").skip(1) {
            let target = rest.split(')').next().unwrap_or_default();
            if !target.contains("://") {
                found.push(target);
            }
        }
    }
    found
}

/// Whether `target`, in a page of `folder` that says `own`, is there.
fn leads_somewhere(target: &str, folder: &Path, own: &str) -> bool {
    let (path, anchor) = match target.split_once('#') {
        Some((path, anchor)) => (path, Some(anchor)),
        None => (target, None),
    };
    let file = folder.join(path);
    let Some(anchor) = anchor else {
        return file.exists();
    };
    let has = |text: &str| {
        text.lines()
            .any(|line| slug(line).as_deref() == Some(anchor))
    };
    match path.is_empty() {
        true => has(own),
        false => fs::read_to_string(file).is_ok_and(|text| has(&text)),
    }
}

/// The anchor that a heading gets.
fn slug(line: &str) -> Option<String> {
    let heading = line.strip_prefix('#')?.trim_start_matches('#').trim();
    let kept = heading.to_lowercase().replace(' ', "-");
    let kept = kept
        .chars()
        .filter(|c| c.is_alphanumeric() || "-_".contains(*c));
    Some(kept.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_of_prose_are_found() {
        let text = "[a](b.md) and [c](#d), [e](https://f)\n```rust\n[g](h)\n```\n[i](../j#k)\n";
        assert_eq!(targets(text), ["b.md", "#d", "../j#k"]);
    }

    #[test]
    fn anchors_are_those_of_headings() {
        let page = "# A page\n\n## `plugins.allow`, and `[run]`\n";
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        for (target, expected) in [
            ("#a-page", true),
            ("#pluginsallow-and-run", true),
            ("#other", false),
            ("Cargo.toml", true),
            ("../README.md#tenon", true),
            ("../README.md#nothing", false),
            ("nothing.md", false),
        ] {
            assert_eq!(leads_somewhere(target, here, page), expected, "{target}");
        }
    }

    #[test]
    fn no_link_of_the_documents_is_dead() {
        let repository = crate::cargo::repository();
        let followed = check(&repository).unwrap_or_else(|error| panic!("{error:#}"));
        assert!(followed > 10);
    }
}
