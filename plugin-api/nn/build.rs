//! Compiles `csrc/` against the libtorch that tch is built with.

use std::env;
use std::path::{Path, PathBuf};

fn main() {
    println!("cargo:rerun-if-changed=csrc");
    println!("cargo:rerun-if-env-changed=LIBTORCH");
    println!("cargo:rerun-if-env-changed=LIBTORCH_INCLUDE");
    println!("cargo:rerun-if-env-changed=LIBTORCH_CXX11_ABI");

    let include = include_folder();
    let abi = env::var("LIBTORCH_CXX11_ABI").unwrap_or_else(|_| "1".to_owned());
    let mut build = cc::Build::new();
    build
        .cpp(true)
        .std("c++17")
        .opt_level(2)
        .warnings(false)
        .define("_GLIBCXX_USE_CXX11_ABI", abi.as_str())
        .include(&include)
        .include(include.join("torch/csrc/api/include"))
        .file("csrc/bridge.cpp")
        .file("csrc/optim.cpp")
        .file("csrc/product.cpp");
    // libtorch's parallel_for is a template over OpenMP; without the flag it would run on one thread.
    if env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("linux") {
        build.flag("-fopenmp");
        println!("cargo:rustc-link-lib=gomp");
    }
    build.compile("tenon_nn_bridge");
}

/// `torch-sys` reports the folder of the libraries; the headers lie beside it.
fn include_folder() -> PathBuf {
    let given = env::var_os("LIBTORCH_INCLUDE").map(PathBuf::from);
    let beside = env::var_os("DEP_TCH_LIBTORCH_LIB")
        .and_then(|lib| Path::new(&lib).parent().map(Path::to_owned))
        .or_else(|| env::var_os("LIBTORCH").map(PathBuf::from));
    let Some(root) = given.or(beside) else {
        panic!(
            "compiling tenon-nn: libtorch not found; run `cargo xtask setup`, or set LIBTORCH to its folder"
        );
    };
    root.join("include")
}
