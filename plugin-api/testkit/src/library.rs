//! Opens a built plugin, for tests of the library itself.

use std::path::Path;

use libloading::Library;
use tenon_plugin_api::host::{OpenError, Plugin};

/// Opens the library at `path`, built from a crate that calls `register!`.
///
/// The library stays open until the process ends. What a host checks before it opens a plugin
/// (manifest, allow-list, libtorch) is not checked here.
///
/// # Errors
/// The file is no library, lacks the symbol of a plugin, or its table cannot be used.
pub fn open(path: &Path) -> Result<Plugin, OpenError> {
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    let symbol = format!(
        "tenon_plugin_{}",
        name.strip_prefix("lib").unwrap_or(&name).replace('-', "_")
    );
    let header = |error: libloading::Error| OpenError::Header(error.to_string());
    // SAFETY: the author of a test vouches for the library that the test built.
    let library = unsafe { load(path) }.map_err(header)?;
    // Never closed: threads of the plugin may still have destructors to run.
    let library: &'static Library = Box::leak(Box::new(library));
    // SAFETY: `register!` exports a static under this name.
    let symbol = unsafe { library.get::<*const std::ffi::c_void>(symbol.as_bytes()) };
    // SAFETY: the same, and the library stays.
    unsafe { Plugin::from_symbol(symbol.map_err(header)?.into_raw().as_raw_ptr()) }
}

/// # Safety
/// Opening a library runs its constructors.
#[cfg(unix)]
unsafe fn load(path: &Path) -> Result<Library, libloading::Error> {
    use libloading::os::unix;
    let flags = unix::RTLD_NOW | unix::RTLD_LOCAL;
    // SAFETY: the caller's.
    unsafe { unix::Library::open(Some(path), flags) }.map(Library::from)
}

/// # Safety
/// Opening a library runs its constructors.
#[cfg(not(unix))]
unsafe fn load(path: &Path) -> Result<Library, libloading::Error> {
    // SAFETY: the caller's.
    unsafe { Library::new(path) }
}
