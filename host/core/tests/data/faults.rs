//! Every fault of a file is an error that says where it is and what to do.

use std::fs::File;
use std::sync::Arc;

use arrow_array::{ArrayRef, BinaryArray, Int64Array, RecordBatch};
use parquet::arrow::ArrowWriter;
use tenon_core::data::rng::Rng;
use tenon_core::data::{BadRows, OpenOptions, Projection, columns};

use super::{Folder, all_rows};

/// All messages that opening and reading a file gives; "fine" for none.
fn faults(folder: &Folder, name: &str, format: &str, options: &OpenOptions) -> String {
    let found = match folder.open(name, format, options) {
        Err(error) => vec![error.to_string()],
        Ok(dataset) => all_rows(&dataset)
            .into_iter()
            .filter_map(Result::err)
            .collect(),
    };
    let found = if found.is_empty() {
        "fine".to_owned()
    } else {
        found.join("\n  ")
    };
    folder.hide(&found)
}

#[test]
fn bad_rows_name_file_line_and_remedy() {
    let folder = Folder::new();
    let two = r#"{"kind": "lines", "delimiter": " ", "columns": ["label", "text"]}"#;
    let cases: [(&str, &[u8], &str); 16] = [
        (
            "syntax.jsonl",
            b"{\"text\": \"a\"}\n{\"text\": \"b\" \"label\": 1}\n\n{\"text\"\n",
            "",
        ),
        ("nan.jsonl", b"{\"text\": NaN}\n", ""),
        (
            "trailing.jsonl",
            b"{\"text\": \"a\"} {\"text\": \"b\"}\n",
            "",
        ),
        ("array.jsonl", b"[{\"text\": \"a\"}]\n", ""),
        ("scalars.jsonl", b"3\n\"text\"\nnull\ntrue\n", ""),
        (
            "missing.jsonl",
            b"{\"Text\": \"a\", \"label\": 1}\n{}\n",
            "",
        ),
        ("utf8.jsonl", b"{\"text\": \"caf\xE9\"}\n", ""),
        ("deep.jsonl", &[b'['; 5000], ""),
        ("ragged.csv", b"text,label\na,1\nb\nc,2,3\n", ""),
        ("quote.csv", b"text,label\na,1\n\"b,2\nc,3\n", ""),
        ("utf8.csv", b"text,label\ncaf\xE9,1\n", ""),
        ("twice.csv", b"text,text\na,1\n", ""),
        ("header.csv", b"sentence,label\na,1\n", ""),
        ("only-header.csv", b"text,label\n", ""),
        ("short.txt", b"1 fine\nlonely\n", two),
        ("binary.txt", b"\x00\xFF\xFE\n", ""),
    ];
    let options = OpenOptions {
        columns: Projection::only(["text"], ["label"]),
        ..OpenOptions::default()
    };
    let report: Vec<_> = cases
        .iter()
        .map(|(name, bytes, format)| {
            folder.write(name, bytes);
            format!("{name}\n  {}", faults(&folder, name, format, &options))
        })
        .collect();
    insta::assert_snapshot!(report.join("\n"));
}

#[test]
fn files_that_are_no_data() {
    let folder = Folder::new();
    folder.write("empty.jsonl", "");
    folder.write("blank.jsonl", "\n  \n\r\n");
    folder.write("empty.csv", "");
    folder.write("text.parquet", "not parquet at all");
    folder.write("empty.parquet", "");
    folder.write("garbage.jsonl.gz", "not gzip");
    let mut cut = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut cut, &[b'x'; 100_000]).expect("packs");
    let cut = cut.finish().expect("packs");
    folder.write("cut.jsonl.gz", &cut[..cut.len() / 2]);
    folder.write("stsa.binary.train", "1 fine\n");
    folder.write("inner.parquet.gz", "x");
    std::fs::create_dir(folder.path().join("pictures")).expect("mkdir");
    let names = [
        "empty.jsonl",
        "blank.jsonl",
        "empty.csv",
        "text.parquet",
        "empty.parquet",
        "garbage.jsonl.gz",
        "cut.jsonl.gz",
        "stsa.binary.train",
        "inner.parquet.gz",
        "pictures",
        "emptyy.jsonl",
        "nothing/at/all.csv",
        "*.tsv",
    ];
    let report: Vec<_> = names
        .iter()
        .map(|name| {
            let opened = faults(&folder, name, "", &OpenOptions::default());
            let probed = folder.source(name, "").and_then(|source| columns(&source));
            let probed = folder.hide(&probed.map_or_else(
                |error| error.to_string(),
                |columns| format!("columns {columns:?}"),
            ));
            let probed = if probed == opened {
                String::new()
            } else {
                format!("\n  probe: {probed}")
            };
            format!("{name}\n  {opened}{probed}")
        })
        .collect();
    insta::assert_snapshot!(report.join("\n"));
}

#[test]
fn parquet_columns_that_cannot_be_read() {
    let folder = Folder::new();
    let ids: ArrayRef = Arc::new(Int64Array::from(vec![1, 2]));
    let images: ArrayRef = Arc::new(BinaryArray::from(vec![b"a".as_slice(), b"b"]));
    let batch = RecordBatch::try_from_iter([("id", ids), ("image", images)]).expect("a batch");
    let file = File::create(folder.path().join("x.parquet")).expect("creates");
    let mut writer = ArrowWriter::try_new(file, batch.schema(), None).expect("a writer");
    writer.write(&batch).expect("writes");
    writer.close().expect("closes");
    let report: Vec<_> = ["id", "image", "imgae"]
        .iter()
        .map(|column| {
            let options = OpenOptions {
                columns: Projection::only([*column], []),
                ..OpenOptions::default()
            };
            faults(&folder, "x.parquet", "", &options)
        })
        .collect();
    insta::assert_snapshot!(report.join("\n"));
    // Without a choice of columns, those that cannot be read are left out.
    let record = folder
        .open("x.parquet", "", &OpenOptions::default())
        .expect("opens")
        .get(0)
        .expect("a row");
    assert_eq!(record.columns(), ["id"]);

    let whole = std::fs::read(folder.path().join("x.parquet")).expect("reads");
    let mut rng = Rng::new(9);
    for round in 0..200 {
        let mut bytes = whole.clone();
        match round % 2 {
            0 => bytes.truncate(rng.below(whole.len() as u64) as usize),
            _ => bytes[rng.below(whole.len() as u64) as usize] ^= 1 << rng.below(8),
        }
        folder.write("damaged.parquet", &bytes);
        // Whatever comes of it, it must come as a value or an error.
        drop(faults(
            &folder,
            "damaged.parquet",
            "",
            &OpenOptions::default(),
        ));
    }
}

#[test]
fn a_hostile_line_is_an_error_and_the_next_is_fine() {
    let folder = Folder::new();
    let options = OpenOptions {
        longest_row: 100_000,
        ..OpenOptions::default()
    };
    let huge = "x".repeat(30_000_000);
    folder.write("huge.txt", format!("before\n{huge}\nafter\n"));
    folder.write(
        "huge.csv",
        format!("text\nbefore\n\"{huge}\n{huge}\"\nafter\n"),
    );
    let report = ["huge.txt", "huge.csv"].map(|name| {
        let dataset = folder.open(name, "", &options).expect("opens");
        assert_eq!(
            dataset.get(2).expect("a row").text("text").expect("text"),
            "after"
        );
        faults(&folder, name, "", &options)
    });
    insta::assert_snapshot!(report.join("\n"));
}

#[test]
fn bad_rows_are_skipped_and_counted_by_choice() {
    let folder = Folder::new();
    let mut file = String::new();
    for row in 0..3000 {
        file += &match row % 100 {
            7 => "{\"text\": \n".to_owned(),
            50 => "{\"other\": 1}\n".to_owned(),
            _ => format!("{{\"text\": \"{row}\"}}\n"),
        };
    }
    folder.write("x.jsonl", &file);
    for threads in [1, 4] {
        let options = OpenOptions {
            columns: Projection::only(["text"], []),
            bad_rows: BadRows::Skip,
            threads,
            ..OpenOptions::default()
        };
        let dataset = folder.open("x.jsonl", "", &options).expect("opens");
        assert_eq!((dataset.len(), dataset.skipped().count), (2940, 60));
        assert_eq!(
            dataset.get(7).expect("a row").text("text").expect("text"),
            "8"
        );
        assert_eq!(dataset.get(7).expect("a row").at().number, 9);
        insta::assert_snapshot!("skipped", folder.hide(&dataset.skipped().first.join("\n")));
    }
    let options = OpenOptions {
        columns: Projection::only(["other"], []),
        bad_rows: BadRows::Skip,
        ..OpenOptions::default()
    };
    insta::assert_snapshot!("too_many_to_skip", faults(&folder, "x.jsonl", "", &options));
}

#[test]
fn a_file_that_shrinks_while_it_is_read() {
    let folder = Folder::new();
    let path = folder.write("x.txt", "a line of text\n".repeat(100_000));
    let dataset = folder
        .open("x.txt", "", &OpenOptions::default())
        .expect("opens");
    File::options()
        .write(true)
        .open(path)
        .expect("opens")
        .set_len(100)
        .expect("shrinks");
    let error = dataset.get(99_999).expect_err("gone");
    insta::assert_snapshot!(folder.hide(&error.to_string()));
}

#[test]
fn cells_of_the_wrong_type() {
    let folder = Folder::new();
    folder.write("x.jsonl", r#"{"text": 3, "label": "many", "score": [1], "long": "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}"#);
    let record = folder
        .open("x.jsonl", "", &OpenOptions::default())
        .expect("opens")
        .get(0)
        .expect("a row");
    let messages = [
        record
            .text("text")
            .map(str::len)
            .map_err(|error| error.to_string())
            .expect_err("a number"),
        record
            .int("label")
            .map_err(|error| error.to_string())
            .expect_err("text"),
        record
            .float("score")
            .map_err(|error| error.to_string())
            .expect_err("a list"),
        record
            .int("long")
            .map_err(|error| error.to_string())
            .expect_err("text"),
        record
            .int("lable")
            .map_err(|error| error.to_string())
            .expect_err("no column"),
    ];
    insta::assert_snapshot!(folder.hide(&messages.join("\n")));
}
