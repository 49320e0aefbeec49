//! Data files of any form, as a run file describes them.

use insta::assert_snapshot;

use super::check::place;
use super::place::Place;

const RUN: &str = r#"[model]
use = "bert"
pretrained = "models/minilm"

[task]
use = "classification"
text = "text"
label = "label"

[data]
train = "data/sentences.train"
"#;

/// Sentences as SST-2 and TREC have them: a label, a space, and the rest of the line.
fn sentences() -> Place {
    place(RUN)
        .file("data/sentences.train", b"1 a caf\xe9 , funny\n0 dull\n")
        .file("data/reviews.csv", "1;\"good; really\"\n0;bad\n")
}

fn shown(place: &Place, lines: &[&str]) -> String {
    let calls: Vec<String> = lines
        .iter()
        .map(|line| {
            let call = place.tenon(&format!("check run.toml {line}"));
            let told = match call.code {
                0 => {
                    let about_data =
                        |line: &&str| line.starts_with("format") || line.contains(".format");
                    let lines: Vec<&str> = call.stdout.lines().filter(about_data).collect();
                    lines.join("\n") + "\n"
                }
                _ => call.stderr.clone(),
            };
            format!("{line}\n{told}")
        })
        .collect();
    calls.join("\n")
}

#[test]
fn files_without_header_or_with_other_delimiters_and_encodings() {
    let text = shown(
        &sentences(),
        &[
            "",
            "--set 'data.format={ kind = \"lines\", delimiter = \" \", columns = [\"label\", \"text\"], encoding = \"latin-1\" }'",
            "--set data.train=data/reviews.csv --set data.format.delimiter=; --set 'data.format.columns=[\"label\", \"text\"]'",
            "--set 'data.train={ path = \"data/reviews.csv\", format = { kind = \"csv\", delimiter = \";\", columns = [\"label\", \"text\"] } }'",
        ],
    );
    assert_snapshot!(text);
}

#[test]
fn formats_that_cannot_be() {
    let text = shown(
        &sentences(),
        &[
            "--set data.format=cvs",
            "--set data.format.kind=line",
            "--set 'data.format={ kind = \"csv\", sep = \";\", colums = [\"a\"] }'",
            "--set 'data.format={ kind = \"csv\", delimiter = \"||\" }'",
            "--set 'data.format={ kind = \"csv\", header = false }'",
            "--set 'data.format={ kind = \"jsonl\", delimiter = \",\" }'",
            "--set 'data.format={ kind = \"lines\", columns = [\"label\", \"text\"] }'",
            "--set 'data.format={ kind = \"lines\", delimiter = \" \", columns = [\"label\", \"sentence\"], encoding = \"latin-1\" }'",
            "--set 'data.format={ encoding = \"latin1\" }'",
            "--set data.format=3",
            "--set 'data.train={ path = \"data/reviews.csv\", format = { kind = \"parquet\", quoting = false } }'",
        ],
    );
    assert_snapshot!(text);
}
