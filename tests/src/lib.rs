//! Workspace-level tests of tenon: what they share.

use std::path::{Path, PathBuf};

/// The folder of the repository.
///
/// # Panics
/// It is gone.
#[must_use]
pub fn repository() -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    folder.canonicalize().expect("the repository")
}

/// The binary, which lies above the folder of the calling test; the plugins lie beside it.
///
/// # Panics
/// It is not built.
#[must_use]
pub fn binary() -> PathBuf {
    let own = std::env::current_exe().expect("this test's path");
    let folder = own.ancestors().nth(2).expect("target/PROFILE");
    let binary = folder.join(format!("tenon{}", std::env::consts::EXE_SUFFIX));
    assert!(
        binary.is_file(),
        "{} is not built; `cargo xtask test` builds what its tests open",
        binary.display()
    );
    binary
}
