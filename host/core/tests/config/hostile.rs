//! Files that no person would write. None may crash, hang or pass unnoticed.

use std::time::{Duration, Instant};

use insta::assert_snapshot;

use super::fixture::{GOOD, Workplace};

#[test]
fn not_utf8() {
    let place = Workplace::new("").file("run.toml", b"[run]\nname = \"caf\xe9\"\n");
    assert_snapshot!(place.report(), @r"
    run.toml: 1 problem
      2:12  not UTF-8; save the file in that encoding
    ");
}

#[test]
fn nul_bytes_and_escapes_stay_out_of_the_terminal() {
    let place = Workplace::new(
        "[run]\nname = \"a\\u001B[31m/b\"\ndevice = \"\\u0000\"\n\"k\\u001By\" = 1\n",
    );
    let report = place.report();
    assert!(!report.contains(['\u{1b}', '\0']), "{report:?}");
    Workplace::new("").file("run.toml", b"a = \"\0\"").report();
}

#[test]
fn byte_order_mark_and_windows_lines() {
    let text = format!("\u{feff}{GOOD}").replace('\n', "\r\n");
    let resolved = Workplace::new(&text).resolved();
    assert_eq!(
        resolved.origin("model.use").map(ToString::to_string),
        Some("run.toml:2:7".into())
    );
    assert_eq!(
        resolved.origin("train.epochs").map(ToString::to_string),
        Some("run.toml:26:10".into())
    );
}

#[test]
fn duplicate_keys() {
    let place =
        Workplace::new("[run]\nseed = 1\nseed = 2\n[run]\nname = 'x'\n[train]\nepochs = 1\n");
    assert_snapshot!(place.report());
}

#[test]
fn values_that_no_key_takes() {
    let place = Workplace::new(
        "[run]\nseed = 99999999999999999999\nname = 2026-01-01\n[train]\nlearning_rate = nan\nweight_decay = inf\nmax_grad_norm = 1e999\n",
    );
    assert_snapshot!(place.report());
}

#[test]
fn deep_nesting() {
    for text in [
        format!("a = {}1{}", "[".repeat(5000), "]".repeat(5000)),
        format!("a = {}1{}", "{a=".repeat(5000), "}".repeat(5000)),
        format!("{}a = 1", "a.".repeat(5000)),
        format!("[{}a]", "a.".repeat(5000)),
        // Each of these is within the parser's limit, all of them together are not.
        format!(
            "{} = {}1{}",
            "a.".repeat(70) + "a",
            format!("{{{}a = ", "a.".repeat(70)).repeat(70),
            "}".repeat(70)
        ),
    ] {
        Workplace::new(&text).report();
    }
    let place = Workplace::new(GOOD)
        .set(&format!("{}a=1", "a.".repeat(100_000)))
        .set(&format!("a={}", "[".repeat(100_000)));
    place.report();
}

#[test]
fn too_large() {
    let place = Workplace::new(&"# nothing\n".repeat(200_000));
    assert_snapshot!(place.report(), @r"
    run.toml: 1 problem
      run.toml is larger than 1 MiB, which no run file is
    ");
}

#[test]
fn large_ones_do_not_take_long() {
    let many_keys: String = (0..20_000).map(|i| format!("key{i} = {i}\n")).collect();
    let one_line = format!("a = [{}]", "\"é\", ".repeat(80_000));
    let many_errors = "= \n".repeat(100_000);
    for text in [many_keys, one_line, many_errors] {
        let start = Instant::now();
        let report = Workplace::new(&text).report();
        assert!(report.lines().count() < 60, "{report}");
        assert!(
            start.elapsed() < Duration::from_secs(20),
            "{:?}",
            start.elapsed()
        );
    }
}

#[test]
fn a_run_file_is_checked_in_an_instant() {
    let place = Workplace::new(GOOD);
    place.resolved();
    let start = Instant::now();
    for _ in 0..10 {
        place.resolved();
    }
    // 10 ms each on a quiet machine with room to spare; the bound allows for a busy one.
    assert!(
        start.elapsed() < Duration::from_secs(1),
        "{:?} for ten",
        start.elapsed()
    );
}

#[test]
fn files_that_multiply() {
    let mut place = Workplace::new(&format!("extends = [\"b0.toml\", \"b0.toml\"]\n{GOOD}"));
    for i in 0..30 {
        place = place.file(
            &format!("b{i}.toml"),
            format!("extends = [\"b{0}.toml\", \"b{0}.toml\"]", i + 1),
        );
    }
    assert!(
        place
            .file("b30.toml", "")
            .report()
            .contains("more than 100 files extend each other")
    );
}
