//! Running text: documents in parts of bounded size, and blocks that are packed of them.

use std::sync::Arc;

use tenon_core::data::rng::Rng;
use tenon_core::data::{
    BadRows, Batch, BatchSize, Buffer, CacheKey, Collate, DType, Encode, Examples, Field,
    FieldSpec, Loader, LoaderOptions, OpenOptions, Order, Packing, Plan, PlanOptions,
    PrepareOptions, Prepared, Record, RecordError, View, columns,
};

use super::{Folder, all_rows, all_values, shared, text};

const FILE: &str = r#"{"kind": "text"}"#;
const PARAGRAPH: &str = r#"{"kind": "text", "documents": "paragraph"}"#;

/// Lines of words; about every tenth is blank.
fn prose(bytes: usize, seed: u64) -> String {
    let mut rng = Rng::new(seed);
    let mut prose = String::new();
    while prose.len() < bytes {
        for _ in 0..rng.below(10) {
            prose += ["to ", "be ", "or ", "naught ", "日本 "][rng.below(5) as usize];
        }
        prose += "end\n";
        if rng.below(10) == 0 {
            prose += "\n";
        }
    }
    prose
}

#[test]
fn a_file_is_one_document_in_parts() {
    let folder = Folder::new();
    for (bytes, parts) in [(10, 1), (16 << 10, 1), (1 << 20, 64), (3 << 20, 192)] {
        let prose = prose(bytes, bytes as u64);
        folder.write("x.txt", &prose);
        let dataset = folder
            .open("x.txt", FILE, &OpenOptions::default())
            .expect("opens");
        let rows: Vec<_> = all_rows(&dataset)
            .into_iter()
            .map(|row| row.expect("a good row"))
            .collect();
        let pieces: Vec<&str> = rows
            .iter()
            .map(|row| row.text("text").expect("text"))
            .collect();
        assert_eq!(pieces.concat(), prose, "{bytes} bytes, put together again");
        assert!(
            (parts - 1..=parts + 1).contains(&pieces.len()),
            "{bytes} bytes in {} parts",
            pieces.len()
        );
        for pair in pieces.windows(2) {
            assert!(pair[0].ends_with("end\n") && !pair[1].starts_with(char::is_whitespace));
        }
        let goes_on: Vec<bool> = rows.iter().map(Record::goes_on).collect();
        let mut expected = vec![true; rows.len()];
        expected[rows.len() - 1] = false;
        assert_eq!(goes_on, expected);
        let line: u64 = prose[..pieces[0].len()].matches('\n').count() as u64 + 1;
        if rows.len() > 1 {
            assert_eq!(rows[1].at().number, line, "line of the second part");
        }
    }
}

#[test]
fn text_without_lines_is_cut_at_spaces() {
    let folder = Folder::new();
    folder.write("x.txt", "word ".repeat(500_000));
    let dataset = folder
        .open("x.txt", FILE, &OpenOptions::default())
        .expect("opens");
    let rows = all_values(&dataset);
    assert_eq!(rows.len(), 10);
    assert!(rows[1..].iter().all(|row| match &row[0] {
        tenon_core::data::Value::Text(text) => text.starts_with(" word"),
        _ => false,
    }));
}

#[test]
fn paragraphs_are_documents() {
    let folder = Folder::new();
    folder.write(
        "x.txt",
        "\u{feff}\n \nOne,\r\nin two lines.\r\n\r\nTwo \n \t\n\n\nThree\nand no end",
    );
    let source = folder.source("x.txt", PARAGRAPH).expect("resolves");
    assert_eq!(columns(&source).expect("columns"), ["text"]);
    let dataset = folder
        .open("x.txt", PARAGRAPH, &OpenOptions::default())
        .expect("opens");
    let lines: Vec<u64> = all_rows(&dataset)
        .iter()
        .map(|row| row.as_ref().expect("good").at().number)
        .collect();
    assert_eq!(lines, [3, 6, 10]);
    assert_eq!(
        all_values(&dataset),
        [
            [text("One,\r\nin two lines.")],
            [text("Two")],
            [text("Three\nand no end")]
        ]
    );
    let rows = dataset.get_many(&[0, 1, 2]).expect("rows");
    assert!(rows.iter().all(|row| !row.goes_on()));
}

/// Bytes as token ids, packed into blocks with their targets.
struct Bytes {
    specs: Vec<FieldSpec>,
    packing: Packing,
}

impl Bytes {
    fn new(length: usize, stride: usize) -> Self {
        let spec = |name: &str, collate, length| FieldSpec {
            name: name.to_owned(),
            dtype: DType::Int,
            collate,
            length,
        };
        Self {
            specs: vec![
                spec("input_ids", Collate::Pad(0.0), true),
                spec("labels", Collate::Pad(-100.0), false),
                spec("bytes", Collate::Stack, false),
            ],
            packing: Packing {
                length,
                stride,
                target: Some(1),
                sums: vec![2],
                separator: Some(vec![256, 256, 0]),
            },
        }
    }
}

impl Encode for Bytes {
    fn fields(&self) -> &[FieldSpec] {
        &self.specs
    }

    fn packing(&self) -> Option<Packing> {
        Some(self.packing.clone())
    }

    fn encode(&self, records: &[Record], examples: &mut Examples<'_>) -> Result<(), RecordError> {
        for (index, record) in records.iter().enumerate() {
            let text = record.text("text").expect("text");
            let ids: Vec<i64> = text.bytes().map(i64::from).collect();
            let ones = vec![1; ids.len()];
            let fields = [Field::Ints(&ids), Field::Ints(&ids), Field::Ints(&ones)];
            examples.push(index, &fields);
        }
        Ok(())
    }
}

fn prepare(view: &View, encoder: Bytes, memory: u64, cache: Option<&Folder>) -> Prepared {
    let options = PrepareOptions {
        memory,
        cache: cache.map(|folder| {
            (
                folder.path().to_owned(),
                CacheKey::new(view).expect("a key"),
            )
        }),
        bad_records: BadRows::Error,
        progress: &mut |_, _| true,
    };
    Prepared::new(view, Arc::new(encoder), options).expect("prepares")
}

fn batches(prepared: Prepared, batch: BatchSize) -> Vec<Batch> {
    let options = PlanOptions {
        batch,
        order: Order::Sequential,
        ..PlanOptions::default()
    };
    let plan = Plan::new(Arc::clone(prepared.lengths()), options).expect("plans");
    Loader::new(Arc::new(prepared), Arc::new(plan), LoaderOptions::default())
        .map(|batch| batch.expect("a batch"))
        .collect()
}

fn ints(batch: &Batch, field: usize) -> &[i64] {
    match &batch.fields[field].data {
        Buffer::Ints(values) => values,
        other => panic!("{other:?}"),
    }
}

/// Two files of one document each; targets are the text itself, each once, wherever blocks lie.
#[test]
fn blocks_hold_the_text_once_and_are_the_same_from_memory_and_file() {
    let folder = Folder::new();
    let (first, second) = (prose(200_000, 1), prose(70_000, 2));
    folder.write("a.txt", &first);
    folder.write("b.txt", &second);
    let mut expected: Vec<i64> = first.bytes().map(i64::from).collect();
    expected.push(256);
    expected.extend(second.bytes().map(i64::from));
    expected.push(256);
    for (stride, threads) in [(128, 1), (128, 3), (50, 2)] {
        let options = OpenOptions {
            threads,
            ..OpenOptions::default()
        };
        let dataset = folder.open("*.txt", FILE, &options).expect("opens");
        assert_eq!(dataset.len(), 18, "parts");
        let view = View::all(shared(dataset));
        let in_memory = batches(
            prepare(&view, Bytes::new(128, stride), 1 << 30, None),
            BatchSize::Tokens(1024),
        );
        let spilled = batches(
            prepare(&view, Bytes::new(128, stride), 0, None),
            BatchSize::Tokens(1024),
        );
        let cache = Folder::new();
        let made = prepare(&view, Bytes::new(128, stride), 0, Some(&cache));
        drop(made);
        let cached = batches(
            prepare(&view, Bytes::new(128, stride), 0, Some(&cache)),
            BatchSize::Tokens(1024),
        );
        assert_eq!(in_memory, spilled);
        assert_eq!(in_memory, cached);
        for batch in &in_memory[..in_memory.len() - 1] {
            assert_eq!(batch.fields[0].shape, [8, 128]);
        }
        let targets: Vec<i64> = in_memory
            .iter()
            .flat_map(|batch| ints(batch, 1).iter().copied())
            .filter(|id| *id != -100)
            .collect();
        assert!(targets == expected[1..], "targets with stride {stride}");
        let bytes: i64 = in_memory.iter().flat_map(|batch| ints(batch, 2)).sum();
        assert_eq!(bytes as usize, first.len() - 1 + second.len());
    }
}

#[test]
fn lengths_of_two_fields_plan_batches_by_their_sum() {
    let folder = Folder::new();
    folder.write("x.txt", "1 2 3 | 4\n5 | 6 7 8 9\n1 | 2\n");
    let dataset = folder
        .open("x.txt", "", &OpenOptions::default())
        .expect("opens");
    let view = View::all(shared(dataset));
    let specs: Vec<FieldSpec> = ["input_ids", "labels"]
        .map(|name| FieldSpec {
            name: name.to_owned(),
            dtype: DType::Int,
            collate: Collate::Pad(0.0),
            length: true,
        })
        .into();
    let encode = |records: &[Record], examples: &mut Examples<'_>| {
        for (index, record) in records.iter().enumerate() {
            let text = record.text("text").expect("text");
            let (source, target) = text.split_once('|').expect("two sides");
            let ids = |side: &str| -> Vec<i64> {
                side.split_whitespace()
                    .map(|id| id.parse().expect("a number"))
                    .collect()
            };
            let (source, target) = (ids(source), ids(target));
            examples.push(index, &[Field::Ints(&source), Field::Ints(&target)]);
        }
        Ok(())
    };
    let options = PrepareOptions {
        memory: 1 << 20,
        cache: None,
        bad_records: BadRows::Error,
        progress: &mut |_, _| true,
    };
    let prepared = Prepared::new(&view, Arc::new((specs, encode)), options).expect("prepares");
    assert_eq!(
        prepared.lengths().iter().collect::<Vec<_>>(),
        [4, 5, 2],
        "by which batches are planned"
    );
    let batches = batches(prepared, BatchSize::Tokens(10));
    let lengths: Vec<&[u32]> = batches.iter().map(|batch| &batch.lengths[..]).collect();
    assert_eq!(lengths, [&[3, 1][..], &[1]], "by which padding is masked");
}
