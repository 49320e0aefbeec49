//! Reading and checking the run file that a command works on.

use std::path::{Path, PathBuf};

use tenon_core::config::{self, LoadRequest, Purpose, Resolved};
use tenon_core::data::probe;
use tenon_core::folder::RunFolder;
use tenon_core::registry::{Registry, Search};
use tenon_core::request::{RunFileText, Weights};

use super::failure::Failure;
use super::options::RunFileOptions;
use super::output::Output;

/// A checked run file, and where the plugins lie that it was checked against.
pub struct Loaded {
    /// The run file.
    pub resolved: Resolved,
    /// Where plugins were looked for.
    pub search: Search,
}

impl Loaded {
    /// The run file in the forms that a run folder keeps.
    pub fn text(&self) -> RunFileText {
        RunFileText {
            path: PathBuf::from(self.resolved.file()),
            resolved: self.resolved.to_toml(),
            with_origins: self.resolved.to_annotated_toml(),
        }
    }
}

/// Reads and checks a run file. `sets` are assignments that options of the command stand for.
pub fn load(
    file: &Path,
    options: &RunFileOptions,
    sets: &[String],
    purpose: Purpose,
    output: &Output,
) -> Result<Loaded, Failure> {
    let mut request = LoadRequest::new(file);
    request.profile.clone_from(&options.profile);
    request.sets = options.set.iter().chain(sets).cloned().collect();
    load_request(&request, options, purpose, output)
}

fn load_request(
    request: &LoadRequest,
    options: &RunFileOptions,
    purpose: Purpose,
    output: &Output,
) -> Result<Loaded, Failure> {
    let draft = config::load(request)?;
    let rules = draft.plugins();
    let search = Search::new(&options.plugins.dirs, &rules.paths);
    let registry = Registry::scan(&search, &rules);
    output.warn_of_plugins(&registry);
    let resolved = draft.check(purpose, &registry, &probe)?;
    for note in &resolved.notes {
        let path = &note.path;
        output.note(&format!("{path}: {}", note.message));
    }
    Ok(Loaded { resolved, search })
}

/// A run that a command works on, named by its run file or by its folder.
pub struct Run {
    /// Its run file, checked.
    pub loaded: Loaded,
    /// Its folder, where it was named or is there.
    pub folder: Option<PathBuf>,
}

impl Run {
    /// Whose weights to use: those of a folder that was named, or the run's own.
    pub fn weights(&self, model: Option<&Path>) -> Result<Weights, Failure> {
        if let Some(model) = model {
            return Ok(Weights::Folder(model.to_owned()));
        }
        let folder = self.folder.clone();
        folder.map(Weights::Run).ok_or_else(|| Failure::NotTrained {
            file: PathBuf::from(self.loaded.resolved.file()),
            folder: self.loaded.resolved.settings.run.folder(),
        })
    }
}

/// Reads the run that `path` names: a run file, or a folder that training made.
pub fn open(
    path: &Path,
    options: &RunFileOptions,
    sets: &[String],
    purpose: Purpose,
    output: &Output,
) -> Result<Run, Failure> {
    if path.is_dir() {
        return open_folder(path, options, sets, purpose, output);
    }
    let loaded = load(path, options, sets, purpose, output)?;
    let folder = loaded.resolved.settings.run.folder();
    let folder = RunFolder::is_run(&folder).then_some(folder);
    Ok(Run { loaded, folder })
}

fn open_folder(
    folder: &Path,
    options: &RunFileOptions,
    sets: &[String],
    purpose: Purpose,
    output: &Output,
) -> Result<Run, Failure> {
    if !RunFolder::is_run(folder) {
        return Err(Failure::NoRun {
            path: folder.to_owned(),
            problem: "this folder is none of a run: it has no run.toml".to_owned(),
        });
    }
    let mut request = LoadRequest::new(RunFolder::new(folder).run_file());
    // The profile was applied when the run began.
    request.profile.clone_from(&options.profile);
    request.env.retain(|(name, _)| name != "TENON_PROFILE");
    request.sets = options.set.iter().chain(sets).cloned().collect();
    // The folder may have been moved or renamed since.
    request.sets.extend(place(folder));
    Ok(Run {
        loaded: load_request(&request, options, purpose, output)?,
        folder: Some(folder.to_owned()),
    })
}

/// Assignments that make `folder` the run's folder.
fn place(folder: &Path) -> Vec<String> {
    let whole = match folder.file_name() {
        Some(_) => folder.to_owned(),
        // `.` and `..` have no name of their own.
        None => folder.canonicalize().unwrap_or_else(|_| folder.to_owned()),
    };
    let (Some(name), Some(parent)) = (whole.file_name(), whole.parent()) else {
        return Vec::new();
    };
    let parent = match parent.as_os_str().is_empty() {
        true => ".".into(),
        false => parent.to_string_lossy(),
    };
    let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
    vec![
        format!("run.output_dir={}", quoted(&parent)),
        format!("run.name={}", quoted(&name.to_string_lossy())),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_lives_where_its_folder_is() {
        for (folder, expected) in [
            (
                "runs/spam",
                ["run.output_dir=\"runs\"", "run.name=\"spam\""],
            ),
            ("spam/", ["run.output_dir=\".\"", "run.name=\"spam\""]),
            ("/a/b c/d", ["run.output_dir=\"/a/b c\"", "run.name=\"d\""]),
        ] {
            assert_eq!(place(Path::new(folder)), expected);
        }
    }
}
