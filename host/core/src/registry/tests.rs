//! Scanning folders of real and broken libraries. The libraries are made here, byte by byte, so
//! that nothing needs to be built; opening real ones is tested with the whole program.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::{Entry, Place, PlaceOrigin, Registry, Search};
use crate::config::{AllowedPlugin, Catalog, Kind, LookupError, PluginSettings};

const X86_64: u16 = 62;
const AARCH64: u16 = 183;

/// A 64-bit little-endian shared library with one section of a given name.
fn library(machine: u16, section: &str, contents: &[u8]) -> Vec<u8> {
    let names = format!("\0{section}\0.shstrtab\0");
    let names_at = 64 + contents.len();
    let headers_at = names_at + names.len();
    let mut out = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    let halves = |out: &mut Vec<u8>, values: &[u16]| {
        values
            .iter()
            .for_each(|value| out.extend(value.to_le_bytes()));
    };
    halves(&mut out, &[3, machine, 1, 0]);
    for value in [0_u64, 0, headers_at as u64] {
        out.extend(value.to_le_bytes());
    }
    halves(&mut out, &[0, 0, 64, 56, 0, 64, 3, 2]);
    out.extend(contents);
    out.extend(names.as_bytes());
    let kinds = [
        (0, 0, 0, 0),
        (1, 1, 64, contents.len()),
        (2 + section.len() as u32, 3, names_at, names.len()),
    ];
    for (name, kind, at, size) in kinds {
        out.extend(name.to_le_bytes());
        out.extend(u32::to_le_bytes(kind));
        for value in [0, 0, at as u64, size as u64, 0, 1, 0] {
            out.extend(value.to_le_bytes());
        }
    }
    out
}

/// A manifest; `more` replaces or adds keys.
fn manifest(package: &str, components: &[(&str, &str)], more: &str) -> String {
    let components: Vec<_> = components
        .iter()
        .map(|(kind, id)| format!(r#"{{"kind":"{kind}","id":"{id}","about":"","schema":{{}}}}"#))
        .collect();
    let mut manifest = serde_json::json!({
        "package": package, "version": "1.0.0", "api": "0.1.0", "panic": "unwind",
        "symbol": "tenon_plugin_x",
    });
    let text = format!(r#"{{"components":[{}],{more}"n":0}}"#, components.join(","));
    let more: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    for (key, value) in more.as_object().expect("a table") {
        manifest[key] = value.clone();
    }
    format!("{manifest}\n")
}

/// A folder of files, scanned.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.path().join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(&path, bytes).expect("a file");
        path
    }

    fn plugin(&self, name: &str, manifest: &str) -> PathBuf {
        self.write(name, &library(X86_64, ".tenon", manifest.as_bytes()))
    }

    fn scan(&self, rules: &PluginSettings) -> Registry {
        self.scan_places(&["."], rules)
    }

    fn scan_places(&self, places: &[&str], rules: &PluginSettings) -> Registry {
        let place = |path: &&str| Place {
            path: match *path {
                "." => self.0.path().to_owned(),
                path => self.0.path().join(path),
            },
            origin: PlaceOrigin::Flag,
        };
        let places = places.iter().map(place).collect();
        Registry::scan(&Search { places }, rules)
    }

    /// One line an entry, without the folder's own path and hashes.
    fn listing(&self, registry: &Registry) -> String {
        let line = |entry: &Entry| match entry.error() {
            Some(error) => error.to_string(),
            None => format!("plugin {} ({}): ok", entry.name(), entry.path().display()),
        };
        let lines: Vec<_> = registry.entries().iter().map(line).collect();
        self.filtered(&lines.join("\n"))
    }

    fn filtered(&self, text: &str) -> String {
        let root = self.0.path().to_string_lossy().into_owned();
        let text = text.replace(&root, "FOLDER");
        let hash = regex::Regex::new("[0-9a-f]{64}").expect("a pattern");
        hash.replace_all(&text, "HASH").into_owned()
    }
}

#[test]
fn what_is_wrong_with_a_file_is_said() {
    let folder = Folder::new();
    let metric = [("metric", "m")];
    folder.plugin("liba.so", &manifest("tenon-a", &metric, ""));
    let new = manifest("tenon-new", &metric, r#""api":"7.0.0","#);
    folder.plugin("libnew.so", &new);
    let abort = manifest("tenon-abort", &metric, r#""panic":"abort","#);
    folder.plugin("libabort.so", &abort);
    let torch = manifest("tenon-torch", &metric, r#""torch":"2.10.0","#);
    folder.plugin("libtorch_too_old.so", &torch);
    let packaged = manifest("tenon-packaged", &metric, r#""torch":"2.11.0+cu130","#);
    folder.plugin("libpackaged.so", &packaged);
    folder.plugin("libnonsense.so", "{\"package\":\"tenon-");
    folder.plugin("libnothing.so", "");
    let whole = library(
        X86_64,
        ".tenon",
        manifest("tenon-cut", &metric, "").as_bytes(),
    );
    folder.write("libcut.so", &whole[..whole.len() / 2]);
    folder.write("libhead.so", &whole[..20]);
    folder.write("libempty.so", b"");
    folder.write("libtext.so", b"not a library at all\n");
    folder.write("libarchive.so", b"PK\x03\x04\xff\xfe\x00\x01 and so on");
    folder.write("libwindows.so", &windows_library());
    let foreign = manifest("tenon-foreign", &metric, "");
    folder.write("libarm.so", &library(AARCH64, ".tenon", foreign.as_bytes()));
    fs::create_dir(folder.0.path().join("libfolder.so")).expect("a folder");
    // None of these is worth a word.
    folder.write("libordinary.so", &library(X86_64, ".text", b"code"));
    folder.plugin("libtenon_engine.so", &manifest("tenon-engine", &metric, ""));
    folder.write("notes.txt", b"not a library");
    folder.write("tool.exe", b"not a library here");
    let registry = folder.scan(&PluginSettings::default());
    insta::assert_snapshot!(folder.listing(&registry));
}

/// The smallest file that looks like a 64-bit Windows library.
fn windows_library() -> Vec<u8> {
    let mut out = vec![0; 0x200];
    out[..2].copy_from_slice(b"MZ");
    out[0x3c] = 0x40;
    out[0x40..0x44].copy_from_slice(b"PE\0\0");
    out[0x58..0x5a].copy_from_slice(&[0x0b, 0x02]);
    out
}

#[test]
#[cfg(unix)]
fn links_and_pipes_neither_block_nor_repeat() {
    use std::os::unix::fs::symlink;
    let folder = Folder::new();
    let at = |name: &str| folder.0.path().join(name);
    let real = folder.plugin(
        "libreal.so",
        &manifest("tenon-real", &[("metric", "m")], ""),
    );
    symlink(&real, at("libalias.so")).expect("a link");
    symlink(at("libloop2.so"), at("libloop1.so")).expect("a link");
    symlink(at("libloop1.so"), at("libloop2.so")).expect("a link");
    symlink(at("nowhere"), at("libdangling.so")).expect("a link");
    let made = std::process::Command::new("mkfifo")
        .arg(at("libpipe.so"))
        .status();
    assert!(made.expect("mkfifo").success());
    let registry = folder.scan(&PluginSettings::default());
    insta::assert_snapshot!(folder.listing(&registry));
}

#[test]
fn a_file_that_is_named_itself_must_be_a_plugin() {
    let folder = Folder::new();
    folder.write("libordinary.so", &library(X86_64, ".text", b"code"));
    folder.plugin(
        "whatever.bin",
        &manifest("tenon-named", &[("metric", "m")], ""),
    );
    let places = ["libordinary.so", "whatever.bin", "absent"];
    let registry = folder.scan_places(&places, &PluginSettings::default());
    insta::assert_snapshot!(folder.listing(&registry), @"
    plugin ordinary (FOLDER/libordinary.so): it is a library, but no tenon plugin: it carries no manifest
    plugin named (FOLDER/whatever.bin): ok
    plugin absent (FOLDER/absent): there is no such file or folder (named by --plugin-dir)
    ");
}

#[test]
fn no_damage_to_a_file_crashes_the_scan() {
    let folder = Folder::new();
    let text = manifest("tenon-x", &[("metric", "m"), ("task", "t")], "");
    let whole = library(X86_64, ".tenon", text.as_bytes());
    let mut state = 0x9e37_79b9_u64;
    let mut random = |below: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    let mut problems = 0;
    for round in 0..600 {
        let mut bytes = whole.clone();
        match round % 3 {
            0 => bytes.truncate(random(whole.len())),
            // The headers are hit as often as the rest.
            1 => (0..1 + random(8)).for_each(|_| {
                let at = if random(2) == 0 {
                    random(64)
                } else {
                    random(whole.len())
                };
                bytes[at] = random(256) as u8;
            }),
            _ => bytes = (0..random(4096)).map(|_| random(256) as u8).collect(),
        }
        let path = folder.write("libx.so", &bytes);
        let contents = super::file::read(&path);
        problems += usize::from(contents.is_err());
    }
    assert!(problems > 300, "{problems} of 600 were found to be damaged");
}

#[test]
fn a_huge_hollow_file_is_scanned_at_once() {
    let folder = Folder::new();
    let path = folder.plugin(
        "libhuge.so",
        &manifest("tenon-huge", &[("metric", "m")], ""),
    );
    let file = fs::OpenOptions::new()
        .write(true)
        .open(&path)
        .expect("a file");
    file.set_len(1 << 40).expect("a hollow file");
    let start = std::time::Instant::now();
    assert!(super::file::read(&path).is_ok());
    assert!(start.elapsed().as_millis() < 1000);
}

#[test]
fn only_allowed_plugins_are_usable() {
    let folder = Folder::new();
    let metric = [("metric", "m")];
    let pinned = folder.plugin("libpinned.so", &manifest("tenon-pinned", &metric, ""));
    folder.plugin("libnamed.so", &manifest("tenon-named", &metric, ""));
    folder.plugin("libother.so", &manifest("tenon-other", &metric, ""));
    folder.plugin("libswapped.so", &manifest("tenon-swapped", &metric, ""));
    let allowed = |name: &str, sha256: Option<String>| AllowedPlugin {
        name: name.to_owned(),
        sha256,
    };
    let rules = PluginSettings {
        allow: Some(vec![
            allowed("pinned", super::file::sha256(&pinned).ok()),
            allowed("named", None),
            allowed("swapped", Some("0".repeat(64))),
        ]),
        ..PluginSettings::default()
    };
    let registry = folder.scan(&rules);
    insta::assert_snapshot!(folder.listing(&registry));
    let error = registry.open("other").err().expect("not allowed");
    assert_eq!(error.problem.code(), "not-allowed");
}

#[test]
fn of_two_plugins_of_one_name_neither_wins_silently() {
    let folder = Folder::new();
    let lora = [("peft", "lora")];
    let text = manifest("tenon-lora", &lora, "");
    folder.plugin("a/liblora.so", &text);
    folder.plugin(
        "b/liblora.so",
        &manifest("tenon-lora", &lora, r#""version":"2.0.0","#),
    );
    folder.plugin("c/liblora.so", &text);
    let places = ["a", "b", "c"];
    let registry = folder.scan_places(&places, &PluginSettings::default());
    // The copy in `c` is the plugin in `a`.
    let undecided = folder.listing(&registry);
    let error = registry.find(Kind::Peft, "lora").expect_err("two of them");
    let prefer = folder.0.path().join("b/liblora.so").display().to_string();
    let rules = PluginSettings {
        prefer: [("lora".to_owned(), prefer)].into(),
        ..PluginSettings::default()
    };
    let decided = folder.scan_places(&places, &rules);
    let version = decided
        .find(Kind::Peft, "lora")
        .expect("the chosen one")
        .0
        .manifest();
    assert_eq!(version.map(|manifest| &*manifest.version), Some("2.0.0"));
    let (error, decided) = (
        folder.filtered(&format!("{error:?}")),
        folder.listing(&decided),
    );
    insta::assert_snapshot!(format!("{undecided}\n{error}\n\n{decided}"));
}

#[test]
fn components_are_found_by_short_and_full_names() {
    let folder = Folder::new();
    let first = [("metric", "f1"), ("metric", "accuracy"), ("model", "bert")];
    folder.plugin("liba.so", &manifest("tenon-a", &first, ""));
    folder.plugin(
        "libb.so",
        &manifest("tenon-b", &[("metric", "f1"), ("task", "bert")], ""),
    );
    let broken = manifest("tenon-c", &[("metric", "rouge")], r#""panic":"abort","#);
    folder.plugin("libc.so", &broken);
    folder.write("libtenon_big_model.so", b"cut");
    let prefer = |choice: &str| PluginSettings {
        prefer: [("f1".to_owned(), choice.to_owned())].into(),
        ..PluginSettings::default()
    };
    let ask = |rules: &PluginSettings, kind, name: &str| match folder.scan(rules).lookup(kind, name)
    {
        Ok(found) => found.full_name(),
        Err(LookupError::Ambiguous { candidates }) => format!("one of {}", candidates.join(", ")),
        Err(LookupError::NotFound { installed, reason }) => {
            let reason = reason.unwrap_or_else(|| "unknown".to_owned());
            folder.filtered(&format!("{reason} (installed: {})", installed.join(", ")))
        }
    };
    let none = PluginSettings::default();
    let cases = [
        (&none, Kind::Metric, "accuracy"),
        (&none, Kind::Model, "bert"),
        (&none, Kind::Task, "bert"),
        (&none, Kind::Metric, "f1"),
        (&none, Kind::Metric, "b::f1"),
        (&prefer("b::f1"), Kind::Metric, "f1"),
        (&prefer("f1"), Kind::Metric, "f1"),
        (&prefer("c::f1"), Kind::Metric, "f1"),
        (&none, Kind::Metric, "f2"),
        (&none, Kind::Metric, "a::f2"),
        (&none, Kind::Peft, "a::lora"),
        (&none, Kind::Metric, "z::f1"),
        (&none, Kind::Metric, "rouge"),
        (&none, Kind::Model, "big-model"),
    ];
    let lines = cases
        .map(|(rules, kind, name)| format!("{} {name} -> {}", kind.noun(), ask(rules, kind, name)));
    insta::assert_snapshot!(lines.join("\n"));
    let names: Vec<_> = folder
        .scan(&none)
        .components(Kind::Metric)
        .iter()
        .map(|found| found.full_name())
        .collect();
    assert_eq!(names, ["a::accuracy", "a::f1", "b::f1"]);
}

#[test]
fn opening_what_is_no_real_library_is_an_error() {
    let folder = Folder::new();
    folder.plugin("libx.so", &manifest("tenon-x", &[("metric", "m")], ""));
    let registry = folder.scan(&PluginSettings::default());
    let error = registry.open("x").err().expect("nothing to open");
    assert_eq!(error.problem.code(), "open");
    assert_eq!(registry.entries()[0].problem(), Some(&error.problem));
    assert!(registry.find(Kind::Metric, "m").is_err());
    let missing = registry.open("y").err().expect("nothing to open");
    assert_eq!(missing.problem.code(), "missing");
}

#[test]
fn a_file_that_changed_since_the_scan_is_not_opened() {
    let folder = Folder::new();
    folder.plugin("libx.so", &manifest("tenon-x", &[("metric", "m")], ""));
    let registry = folder.scan(&PluginSettings::default());
    folder.plugin("libx.so", &manifest("tenon-x", &[("metric", "more")], ""));
    let error = registry.open("x").err().expect("it changed");
    assert_eq!(error.problem.code(), "changed");
}

#[test]
fn ten_plugins_are_scanned_in_milliseconds() {
    let folder = Folder::new();
    for index in 0..10 {
        let name = format!("tenon-p{index}");
        let components: Vec<_> = (0..10).map(|id| format!("m{id}")).collect();
        let components: Vec<_> = components
            .iter()
            .map(|id| ("metric", id.as_str()))
            .collect();
        folder.plugin(&format!("lib{index}.so"), &manifest(&name, &components, ""));
    }
    let start = std::time::Instant::now();
    let registry = folder.scan(&PluginSettings::default());
    let elapsed = start.elapsed();
    assert_eq!(registry.entries().len(), 10);
    // Far above the millisecond that it takes, so that a busy machine does not fail it.
    assert!(elapsed.as_millis() < 100, "{elapsed:?}");
}

#[test]
fn names_of_broken_files_are_those_of_their_plugins() {
    let name = |path: &str| {
        let problem = super::Problem::NoManifest;
        Entry::broken(Path::new(path), PlaceOrigin::Flag, problem)
            .name()
            .to_owned()
    };
    assert_eq!(
        name("/p/libtenon_classification_metrics.so"),
        "classification-metrics"
    );
    assert_eq!(name("/p/liblora.so"), "lora");
    assert_eq!(name("/p/x.so"), "x");
}
