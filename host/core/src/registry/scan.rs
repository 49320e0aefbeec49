//! Looking through the places where plugins may lie.

use std::collections::{BTreeMap, HashSet};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::Registry;
use super::entry::Entry;
use super::file;
use super::open::engine_name;
use super::problem::Problem;
use super::search::{Place, PlaceOrigin, Search};
use crate::config::PluginSettings;

/// Files of a folder that are looked at; more are no plugins' folder.
const MOST_FILES: usize = 10_000;

impl Registry {
    /// Reads the manifest of every plugin in the given places; opens none.
    ///
    /// Of `rules`, the allow-list and the choices apply; its folders are among the places already.
    /// Nothing makes a scan fail: what is wrong with a file stays with its entry.
    #[must_use]
    pub fn scan(search: &Search, rules: &PluginSettings) -> Self {
        let mut seen = HashSet::new();
        let mut entries: Vec<Entry> = Vec::new();
        for place in &search.places {
            for (path, is_named) in files(place, &mut entries) {
                // A file may be reached in several ways; a circle of links by none.
                let real = path.canonicalize().unwrap_or_else(|_| path.clone());
                if seen.insert(real) {
                    entries.extend(look_at(&path, place.origin, is_named));
                }
            }
        }
        if let Some(allowed) = &rules.allow {
            entries.iter_mut().for_each(|entry| entry.judge(allowed));
        }
        drop_copies(&mut entries);
        choose(&mut entries, &rules.prefer);
        Self {
            entries,
            prefer: rules.prefer.clone(),
        }
    }
}

/// The files of a place that may be libraries, and whether the user named the file itself.
fn files(place: &Place, entries: &mut Vec<Entry>) -> Vec<(PathBuf, bool)> {
    let Place { path, origin } = place;
    let mut fail = |problem| {
        // A folder that nobody named need not be there.
        if origin.is_named() {
            entries.push(Entry::broken(path, *origin, problem));
        }
        Vec::new()
    };
    let metadata = match std::fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return fail(Problem::Missing {
                by: origin.to_string(),
            });
        }
        Err(error) => {
            return fail(Problem::Unreadable {
                reason: file::plain(&error),
            });
        }
    };
    if !metadata.is_dir() {
        return vec![(path.clone(), true)];
    }
    let listing = match std::fs::read_dir(path) {
        Ok(listing) => listing,
        Err(error) => {
            return fail(Problem::Unreadable {
                reason: file::plain(&error),
            });
        }
    };
    let engine = engine_name();
    let is_candidate = |name: &OsStr| file::looks_like_library(name) && name != OsStr::new(&engine);
    let mut names: Vec<_> = listing
        .take(MOST_FILES)
        .filter_map(|entry| Some(entry.ok()?.file_name()))
        .filter(|name| is_candidate(name))
        .collect();
    names.sort();
    let paths = names.into_iter().map(|name| (path.join(name), false));
    paths.collect()
}

/// What a file brings: nothing when it is an ordinary library that the user did not name.
fn look_at(path: &Path, origin: PlaceOrigin, is_named: bool) -> Vec<Entry> {
    let contents = match file::read(path) {
        Ok(contents) => contents,
        Err(Problem::NoManifest) if !is_named => return Vec::new(),
        Err(problem) => return vec![Entry::broken(path, origin, problem)],
    };
    let stamp = Some(contents.stamp);
    let entry = |manifest| match manifest {
        Ok(manifest) => Entry::found(path, origin, stamp, manifest),
        Err(problem) => Entry::broken(path, origin, problem),
    };
    contents.manifests.into_iter().map(entry).collect()
}

/// Drops the copies of a plugin that are the same byte for byte; the first stays.
fn drop_copies(entries: &mut Vec<Entry>) {
    let mut copies = HashSet::new();
    for (index, entry) in entries.iter().enumerate() {
        let same = |other: &Entry| {
            other.manifest == entry.manifest
                && (other.path == entry.path
                    || other.size() == entry.size() && other.sha256().ok() == entry.sha256().ok())
        };
        if entry.manifest.is_some() && entries[..index].iter().any(same) {
            copies.insert(index);
        }
    }
    let mut index = 0;
    entries.retain(|_| {
        index += 1;
        !copies.contains(&(index - 1))
    });
}

/// Settles which of several usable plugins of one name is meant, where the run file says so.
fn choose(entries: &mut [Entry], prefer: &BTreeMap<String, String>) {
    let usable = |entry: &Entry| entry.manifest.is_some() && entry.problem.is_none();
    let mut problems = Vec::new();
    for (index, entry) in entries
        .iter()
        .enumerate()
        .filter(|(_, entry)| usable(entry))
    {
        let name = entry.name();
        let mut others = entries
            .iter()
            .enumerate()
            .filter(|(other, found)| *other != index && usable(found) && found.name() == name);
        let Some((_, other)) = others.next() else {
            continue;
        };
        let chosen = prefer.get(name).filter(|choice| !choice.contains("::"));
        let is = |entry: &Entry| {
            let choice = chosen.map(|choice| Path::new(choice).canonicalize().ok());
            choice
                .flatten()
                .is_some_and(|choice| Some(choice) == entry.path.canonicalize().ok())
        };
        if is(entry) {
            continue;
        }
        let rival = entries
            .iter()
            .find(|found| usable(found) && found.name() == name && is(found));
        problems.push((
            index,
            Problem::DuplicateOf {
                path: rival.unwrap_or(other).path.clone(),
                chosen: rival.is_some(),
            },
        ));
    }
    for (index, problem) in problems {
        entries[index].problem = Some(problem);
    }
}
