//! The promise to plugin authors, seen from the other end: the host of the next minor version of
//! plugin-api opens the plugins that are built today.

use std::ffi::c_void;
use std::path::Path;

use libloading::Library;
use tenon_plugin_api_next::host::{OpenError, Plugin};
use tenon_plugin_api_next::values::Values;

use super::program::fixture;

/// Opens a plugin as the next host would: a copy of it, because a library serves one host and
/// other tests of this process open the file as today's.
fn open(name: &str) -> Result<Plugin, OpenError> {
    let symbol = format!("tenon_plugin_tenon_fixture_{name}");
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let copy = folder.path().join("copy");
    std::fs::copy(fixture(name), &copy).expect("a copy");
    // SAFETY: a library that was built for this test, and is never closed.
    let library: &'static Library = Box::leak(Box::new(unsafe { load(&copy) }));
    // SAFETY: `register!` exports a static under this name, and the library stays.
    unsafe {
        let symbol = library.get::<*const c_void>(symbol.as_bytes());
        Plugin::from_symbol(symbol.expect("the symbol").into_raw().as_raw_ptr())
    }
}

unsafe fn load(path: &Path) -> Library {
    // SAFETY: the caller's.
    unsafe { Library::new(path) }.expect("a library")
}

fn opened(name: &str) -> Plugin {
    match open(name) {
        Ok(plugin) => plugin,
        Err(error) => panic!("{name}: {error}"),
    }
}

#[test]
fn a_plugin_of_today_lacks_what_comes_later() {
    for (name, id, score) in [
        ("plain", "hits", "hits"),
        ("faults", "faulty-metric", "seen"),
        ("earlier", "earlier-count", "count"),
    ] {
        let plugin = opened(name);
        // An entry of the table that it does not have is none; a method runs its default.
        assert_eq!(plugin.later(), None);
        let mut metric = plugin.metric(id, "{}").expect("a metric");
        assert_eq!(metric.later().expect("the default"), 0);
        let pair = Values::labels([1]);
        metric.update(&pair, &pair).expect("an update");
        assert_eq!(metric.compute().expect("scores").get(score), Some(1.0));
    }
}

#[test]
fn a_plugin_of_its_own_version_has_it_all() {
    let plugin = opened("next");
    assert_eq!(plugin.later(), Some(42));
    let metric = plugin.metric("next-count", "{}").expect("a metric");
    assert_eq!(metric.later().expect("its own"), 7);
    let scores = metric.compute().expect("scores");
    assert_eq!(scores.get("later"), Some(2.0));
}

#[test]
fn other_types_are_refused_by_it_too() {
    assert!(matches!(open("foreign"), Err(OpenError::Layout { .. })));
}
