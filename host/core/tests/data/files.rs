//! Every format, read row by row, equals what its reference reader or its writer says.

use std::fs::File;
use std::io::Write;
use std::sync::Arc;

use arrow_array::builder::{Int32Builder, ListBuilder};
use arrow_array::{
    ArrayRef, BooleanArray, DictionaryArray, Float32Array, Int64Array, RecordBatch, StringArray,
    StructArray, UInt64Array,
};
use arrow_schema::{DataType, Field, Schema};
use parquet::arrow::ArrowWriter;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use tenon_core::data::rng::Rng;
use tenon_core::data::{OpenOptions, Projection, Value, columns};

use super::{Folder, all_rows, all_values, awkward, text};

const AWKWARD: [&str; 12] = [
    "a",
    "bc",
    "\"",
    "\"\"",
    ",",
    "\n",
    "\r\n",
    " ",
    "é",
    "語",
    "\u{1F600}",
    "\\",
];

#[test]
fn csv_equals_the_csv_crate() {
    let folder = Folder::new();
    let mut rng = Rng::new(11);
    for round in 0..60 {
        let (delimiter, crlf) = ([b',', b';', b'\t'][round % 3], round % 2 == 0);
        let terminator = if crlf {
            csv::Terminator::CRLF
        } else {
            csv::Terminator::Any(b'\n')
        };
        let mut writer = csv::WriterBuilder::new()
            .delimiter(delimiter)
            .terminator(terminator)
            .from_writer(Vec::new());
        writer
            .write_record(["id", "text", "label"])
            .expect("writes");
        let mut expected = Vec::new();
        for row in 0..rng.below(200) + 1 {
            let fields = [
                row.to_string(),
                awkward(&mut rng, &AWKWARD, 12),
                awkward(&mut rng, &AWKWARD, 3),
            ];
            writer.write_record(&fields).expect("writes");
            expected.push(fields.map(|field| text(&field)).to_vec());
        }
        let mut bytes = writer.into_inner().expect("flushes");
        if round % 5 == 0 {
            // A last line without its end.
            bytes.truncate(bytes.len() - if crlf { 2 } else { 1 });
        }
        folder.write("x.csv", &bytes);
        let format = format!(
            r#"{{"kind": "csv", "delimiter": "{}"}}"#,
            (delimiter as char).escape_default()
        );
        let dataset = folder
            .open("x.csv", &format, &OpenOptions::default())
            .expect("opens");
        assert_eq!(all_values(&dataset), expected, "round {round}");

        // Line numbers, against the csv crate's own, which lag by one after CRLF unless told.
        let mut reader = csv::ReaderBuilder::new()
            .delimiter(delimiter)
            .terminator(csv::Terminator::Any(b'\n'))
            .from_reader(bytes.as_slice());
        for (row, record) in reader.records().enumerate() {
            let record = record.expect("valid csv");
            let line = record.position().expect("has a position").line();
            assert_eq!(
                dataset.get(row).expect("a row").at().number,
                line,
                "round {round}, row {row}"
            );
        }
    }
}

#[test]
fn any_bytes_are_cut_as_the_csv_crate_cuts_them() {
    let folder = Folder::new();
    let mut rng = Rng::new(12);
    let mut compared = 0;
    for _ in 0..400 {
        let bytes = awkward(&mut rng, &["a", "\"", "\"", ",", "\n", "b c", "é"], 60);
        let mut reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .from_reader(bytes.as_bytes());
        let expected: Vec<Vec<String>> = reader
            .records()
            .map(|record| record.expect("utf-8").iter().map(str::to_owned).collect())
            .collect();
        folder.write("x.csv", &bytes);
        let format = r#"{"kind": "csv", "columns": ["only"], "header": false}"#;
        let Ok(dataset) = folder.open("x.csv", format, &OpenOptions::default()) else {
            assert!(expected.is_empty(), "{bytes:?}");
            continue;
        };
        assert_eq!(dataset.len(), expected.len(), "{bytes:?}");
        for (row, fields) in all_rows(&dataset).into_iter().zip(expected) {
            match row {
                Ok(record) => assert_eq!(record.values(), [text(&fields[0])], "{bytes:?}"),
                Err(message) if message.contains("never closes") => {}
                Err(message) => assert!(
                    message.contains(&format!("found {}", fields.len())),
                    "{bytes:?}: {message}"
                ),
            }
            compared += 1;
        }
    }
    assert!(compared > 1000, "{compared} rows compared");
}

#[test]
fn jsonl_equals_what_was_written() {
    let folder = Folder::new();
    let mut rng = Rng::new(13);
    for round in 0..40 {
        let end = if round % 2 == 0 { "\n" } else { "\r\n" };
        let (mut file, mut expected, mut lines) = (String::new(), Vec::new(), Vec::new());
        let mut line = 1;
        for _ in 0..rng.below(100) + 1 {
            while rng.below(6) == 0 {
                file += if rng.below(2) == 0 { "" } else { " \t" };
                file += end;
                line += 1;
            }
            let sentence = awkward(&mut rng, &AWKWARD, 20);
            let number = rng.next_u64() as i64 >> rng.below(64);
            file += &format!(
                r#"{{"id": {number}, "other": [1, {{"text": 2}}], "text": {}}}"#,
                serde_json::json!(sentence)
            );
            file += end;
            expected.push(vec![text(&sentence), Value::Int(number), Value::Null]);
            lines.push(line);
            line += 1;
        }
        folder.write("x.jsonl", &file);
        let options = OpenOptions {
            columns: Projection::only(["text", "id"], ["absent"]),
            ..OpenOptions::default()
        };
        let dataset = folder.open("x.jsonl", "", &options).expect("opens");
        assert_eq!(all_values(&dataset), expected, "round {round}");
        let found: Vec<_> = (0..dataset.len())
            .map(|row| dataset.get(row).expect("a row").at().number)
            .collect();
        assert_eq!(found, lines, "round {round}");
    }
}

#[test]
fn json_values_keep_their_types() {
    let folder = Folder::new();
    let row = r#"{"n": null, "b": true, "i": -3, "big": 18446744073709551615, "f": 0.1, "t": "\u00e9\n", "l": [1, "x"], "m": {"k": []}, "i": 4}"#;
    folder.write("x.jsonl", row);
    let record = folder
        .open("x.jsonl", "", &OpenOptions::default())
        .expect("opens")
        .get(0)
        .expect("a row");
    insta::assert_debug_snapshot!(
        record
            .columns()
            .iter()
            .zip(record.values())
            .collect::<Vec<_>>()
    );
}

#[test]
fn rows_of_any_size_cross_buffers_and_segments() {
    // Segments of the index are 64 MiB, buffers 8 KiB to 1 MiB.
    let folder = Folder::new();
    let mut rng = Rng::new(14);
    let mut file =
        std::io::BufWriter::new(File::create(folder.path().join("x.txt")).expect("creates"));
    let mut sizes = Vec::new();
    for row in 0..3000_u64 {
        let size = match row % 50 {
            0 => 1 + rng.below(4 << 20),
            1..5 => (8 << 10) - 2 + rng.below(4),
            _ => 1 + rng.below(500),
        };
        let letter = b'a' + (row % 26) as u8;
        file.write_all(&vec![letter; size as usize])
            .expect("writes");
        file.write_all(b"\n").expect("writes");
        sizes.push(size as usize);
    }
    file.into_inner().expect("flushes");
    let total: usize = sizes.iter().sum();
    assert!(total > 100 << 20, "{total} bytes are one segment only");
    for threads in [1, 3] {
        let options = OpenOptions {
            threads,
            ..OpenOptions::default()
        };
        let dataset = folder.open("x.txt", "", &options).expect("opens");
        assert_eq!(dataset.len(), sizes.len());
        let mut reader = dataset.reader();
        let mut order: Vec<usize> = (0..sizes.len()).collect();
        for shuffled in [false, true] {
            if shuffled {
                Rng::new(2).shuffle(&mut order);
            }
            for &row in &order {
                let record = reader.get(row).expect("a row");
                let line = record.text("text").expect("text");
                assert_eq!(
                    (line.len(), line.as_bytes()[0]),
                    (sizes[row], b'a' + (row % 26) as u8),
                    "row {row}"
                );
                assert_eq!(record.at().number, row as u64 + 1);
            }
        }
    }
}

#[test]
fn lines_are_cut_at_the_first_delimiters() {
    let folder = Folder::new();
    type Rows<'a> = &'a [&'a [&'a str]];
    let cases: [(&[u8], &str, Rows<'_>); 5] = [
        (
            b"1 a fine \"film\" , truly\n0 dull\n",
            r#"{"kind": "lines", "delimiter": " ", "columns": ["label", "text"]}"#,
            &[&["1", "a fine \"film\" , truly"], &["0", "dull"]],
        ),
        (b"hello\r\n\r\nworld", "", &[&["hello"], &["world"]]),
        (
            b"\xEF\xBB\xBFa ||| b\n",
            r#"{"kind": "lines", "delimiter": " ||| ", "columns": ["en", "de"]}"#,
            &[&["a", "b"]],
        ),
        (
            b"LOC:city caf\xE9 ?\n",
            r#"{"kind": "lines", "delimiter": " ", "columns": ["label", "text"], "encoding": "latin-1"}"#,
            &[&["LOC:city", "café ?"]],
        ),
        (
            b"x\ty\n\n\"quoted\tz\n",
            r#"{"kind": "tsv", "columns": ["a", "b"], "quoting": false}"#,
            &[&["x", "y"], &["\"quoted", "z"]],
        ),
    ];
    for (bytes, format, expected) in cases {
        folder.write("x.txt", bytes);
        let dataset = folder
            .open("x.txt", format, &OpenOptions::default())
            .expect("opens");
        let expected: Vec<Vec<Value>> = expected
            .iter()
            .map(|row| row.iter().map(|cell| text(cell)).collect())
            .collect();
        assert_eq!(all_values(&dataset), expected, "{format}");
    }
}

#[test]
fn gzip_is_unpacked_once() {
    let folder = Folder::new();
    let cache = Folder::new();
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    for row in 0..5000 {
        writeln!(packed, r#"{{"text": "sentence {row}"}}"#).expect("packs");
    }
    folder.write("x.jsonl.gz", packed.finish().expect("packs"));
    for kept in [
        None,
        Some(cache.path().to_owned()),
        Some(cache.path().to_owned()),
    ] {
        let options = OpenOptions {
            cache: kept,
            ..OpenOptions::default()
        };
        let dataset = folder.open("x.jsonl.gz", "", &options).expect("opens");
        assert_eq!(dataset.len(), 5000);
        let record = dataset.get(4321).expect("a row");
        assert_eq!(record.text("text").expect("text"), "sentence 4321");
        assert!(record.at().to_string().ends_with("x.jsonl.gz:4322"));
    }
    assert_eq!(std::fs::read_dir(cache.path()).expect("lists").count(), 1);
    assert_eq!(
        columns(&folder.source("x.jsonl.gz", "").expect("resolves")).expect("probes"),
        ["text"]
    );
}

/// Rows with every type that is read, in row groups of 100.
fn write_parquet(folder: &Folder, name: &str, rows: i64) {
    let ids: ArrayRef = Arc::new((0..rows).map(Some).collect::<Int64Array>());
    let texts: ArrayRef = Arc::new(
        (0..rows)
            .map(|row| (row % 7 != 3).then(|| format!("text {row}")))
            .collect::<StringArray>(),
    );
    let labels: ArrayRef = Arc::new((0..rows).map(|row| row % 2).collect::<Int64Array>());
    let flags: ArrayRef = Arc::new(
        (0..rows)
            .map(|row| Some(row % 3 == 0))
            .collect::<BooleanArray>(),
    );
    let scores: ArrayRef = Arc::new(
        (0..rows)
            .map(|row| Some(row as f32 / 4.0))
            .collect::<Float32Array>(),
    );
    let large: ArrayRef = Arc::new(
        (0..rows)
            .map(|row| Some(u64::MAX - row as u64))
            .collect::<UInt64Array>(),
    );
    let kinds: ArrayRef = Arc::new(
        (0..rows)
            .map(|row| ["x", "y"][row as usize % 2])
            .collect::<DictionaryArray<arrow_array::types::Int32Type>>(),
    );
    let mut lists = ListBuilder::new(Int32Builder::new());
    for row in 0..rows {
        lists.append_value((0..row as i32 % 3).map(Some));
    }
    let lists: ArrayRef = Arc::new(lists.finish());
    let inner: ArrayRef = Arc::clone(&texts);
    let nested: ArrayRef = Arc::new(StructArray::from(vec![(
        Arc::new(Field::new("inner", DataType::Utf8, true)),
        inner,
    )]));
    let columns = vec![
        ("id", ids),
        ("text", texts),
        ("label", labels),
        ("flag", flags),
        ("score", scores),
        ("large", large),
        ("kind", kinds),
        ("list", lists),
        ("nested", nested),
    ];
    let fields: Vec<Field> = columns
        .iter()
        .map(|(name, array)| Field::new(*name, array.data_type().clone(), true))
        .collect();
    let schema = Arc::new(Schema::new(fields));
    let info =
        r#"{"info": {"features": {"label": {"names": ["neg", "pos"], "_type": "ClassLabel"}}}}"#;
    let properties = WriterProperties::builder()
        .set_max_row_group_row_count(Some(100))
        .set_key_value_metadata(Some(vec![KeyValue::new(
            "huggingface".to_owned(),
            info.to_owned(),
        )]))
        .build();
    let file = File::create(folder.path().join(name)).expect("creates");
    let mut writer =
        ArrowWriter::try_new(file, Arc::clone(&schema), Some(properties)).expect("a writer");
    let arrays = columns.into_iter().map(|(_, array)| array).collect();
    writer
        .write(&RecordBatch::try_new(schema, arrays).expect("a batch"))
        .expect("writes");
    writer.close().expect("closes");
}

#[test]
fn parquet_shards_are_one_dataset() {
    let folder = Folder::new();
    write_parquet(&folder, "train-00000-of-00002.parquet", 250);
    write_parquet(&folder, "train-00001-of-00002.parquet", 30);
    write_parquet(&folder, "test-00000-of-00001.parquet", 5);
    for budget in [0, 1 << 20] {
        let options = OpenOptions {
            parquet_budget: budget,
            columns: Projection::only(["text", "id"], ["absent"]),
            ..OpenOptions::default()
        };
        let dataset = folder.open(".", "", &options).expect("opens");
        assert_eq!(
            dataset.class_names("label"),
            Some(vec!["neg".to_owned(), "pos".to_owned()])
        );
        let rows = all_values(&dataset);
        assert_eq!(rows.len(), 280);
        for (row, values) in rows.into_iter().enumerate() {
            let id = if row < 250 { row } else { row - 250 };
            let sentence = if id % 7 == 3 {
                Value::Null
            } else {
                text(&format!("text {id}"))
            };
            assert_eq!(values, [sentence, Value::Int(id as i64), Value::Null]);
        }
    }
    let dataset = folder
        .open("train-00000-of-00002.parquet", "", &OpenOptions::default())
        .expect("opens");
    let record = dataset.get(101).expect("a row");
    insta::assert_debug_snapshot!(
        record
            .columns()
            .iter()
            .zip(record.values())
            .collect::<Vec<_>>()
    );
}
