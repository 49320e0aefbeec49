//! A folder in which `tenon` is called, with an installation of its own.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// The plugins of the box, by package, each with the command that builds it.
const PLUGINS: [&str; 4] = [
    "tenon-bert",
    "tenon-classification",
    "tenon-classification-metrics",
    "tenon-lora",
];

/// A folder with `bin/tenon`, some plugins beside it, and files of the test.
pub struct Place {
    folder: TempDir,
}

/// What a call printed.
pub struct Called {
    pub stdout: String,
    pub stderr: String,
    pub code: i32,
    line: String,
}

impl Place {
    /// With the metrics, which need no libtorch to be built.
    pub fn new() -> Self {
        Self::with(&["tenon-classification-metrics"])
    }

    /// With every plugin that the tests know.
    pub fn with_all_plugins() -> Self {
        Self::with(&PLUGINS)
    }

    /// With these plugins.
    pub fn with(plugins: &[&str]) -> Self {
        // In the target folder, so that the binary can be linked instead of copied.
        let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
        let program = Path::new(env!("CARGO_BIN_EXE_tenon"));
        let beside = program.parent().expect("a folder of programs");
        let place = Self { folder };
        place.install(program);
        for plugin in plugins {
            let file = beside.join(format!(
                "{}{}{}",
                std::env::consts::DLL_PREFIX,
                plugin.replace('-', "_"),
                std::env::consts::DLL_SUFFIX
            ));
            assert!(
                file.exists(),
                "there is no {}: build it with `cargo build -p {}`",
                file.display(),
                plugins.join(" -p ")
            );
            place.install(&file);
        }
        place
    }

    fn install(&self, file: &Path) {
        let folder = self.folder.path().join("bin");
        std::fs::create_dir_all(&folder).expect("a folder");
        let name = file.file_name().expect("a name");
        std::fs::hard_link(file, folder.join(name)).expect("a link in the same file system");
    }

    pub fn file(self, name: &str, content: impl AsRef<[u8]>) -> Self {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().expect("is in the folder")).expect("a folder");
        std::fs::write(path, content).expect("a file");
        self
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Calls `tenon` with the words of `line`; quotes as in a shell, but only whole words.
    pub fn tenon(&self, line: &str) -> Called {
        self.tenon_reads(line, "")
    }

    /// The same with standard input.
    pub fn tenon_reads(&self, line: &str, input: &str) -> Called {
        self.call(&words(line), line, input)
    }

    /// Calls `tenon` with these arguments.
    pub fn tenon_with(&self, arguments: &[String]) -> Called {
        self.call(arguments, &arguments.join(" "), "")
    }

    fn call(&self, arguments: &[String], line: &str, input: &str) -> Called {
        let mut command = Command::new(self.path("bin/tenon"));
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .env_clear()
            .env("HOME", self.folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().expect("starts");
        let mut stdin = child.stdin.take().expect("a pipe");
        // A command that does not read closes the pipe, which is no fault of it.
        let _ = stdin.write_all(input.as_bytes());
        drop(stdin);
        let output = child.wait_with_output().expect("ends");
        let folder = self.folder.path().to_string_lossy().into_owned();
        let text = |bytes: Vec<u8>| {
            let text = String::from_utf8(bytes).expect("UTF-8");
            text.replace(&folder, "[folder]")
        };
        Called {
            stdout: text(output.stdout),
            stderr: text(output.stderr),
            code: output.status.code().unwrap_or(-1),
            line: line.to_owned(),
        }
    }
}

impl Called {
    /// The call as in a terminal, with the exit code where it is not 0.
    pub fn shown(&self) -> String {
        let mut text = format!("$ tenon {}\n{}{}", self.line, self.stdout, self.stderr);
        if self.code != 0 {
            text.push_str(&format!("exit code {}\n", self.code));
        }
        text
    }

    /// What it printed as JSON.
    pub fn json(&self) -> serde_json::Value {
        assert_eq!(self.code, 0, "{}", self.shown());
        serde_json::from_str(&self.stdout).expect("JSON")
    }
}

fn words(line: &str) -> Vec<String> {
    let (mut words, mut quote, mut word) = (Vec::new(), None, String::new());
    for character in line.chars() {
        match (quote, character) {
            (None, '\'') => quote = Some(character),
            (Some(_), '\'') => quote = None,
            (None, ' ') if word.is_empty() => {}
            (None, ' ') => words.push(std::mem::take(&mut word)),
            _ => word.push(character),
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}
