//! The built program and the built libraries, run in a folder of their own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tenon_plugin_api::host::Plugin;

/// What to run when something is not built.
const BUILD: &str = "cargo build --all-targets --workspace --exclude xtask";

/// How long a command may take, on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(60);

/// The folder in which cargo builds this profile: `target/debug`.
fn build_folder() -> PathBuf {
    let test = std::env::current_exe().expect("this program");
    let deps = test.parent().expect("its folder");
    deps.parent().expect("the folder above").to_owned()
}

fn library_name(package: &str) -> String {
    let (prefix, suffix) = (std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
    format!("{prefix}{}{suffix}", package.replace('-', "_"))
}

fn built(path: PathBuf) -> PathBuf {
    assert!(
        path.is_file(),
        "{} is not built; run `{BUILD}`, or `cargo xtask test`, which does",
        path.display()
    );
    path
}

/// The library of a package of `tests/plugins`: `fixture("plain")`.
pub fn fixture(name: &str) -> PathBuf {
    let name = library_name(&format!("tenon-fixture-{name}"));
    // Where cargo puts the libraries of what a package depends on.
    built(build_folder().join("deps").join(name))
}

/// The library, opened in this process by the host's side of plugin-api.
pub fn open(name: &str) -> Plugin {
    match tenon_testkit::open(&fixture(name)) {
        Ok(plugin) => plugin,
        Err(error) => panic!("{name}: {error}"),
    }
}

/// The program in a folder of its own, so that it finds no plugins but those given to it.
pub struct Program {
    folder: TempDir,
    program: PathBuf,
}

/// What a command did.
pub struct Outcome {
    /// Its exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Program {
    pub fn new() -> Self {
        // In the build folder, so that a link will do and nothing is copied.
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
        let name = format!("tenon{}", std::env::consts::EXE_SUFFIX);
        let program = folder.path().join("bin").join(&name);
        fs::create_dir(folder.path().join("bin")).expect("a folder");
        link(&built(build_folder().join(name)), &program);
        Self { folder, program }
    }

    /// The folder of this program and of its plugins.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file of the folder.
    pub fn write(&self, path: &str, contents: impl AsRef<[u8]>) -> PathBuf {
        let path = self.folder().join(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(&path, contents).expect("a file");
        path
    }

    /// Puts a built library into a folder, under the name that it has.
    pub fn install(&self, name: &str, folder: &str) -> PathBuf {
        let source = fixture(name);
        let path = self.folder().join(folder);
        fs::create_dir_all(&path).expect("a folder");
        let path = path.join(source.file_name().expect("a name"));
        link(&source, &path);
        path
    }

    /// The same with its manifest changed: `from`, which is there once, becomes `to`, which is as
    /// long.
    pub fn install_patched(&self, name: &str, folder: &str, from: &str, to: &str) -> PathBuf {
        let source = fixture(name);
        let bytes = patched(&fs::read(&source).expect("a library"), from, to);
        let file = source.file_name().expect("a name").to_string_lossy();
        self.write(&format!("{folder}/{file}"), bytes)
    }

    /// Puts the engine beside the program.
    pub fn with_engine(self) -> Self {
        let name = library_name("tenon-engine");
        let engine = built(build_folder().join("deps").join(&name));
        link(&engine, &self.folder().join("bin").join(name));
        self
    }

    /// Puts a library that users have into a folder: `install_package("tenon-bert", "plugins")`.
    pub fn install_package(&self, package: &str, folder: &str) {
        let name = library_name(package);
        let path = self.folder().join(folder);
        fs::create_dir_all(&path).expect("a folder");
        link(&built(build_folder().join(&name)), &path.join(name));
    }

    /// Runs a command in the folder.
    pub fn run(&self, arguments: &[&str]) -> Outcome {
        self.run_with(arguments, &[])
    }

    /// The same with variables.
    pub fn run_with(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Outcome {
        let mut command = Command::new(&self.program);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("TENON_") {
                command.env_remove(name);
            }
        }
        // Files, because a full pipe would make the program wait.
        let out = tempfile::NamedTempFile::new_in(self.folder()).expect("a file");
        let err = tempfile::NamedTempFile::new_in(self.folder()).expect("a file");
        let child = command
            .args(arguments)
            .current_dir(self.folder())
            .env("HOME", self.folder())
            .env_remove("XDG_DATA_HOME")
            .env_remove("APPDATA")
            .env("NO_COLOR", "1")
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(out.reopen().expect("a file"))
            .stderr(err.reopen().expect("a file"))
            .spawn();
        let code = wait(child.expect("the program runs"), arguments);
        let text =
            |file: &Path| String::from_utf8_lossy(&fs::read(file).expect("a file")).into_owned();
        Outcome {
            code,
            stdout: text(out.path()),
            stderr: text(err.path()),
        }
    }

    /// What a command wrote, without what differs from one machine and build to the next.
    pub fn shown(&self, outcome: &Outcome) -> String {
        let code = outcome
            .code
            .map_or("signal".to_owned(), |code| code.to_string());
        let Outcome { stdout, stderr, .. } = outcome;
        let text = format!("{stdout}{stderr}(exit code {code})");
        let folder = self.folder().to_string_lossy();
        let text = text.replace(&*folder, "FOLDER");
        text.replace(std::env::consts::DLL_SUFFIX, ".so")
    }
}

/// Waits for a program, but not for ever.
fn wait(mut child: Child, arguments: &[&str]) -> Option<i32> {
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        if let Some(status) = child.try_wait().expect("its status") {
            return status.code();
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    child.kill().expect("it can be ended");
    child.wait().expect("its end");
    panic!(
        "`tenon {}` did not end within {PATIENCE:?}",
        arguments.join(" ")
    )
}

/// A library with its manifest changed, which stands there once for each section that holds it.
pub fn patched(library: &[u8], from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len(), "a section cannot grow");
    let found = library
        .windows(from.len())
        .enumerate()
        .filter(|(_, window)| *window == from.as_bytes());
    let places: Vec<usize> = found.map(|(at, _)| at).collect();
    assert_eq!(places.len(), 1, "{from:?} is there {} times", places.len());
    let mut bytes = library.to_vec();
    bytes[places[0]..places[0] + to.len()].copy_from_slice(to.as_bytes());
    bytes
}

/// One file under two names where the file system can, else a copy.
fn link(from: &Path, to: &Path) {
    if fs::hard_link(from, to).is_err() {
        fs::copy(from, to).expect("a copy");
    }
}

/// Holds a text against its snapshot, without figures that differ from one build to the next.
pub fn snapshot(name: &str, text: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    for (pattern, shown) in [
        (r"\b[0-9a-f]{64}\b", "SHA256"),
        (r"\d+\.\d+ ms", "TIME"),
        (r"on line \d+", "on line N"),
        (r"\.rs:\d+:\d+\)", ".rs:N:C)"),
    ] {
        settings.add_filter(pattern, shown);
    }
    settings.bind(|| insta::assert_snapshot!(name, text));
}
