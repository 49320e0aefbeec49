//! Plugins that cannot be used are refused with a reason, and every other one works.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use super::program::{Program, snapshot};

fn inspect(program: &Program, name: &str) -> String {
    let arguments = [
        "plugin",
        "inspect",
        name,
        "--open",
        "--plugin-dir",
        "plugins",
    ];
    let outcome = program.run(&arguments);
    assert_eq!(outcome.code, Some(4), "{}", program.shown(&outcome));
    program.shown(&outcome)
}

fn works(program: &Program, name: &str) {
    let arguments = [
        "plugin",
        "inspect",
        name,
        "--open",
        "--plugin-dir",
        "plugins",
    ];
    let outcome = program.run(&arguments);
    assert_eq!(outcome.code, Some(0), "{}", program.shown(&outcome));
    assert!(outcome.stdout.contains("opened in"), "{}", outcome.stdout);
}

#[test]
fn unusable_plugins_leave_the_others_alone() {
    let program = Program::new();
    program.install("plain", "plugins");
    program.install("overrides", "plugins");
    program.install("next", "plugins");
    program.install_patched(
        "faults",
        "plugins",
        r#""torch":"2.11.0""#,
        r#""torch":"2.10.0""#,
    );
    let abort = std::fs::read(panic_abort()).expect("a library");
    program.write("plugins/libtenon_fixture_abort.so", abort);
    program.write("plugins/libtenon_fixture_text.so", "no library\n");

    let list = program.run(&["plugin", "list", "--plugin-dir", "plugins"]);
    assert_eq!(list.code, Some(0));
    snapshot("unusable_plugins_listed", &program.shown(&list));
    let refused = ["next", "faults", "abort", "text"];
    let lines = refused.map(|name| inspect(&program, &format!("fixture-{name}")));
    snapshot("unusable_plugins_opened", &lines.join("\n"));
    works(&program, "fixture-plain");
    works(&program, "fixture-overrides");

    let list = program.run(&["plugin", "list", "--plugin-dir", "plugins", "--json"]);
    let list: serde_json::Value = serde_json::from_str(&list.stdout).expect("JSON");
    let plugins = list["plugins"].as_array().expect("a list").iter();
    let codes = plugins.map(|plugin| format!("{} {}", plugin["name"], plugin["problem"]["code"]));
    let codes: Vec<_> = codes.collect();
    snapshot("unusable_plugins_as_json", &codes.join("\n"));
}

/// The plain plugin built with `panic = "abort"`, in a workspace of its own: profiles are the
/// workspace's, so no member of ours can be.
fn panic_abort() -> PathBuf {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let repository = repository.canonicalize().expect("the repository");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("panic-abort");
    std::fs::create_dir_all(&folder).expect("a folder");
    let root = toml_text(&repository.display().to_string());
    let manifest = format!(
        "[workspace]\n\n[package]\nname = \"tenon-fixture-abort\"\nversion = \"0.1.0\"\n\
         edition = \"2024\"\n\n[lib]\npath = {root}tests/plugins/plain/src/lib.rs\"\n\
         crate-type = [\"cdylib\"]\n\n[dependencies]\ntracing = \"0.1\"\n\
         tenon-plugin-api = {{ path = {root}plugin-api\" }}\n\n\
         [profile.dev]\npanic = \"abort\"\nopt-level = 0\ndebug = false\n"
    );
    std::fs::write(folder.join("Cargo.toml"), manifest).expect("a manifest");
    // The versions of ours, which are all there already.
    std::fs::copy(repository.join("Cargo.lock"), folder.join("Cargo.lock")).expect("a lock file");
    let target = folder.join("target");
    let mut cargo = Command::new(env!("CARGO"));
    cargo
        .args(["build", "--offline", "--quiet", "--target-dir"])
        .arg(&target)
        .current_dir(&folder);
    let output = cargo.output().expect("cargo runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{cargo:?}\n{errors}");
    let (prefix, suffix) = (std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
    target
        .join("debug")
        .join(format!("{prefix}tenon_fixture_abort{suffix}"))
}

/// The start of a string in TOML with a folder's path in it.
fn toml_text(folder: &str) -> String {
    format!("\"{}/", folder.replace('\\', "/"))
}

#[test]
fn an_initialiser_that_hangs_is_given_up() {
    let program = Program::new();
    program.install("hangs", "plugins");
    program.install("plain", "plugins");
    // Several at once: that the program does not hang with it must not be a matter of luck.
    let runs = || {
        let arguments = [
            "plugin",
            "inspect",
            "fixture-hangs",
            "--open",
            "--plugin-dir",
            "plugins",
        ];
        let start = Instant::now();
        let outcome = program.run_with(&arguments, &[("TENON_PLUGIN_TIMEOUT", "1")]);
        assert!(start.elapsed() >= Duration::from_secs(1));
        program.shown(&outcome)
    };
    let shown: Vec<String> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(runs)).collect();
        let ends = threads.into_iter().map(|thread| thread.join());
        ends.map(|end| end.expect("it ended")).collect()
    });
    assert!(shown.iter().all(|one| *one == shown[0]), "{shown:?}");
    snapshot("an_initialiser_that_hangs", &shown[0]);
    works(&program, "fixture-plain");
    // Nothing of it runs when it is only listed.
    let list = program.run(&["plugin", "list", "--plugin-dir", "plugins"]);
    assert_eq!(list.code, Some(0));
    assert!(list.stdout.contains("fixture-hangs"), "{}", list.stdout);
}

#[test]
fn two_files_of_one_name_are_told_apart() {
    let program = Program::new();
    program.install("plain", "a");
    // The same file again is no other plugin.
    program.install("plain", "b");
    let places = [
        "--plugin-dir",
        "a",
        "--plugin-dir",
        "b",
        "--plugin-dir",
        "c",
    ];
    let list = [&["plugin", "list"][..], &places].concat();
    let same = program.run(&list);
    let version = [r#""version":"0.1.0""#, r#""version":"0.2.0""#];
    program.install_patched("plain", "c", version[0], version[1]);
    let two = program.run(&list);
    let inspect = ["plugin", "inspect", "fixture-plain", "--open"];
    let opened = program.run(&[&inspect[..], &places].concat());
    let shown = [same, two, opened].map(|outcome| program.shown(&outcome));
    snapshot("duplicates", &shown.join("\n\n"));
}

/// A run file of the components that have faults, which it asks for none of.
const RUN: &str = r#"
[run]
name = "x"

[model]
use = "faulty-model"

[task]
use = "faulty-task"

[peft]
use = "faulty-peft"

[data]
train = "train.jsonl"

[[metrics]]
use = "hits"
"#;

#[test]
fn a_plugin_that_the_run_names_must_be_there() {
    let program = Program::new();
    program.write("train.jsonl", "{\"text\": \"a\", \"label\": \"b\"}\n");
    program.write("run.toml", RUN);
    let check = ["check", "run.toml", "--quiet", "--plugin-dir", "plugins"];
    program.install("faults", "plugins");
    program.write("plugins/libtenon_unrelated.so", "no library\n");
    let mut shown = Vec::new();
    let mut show = |what: &str, program: &Program, arguments: &[&str]| {
        let outcome = program.run(arguments);
        shown.push(format!("{what}:\n{}", program.shown(&outcome)));
    };

    show("the metric's plugin is missing", &program, &check);
    program.write("plugins/libtenon_fixture_plain.so", "no library\n");
    program.write("run.toml", RUN.replace("hits", "fixture-plain::hits"));
    show("it is broken, and named in full", &program, &check);
    std::fs::remove_file(program.folder().join("plugins/libtenon_fixture_plain.so"))
        .expect("a file");
    program.install("plain", "plugins");
    show(
        "only a plugin that the run does not name is broken",
        &program,
        &check,
    );
    let paths = [&check[..], &["--set", r#"plugins.paths=["absent"]"#]].concat();
    show("a folder of the run file is missing", &program, &paths);
    snapshot("missing_plugins", &shown.join("\n\n"));
}
