//! Makes another version of plugin-api out of its present source, for the build scripts beside.

use std::fs;
use std::path::{Path, PathBuf};

/// One change: a file below `plugin-api/src`, what stands in it exactly once, what replaces it.
pub type Patch = (&'static str, &'static str, &'static str);

/// Copies plugin-api's source into `OUT_DIR` with every patch applied.
pub fn apply(patches: &[Patch]) {
    let source = Path::new("../../../plugin-api/src");
    println!("cargo::rerun-if-changed=../patch.rs");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={}", source.display());
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets it")).join("src");
    let _ = fs::remove_dir_all(&out);
    copy(source, &out);
    for (file, from, to) in patches {
        let path = out.join(file);
        let text = fs::read_to_string(&path).expect("a patched file");
        let count = text.matches(from).count();
        assert!(
            count == 1,
            "plugin-api/src/{file} has this {count} times instead of once, so the patch of \
             tests/api no longer applies:\n{from}"
        );
        fs::write(&path, text.replace(from, to)).expect("a patched file");
    }
    // What is included has no documentation of its own.
    let root = out.join("lib.rs");
    let text = fs::read_to_string(&root).expect("the root");
    let text = text.replace("//!", "//");
    fs::write(&root, text).expect("the root");
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("plugin-api's source") {
        let path = entry.expect("an entry").path();
        let target = to.join(path.file_name().expect("a name"));
        if path.is_dir() {
            copy(&path, &target);
        } else {
            fs::copy(&path, &target).expect("a source file");
        }
    }
}
