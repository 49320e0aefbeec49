//! Several plugins in one process, and the same one twice.

use tenon_plugin_api::ErrorCode;
use tenon_plugin_api::values::Values;

use super::panics;
use super::program::{Program, fixture, open, snapshot};

#[test]
fn plugins_work_side_by_side() {
    let (plain, faults, overrides) = (open("plain"), open("faults"), open("overrides"));
    let names = [plain, faults, overrides].map(|plugin| plugin.name());
    assert_eq!(
        names,
        ["fixture-plain", "fixture-faults", "fixture-overrides"]
    );
    let mut hits = plain.metric("hits", r#"{"weight":2}"#).expect("a metric");
    let mut faulty = faults.metric("faulty-metric", "{}").expect("a metric");
    let pair = Values::labels([1, 0]);
    for _ in 0..10 {
        hits.update(&pair, &pair).expect("an update");
        faulty.update(&pair, &pair).expect("an update");
        // A panic in one is no concern of the others.
        assert!(panics::metric(&faults, r#"{"panic_in":"compute"}"#).is_err());
    }
    assert_eq!(hits.compute().expect("scores").get("hits"), Some(40.0));
    assert_eq!(faulty.compute().expect("scores").get("seen"), Some(20.0));
    assert!(overrides.metric("told", "{}").is_ok());
}

#[test]
fn metrics_of_two_libraries_do_not_merge() {
    let pair = Values::labels([1]);
    let mut hits = open("plain").metric("hits", "{}").expect("a metric");
    let mut faulty = open("faults")
        .metric("faulty-metric", "{}")
        .expect("a metric");
    faulty.update(&pair, &pair).expect("an update");
    let error = hits.merge(faulty).expect_err("another metric");
    assert_eq!(error.code(), ErrorCode::Unsupported);

    // The very same code from another file is another library, with an allocator of its own.
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let source = fixture("plain");
    let copy = folder.path().join(source.file_name().expect("a name"));
    std::fs::copy(source, &copy).expect("a copy");
    let other = tenon_testkit::open(&copy).map_err(|error| error.to_string());
    let other = other
        .expect("a plugin")
        .metric("hits", "{}")
        .expect("a metric");
    let error = hits.merge(other).expect_err("another library");
    assert_eq!(error.code(), ErrorCode::Unsupported);

    let mut same = open("plain").metric("hits", "{}").expect("a metric");
    same.update(&pair, &pair).expect("an update");
    hits.merge(same).expect("the same library");
    assert_eq!(hits.compute().expect("scores").get("hits"), Some(1.0));
}

#[test]
fn the_program_lists_and_opens_what_is_there() {
    let program = Program::new();
    for name in ["plain", "faults", "overrides"] {
        program.install(name, "plugins");
    }
    let list = program.run(&["plugin", "list", "--plugin-dir", "plugins"]);
    snapshot("listed_by_the_program", &program.shown(&list));
    let mut shown = Vec::new();
    for name in ["fixture-plain", "fixture-faults", "fixture-overrides"] {
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
        shown.push(program.shown(&outcome));
    }
    snapshot("opened_by_the_program", &shown.join("\n"));
}
