//! Keeps libtorch out of the program, which must answer `--help` and `check` at once.
//!
//! Cargo builds `plugin-api` once for program and engine, so with the bindings to libtorch in it.
//! The program calls none of them, and the linker drops what is not called; but of C++ it keeps
//! what libtorch defines as well, for libtorch to use the program's copy. Hidden, these go too, and
//! with them the last need of libtorch.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let os = std::env::var("CARGO_CFG_TARGET_OS");
    if os.is_ok_and(|os| os == "linux") {
        println!("cargo:rustc-link-arg-bins=-Wl,--exclude-libs,ALL");
    }
}
