//! Help, versions and completions.

use insta::assert_snapshot;

use super::place::Place;

#[test]
fn help_of_all_commands() {
    assert_snapshot!(Place::with(&[]).tenon("--help").shown());
}

#[test]
fn help_of_score() {
    assert_snapshot!(Place::with(&[]).tenon("score --help").shown());
}

#[test]
fn every_command_has_an_example() {
    let place = Place::with(&[]);
    for command in [
        "train",
        "evaluate",
        "predict",
        "merge",
        "score",
        "check",
        "tokenizer train",
        "tokenizer encode",
        "tokenizer decode",
        "tokenizer inspect",
        "plugin list",
        "plugin inspect",
        "config schema",
        "config reference",
        "completions",
    ] {
        let help = place.tenon(&format!("{command} --help"));
        assert_eq!(help.code, 0, "{}", help.shown());
        assert!(
            help.stdout
                .contains(&format!("\nExamples:\n  tenon {command}")),
            "{}",
            help.shown()
        );
    }
}

#[test]
fn completions_know_every_command() {
    let place = Place::with(&[]);
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = place.tenon(&format!("completions {shell}"));
        assert_eq!((script.code, script.stderr.as_str()), (0, ""), "{shell}");
        for word in ["score", "train", "plugin", "plugin-dir"] {
            assert!(script.stdout.contains(word), "{shell}: no {word}");
        }
    }
}
