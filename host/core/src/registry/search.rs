//! Where plugins are looked for, in order.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// Folders to search, separated as in `PATH`.
pub const PATH_VARIABLE: &str = "TENON_PLUGIN_PATH";

/// The places where plugins are looked for, first to last.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Search {
    /// The places.
    pub places: Vec<Place>,
}

/// A folder that may hold plugins, or a plugin's own file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The folder or file.
    pub path: PathBuf,
    /// Who named it.
    pub origin: PlaceOrigin,
}

/// Who named a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PlaceOrigin {
    /// `--plugin-dir`.
    Flag,
    /// `[plugins] paths` of the run file.
    RunFile,
    /// The variable `TENON_PLUGIN_PATH`.
    Variable,
    /// The program: its own folder, or that of its installation.
    Program,
    /// The user's data folder.
    User,
    /// None: the plugin is part of the program.
    Linked,
}

impl PlaceOrigin {
    /// Whether the user named the place, so that its absence is worth a word.
    #[must_use]
    pub const fn is_named(self) -> bool {
        matches!(self, Self::Flag | Self::RunFile | Self::Variable)
    }
}

impl fmt::Display for PlaceOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Flag => "--plugin-dir",
            Self::RunFile => "[plugins] paths",
            Self::Variable => PATH_VARIABLE,
            Self::Program => "beside the program",
            Self::User => "the user's folder",
            Self::Linked => "part of the program",
        })
    }
}

/// What the places depend on besides flags and run file.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// The running program.
    pub program: Option<PathBuf>,
    /// Folders of [`PATH_VARIABLE`].
    pub variable: Vec<PathBuf>,
    /// The user's folder for data of programs.
    pub user_data: Option<PathBuf>,
}

impl Surroundings {
    /// Those of this process.
    #[must_use]
    pub fn of_process() -> Self {
        let variable = std::env::var_os(PATH_VARIABLE).unwrap_or_default();
        let variable = std::env::split_paths(&variable).filter(|path| !path.as_os_str().is_empty());
        Self {
            program: std::env::current_exe().ok(),
            variable: variable.collect(),
            user_data: user_data(),
        }
    }
}

impl Search {
    /// The places of this process, with the folders of `--plugin-dir` and of `[plugins] paths`.
    #[must_use]
    pub fn new(flags: &[PathBuf], run_file: &[PathBuf]) -> Self {
        Self::with(flags, run_file, &Surroundings::of_process())
    }

    /// The places in given surroundings.
    #[must_use]
    pub fn with(flags: &[PathBuf], run_file: &[PathBuf], around: &Surroundings) -> Self {
        let program = around.program.as_deref().map(program_places);
        let user = around.user_data.as_deref();
        let user = user.map(|data| data.join("tenon").join("plugins"));
        let groups = [
            (flags.to_vec(), PlaceOrigin::Flag),
            (run_file.to_vec(), PlaceOrigin::RunFile),
            (around.variable.clone(), PlaceOrigin::Variable),
            (program.unwrap_or_default(), PlaceOrigin::Program),
            (user.into_iter().collect(), PlaceOrigin::User),
        ];
        let place = |origin| move |path| Place { path, origin };
        let places = groups
            .into_iter()
            .flat_map(|(paths, origin)| paths.into_iter().map(place(origin)));
        Self {
            places: places.collect(),
        }
    }
}

/// Beside the program; in `plugins/` there; in `lib/tenon/plugins` of its installation. Cargo puts
/// the tests' programs one folder below the libraries that it builds.
fn program_places(program: &Path) -> Vec<PathBuf> {
    let Some(mut folder) = program.parent() else {
        return Vec::new();
    };
    if folder.file_name().is_some_and(|name| name == "deps") {
        folder = folder.parent().unwrap_or(folder);
    }
    let mut places = vec![folder.to_owned(), folder.join("plugins")];
    if let Some(prefix) = folder.parent() {
        places.push(prefix.join("lib").join("tenon").join("plugins"));
    }
    places
}

/// The folder in which programs keep the user's data, by the platform's convention.
fn user_data() -> Option<PathBuf> {
    let variable = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let absolute = |name: &str| variable(name).filter(|path| path.is_absolute());
    if cfg!(windows) {
        return absolute("APPDATA");
    }
    let home = absolute("HOME");
    if cfg!(target_vendor = "apple") {
        return home.map(|home| home.join("Library").join("Application Support"));
    }
    absolute("XDG_DATA_HOME").or_else(|| home.map(|home| home.join(".local").join("share")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_come_in_the_documented_order() {
        let around = Surroundings {
            program: Some("/opt/tenon/bin/tenon".into()),
            variable: vec!["/a".into(), "/b".into()],
            user_data: Some("/home/u/.local/share".into()),
        };
        let search = Search::with(&["flag".into()], &["run".into()], &around);
        let lines: Vec<_> = search
            .places
            .iter()
            .map(|place| format!("{} ({})", place.path.display(), place.origin))
            .collect();
        insta::assert_snapshot!(lines.join("\n"), @"
        flag (--plugin-dir)
        run ([plugins] paths)
        /a (TENON_PLUGIN_PATH)
        /b (TENON_PLUGIN_PATH)
        /opt/tenon/bin (beside the program)
        /opt/tenon/bin/plugins (beside the program)
        /opt/tenon/lib/tenon/plugins (beside the program)
        /home/u/.local/share/tenon/plugins (the user's folder)
        ");
    }

    #[test]
    fn programs_of_tests_search_where_cargo_puts_libraries() {
        let places = program_places(Path::new("/w/target/debug/deps/suite-0123"));
        assert_eq!(places[0], Path::new("/w/target/debug"));
    }
}
