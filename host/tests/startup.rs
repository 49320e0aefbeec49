//! The program answers at once because it is not linked to libtorch.

#![cfg(target_os = "linux")]

use std::process::Command;

#[test]
fn the_program_needs_no_libtorch() {
    // The dynamic linker lists what it would load, and runs nothing.
    let output = Command::new(env!("CARGO_BIN_EXE_tenon"))
        .env("LD_TRACE_LOADED_OBJECTS", "1")
        .output()
        .expect("it starts");
    let libraries = String::from_utf8_lossy(&output.stdout);
    assert!(libraries.contains("libc.so"), "{libraries}");
    for name in ["libtorch", "libc10", "libgomp"] {
        assert!(!libraries.contains(name), "{libraries}");
    }
}
