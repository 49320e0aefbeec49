//! From rows to batches: labels, splits, encoding, caches and the loader.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tenon_core::data::rng::Rng;
use tenon_core::data::{
    BadRows, Batch, BatchSize, Buffer, CacheKey, Collate, DType, DataError, Encode, Examples,
    Field, FieldSpec, Labels, Loader, LoaderOptions, OpenOptions, Plan, PlanOptions,
    PrepareOptions, Prepared, Projection, Record, RecordError, Restored, SplitOptions, View,
    prune_cache, split,
};

use super::{Folder, shared};

/// `rows` rows: a text of some words, a label, and a number.
fn view(folder: &Folder, rows: usize) -> View {
    let mut rng = Rng::new(3);
    let mut file = String::new();
    for row in 0..rows {
        let words: Vec<String> = (0..1 + rng.below(30))
            .map(|_| format!("w{}", rng.below(1000)))
            .collect();
        let label = ["good", "bad", "so-so"][row % 10 / 4];
        file += &format!(
            "{{\"text\": \"{}\", \"label\": \"{label}\", \"row\": {row}}}\n",
            words.join(" ")
        );
    }
    folder.write("x.jsonl", file);
    let options = OpenOptions {
        threads: 3,
        columns: Projection::only(["text", "label", "row"], []),
        ..OpenOptions::default()
    };
    View::all(shared(folder.open("x.jsonl", "", &options).expect("opens")))
}

fn specs() -> Vec<FieldSpec> {
    let field = |name: &str, dtype, collate, length| FieldSpec {
        name: name.to_owned(),
        dtype,
        collate,
        length,
    };
    vec![
        field("input_ids", DType::Int, Collate::Pad(0.0), true),
        field("labels", DType::Int, Collate::Stack, false),
        field("weights", DType::Float, Collate::Pad(-1.0), false),
    ]
}

/// Word lengths as token ids, the row as label; `copies` examples a record.
fn encoder(
    copies: usize,
) -> impl Fn(&[Record], &mut Examples<'_>) -> Result<(), RecordError> + Send + Sync {
    move |records, examples| {
        for (index, record) in records.iter().enumerate() {
            let fail = |error: DataError| RecordError {
                record: Some(index),
                source: error.into(),
            };
            let ids: Vec<i64> = record
                .text("text")
                .map_err(fail)?
                .split(' ')
                .map(|word| word[1..].parse().unwrap_or(-1))
                .collect();
            let row = record.int("row").map_err(fail)?;
            for copy in 0..copies {
                examples.push(
                    index,
                    &[
                        Field::Ints(&ids),
                        Field::Ints(&[row]),
                        Field::Floats(&[row as f32, copy as f32]),
                    ],
                );
            }
        }
        Ok(())
    }
}

fn prepare(
    view: &View,
    encoder: Arc<dyn Encode>,
    memory: u64,
    cache: Option<&Folder>,
) -> Result<Prepared, DataError> {
    let cache = cache.map(|folder| {
        (
            folder.path().to_owned(),
            CacheKey::new(view).expect("a key").part("task", "test"),
        )
    });
    let options = PrepareOptions {
        memory,
        cache,
        bad_records: BadRows::Error,
        progress: &mut |_, _| true,
    };
    Prepared::new(view, encoder, options)
}

fn batches(prepared: Prepared, workers: usize) -> Vec<Batch> {
    let prepared = Arc::new(prepared);
    let options = PlanOptions {
        batch: BatchSize::Tokens(300),
        window: 5,
        seed: 9,
        ..PlanOptions::default()
    };
    let plan = Arc::new(Plan::new(Arc::clone(prepared.lengths()), options).expect("plans"));
    let options = LoaderOptions {
        workers,
        ..LoaderOptions::default()
    };
    Loader::new(prepared, plan, options)
        .map(|batch| batch.expect("a batch"))
        .collect()
}

#[test]
fn batches_are_the_same_from_memory_file_and_stream() {
    let folder = Folder::new();
    let view = view(&folder, 2000);
    for copies in [1, 3] {
        let cache = Folder::new();
        let encoder: Arc<dyn Encode> = Arc::new((specs(), encoder(copies)));
        let in_memory = prepare(&view, Arc::clone(&encoder), 1 << 30, None).expect("prepares");
        let streamed = prepare(&view, Arc::clone(&encoder), 100, None).expect("prepares");
        let on_disk = prepare(&view, Arc::clone(&encoder), 100, Some(&cache)).expect("prepares");
        let again = prepare(&view, Arc::clone(&encoder), 100, Some(&cache)).expect("prepares");
        let loaded = prepare(&view, Arc::clone(&encoder), 1 << 30, Some(&cache)).expect("prepares");
        let kinds: Vec<&str> = [&in_memory, &streamed, &on_disk, &again, &loaded]
            .map(|prepared| match prepared {
                Prepared::Streamed(_) => "streamed",
                Prepared::Stored(store) if store.is_in_memory() => "memory",
                Prepared::Stored(_) => "file",
            })
            .to_vec();
        assert_eq!(kinds, ["memory", "streamed", "file", "file", "memory"]);
        let expected = batches(in_memory, 1);
        assert_eq!(
            expected
                .iter()
                .map(|batch| batch.examples.len())
                .sum::<usize>(),
            2000 * copies
        );
        for (name, prepared) in [
            ("streamed", streamed),
            ("on disk", on_disk),
            ("again", again),
            ("loaded", loaded),
        ] {
            for (found, expected) in batches(prepared, 3).iter().zip(&expected) {
                assert_eq!(found, expected, "{name}, {copies} copies");
            }
        }
    }
}

#[test]
fn a_batch_holds_what_was_encoded() {
    let folder = Folder::new();
    let view = view(&folder, 300);
    let prepared =
        prepare(&view, Arc::new((specs(), encoder(2))), 1 << 30, None).expect("prepares");
    let mut seen = BTreeSet::new();
    for batch in batches(prepared, 2) {
        let [ids, labels, weights] = &batch.fields[..] else {
            panic!("three fields")
        };
        let (Buffer::Ints(ids_data), Buffer::Ints(labels_data), Buffer::Floats(weights_data)) =
            (&ids.data, &labels.data, &weights.data)
        else {
            panic!("types as declared")
        };
        let count = batch.examples.len();
        let longest = *batch.lengths.iter().max().expect("not empty") as usize;
        assert_eq!(
            (&ids.shape[..], &labels.shape[..], &weights.shape[..]),
            (&[count, longest][..], &[count][..], &[count, 2][..])
        );
        for place in 0..count {
            let (row, example) = (batch.rows[place], batch.examples[place]);
            let record = view.get(row).expect("a row");
            let words: Vec<i64> = record
                .text("text")
                .expect("text")
                .split(' ')
                .map(|word| word[1..].parse().expect("a number"))
                .collect();
            let found = &ids_data[place * longest..(place + 1) * longest];
            assert_eq!(&found[..words.len()], words);
            assert!(found[words.len()..].iter().all(|&id| id == 0));
            assert_eq!(labels_data[place], row as i64);
            assert_eq!(
                weights_data[place * 2..place * 2 + 2],
                [row as f32, (example % 2) as f32]
            );
            assert!(seen.insert(example));
        }
    }
    assert_eq!(seen.len(), 600);
}

#[test]
fn a_damaged_cache_is_made_again() {
    let folder = Folder::new();
    let cache = Folder::new();
    let view = view(&folder, 200);
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = || -> Arc<dyn Encode> {
        let (calls, encode) = (Arc::clone(&calls), encoder(1));
        Arc::new((
            specs(),
            move |records: &[Record], examples: &mut Examples<'_>| {
                calls.fetch_add(1, Ordering::Relaxed);
                encode(records, examples)
            },
        ))
    };
    let expected = batches(
        prepare(&view, counted(), 1 << 30, Some(&cache)).expect("prepares"),
        1,
    );
    let path = std::fs::read_dir(cache.path())
        .expect("lists")
        .next()
        .expect("one file")
        .expect("an entry")
        .path();
    let whole = std::fs::read(&path).expect("reads");
    calls.store(0, Ordering::Relaxed);
    assert_eq!(
        batches(
            prepare(&view, counted(), 1 << 30, Some(&cache)).expect("prepares"),
            1
        ),
        expected
    );
    assert_eq!(calls.load(Ordering::Relaxed), 0, "a whole cache is used");

    let mut rng = Rng::new(4);
    for round in 0..150 {
        let mut bytes = whole.clone();
        match round % 3 {
            0 => bytes.truncate(rng.below(whole.len() as u64) as usize),
            _ => {
                let at = rng.below(whole.len() as u64) as usize;
                bytes[at] ^= 1 << rng.below(8);
            }
        }
        std::fs::write(&path, &bytes).expect("writes");
        let found = batches(
            prepare(&view, counted(), 1 << 30, Some(&cache)).expect("prepares"),
            1,
        );
        assert_eq!(found, expected, "round {round}");
        assert_eq!(
            std::fs::read(&path).expect("reads"),
            whole,
            "round {round}: made again"
        );
    }
}

#[test]
fn a_cache_damaged_while_in_use_is_an_error() {
    let folder = Folder::new();
    let cache = Folder::new();
    let prepared = prepare(
        &view(&folder, 200),
        Arc::new((specs(), encoder(1))),
        0,
        Some(&cache),
    )
    .expect("prepares");
    let path = std::fs::read_dir(cache.path())
        .expect("lists")
        .next()
        .expect("one file")
        .expect("an entry")
        .path();
    let mut bytes = std::fs::read(&path).expect("reads");
    bytes[..2000].fill(7);
    std::fs::write(&path, bytes).expect("writes");
    let plan = Plan::new(Arc::clone(prepared.lengths()), PlanOptions::default()).expect("plans");
    let error = Loader::new(Arc::new(prepared), Arc::new(plan), LoaderOptions::default())
        .find_map(Result::err)
        .expect("damaged");
    assert!(
        error
            .to_string()
            .contains("is damaged; delete the file and start again"),
        "{error}"
    );
}

#[test]
fn a_key_changes_with_all_that_examples_depend_on() {
    let folder = Folder::new();
    let all = view(&folder, 100);
    let key = |view: &View, task: &str| {
        CacheKey::new(view)
            .expect("a key")
            .part("task", task)
            .finish()
    };
    let first = key(&all, "a");
    assert_eq!(key(&all, "a"), first);
    let mut keys = BTreeSet::from([
        first,
        key(&all, "b"),
        key(&all.limit(50), "a"),
        key(&all.limit(51), "a"),
    ]);
    folder.write(
        "x.jsonl",
        "{\"text\": \"w1\", \"label\": \"good\", \"row\": 0}\n",
    );
    keys.insert(key(&all, "a"));
    assert_eq!(keys.len(), 5);
    folder.write("x.csv", "text,label\na film;b,good\n");
    let read = |format: &str| {
        let dataset = folder.open("x.csv", format, &OpenOptions::default());
        View::all(Arc::new(dataset.expect("opens")))
    };
    assert_ne!(
        key(&read(""), "a"),
        key(&read(r#"{"kind": "csv", "delimiter": ";"}"#), "a"),
        "the same file read in another way"
    );
}

#[test]
fn old_cache_files_make_room() {
    let cache = Folder::new();
    for (age, name) in ["new.examples", "middle.unpacked", "old.examples"]
        .iter()
        .enumerate()
    {
        let path = cache.write(name, [0; 1000]);
        let time = std::time::SystemTime::now() - Duration::from_secs(100 * age as u64);
        std::fs::File::options()
            .append(true)
            .open(path)
            .expect("opens")
            .set_modified(time)
            .expect("dates");
    }
    cache.write("someone-elses.txt", [0; 1000]);
    prune_cache(cache.path(), 2500);
    let mut left: Vec<_> = std::fs::read_dir(cache.path())
        .expect("lists")
        .map(|entry| entry.expect("an entry").file_name())
        .collect();
    left.sort();
    assert_eq!(
        left,
        ["middle.unpacked", "new.examples", "someone-elses.txt"]
    );
}

#[test]
fn records_that_cannot_be_encoded() {
    let folder = Folder::new();
    let view = view(&folder, 1000);
    let picky = || -> Arc<dyn Encode> {
        let encode = encoder(1);
        Arc::new((
            specs(),
            move |records: &[Record], examples: &mut Examples<'_>| {
                for (index, record) in records.iter().enumerate() {
                    if record.int("row").is_ok_and(|row| row % 300 == 299) {
                        return Err(RecordError {
                            record: Some(index),
                            source: "no such label".into(),
                        });
                    }
                }
                encode(records, examples)
            },
        ))
    };
    let error = prepare(&view, picky(), 1 << 30, None)
        .err()
        .expect("an error");
    insta::assert_snapshot!("record_error", folder.hide(&error.to_string()));
    for memory in [1 << 30, 0] {
        let options = PrepareOptions {
            memory,
            cache: None,
            bad_records: BadRows::Skip,
            progress: &mut |_, _| true,
        };
        let prepared = Prepared::new(&view, picky(), options).expect("prepares");
        assert_eq!((prepared.len(), prepared.skipped().count), (997, 3));
        insta::assert_snapshot!(
            "records_skipped",
            folder.hide(&prepared.skipped().first.join("\n"))
        );
        let rows: BTreeSet<usize> = batches(prepared, 2)
            .into_iter()
            .flat_map(|batch| batch.rows)
            .collect();
        assert_eq!(rows.len(), 997);
        assert!(!rows.contains(&299));
    }
}

#[test]
fn examples_that_break_their_declaration() {
    let folder = Folder::new();
    let view = view(&folder, 10);
    let cases: [&[Field<'_>]; 3] = [
        &[Field::Ints(&[1])],
        &[
            Field::Ints(&[1 << 40]),
            Field::Ints(&[0]),
            Field::Floats(&[]),
        ],
        &[Field::Floats(&[1.0]), Field::Ints(&[0]), Field::Floats(&[])],
    ];
    let messages: Vec<_> = (0..cases.len())
        .map(|case| {
            let wrong = move |_: &[Record], examples: &mut Examples<'_>| {
                examples.push(1, cases[case]);
                Ok(())
            };
            let error = prepare(&view, Arc::new((specs(), wrong)), 1 << 30, None)
                .err()
                .expect("an error");
            folder.hide(&error.to_string())
        })
        .collect();
    insta::assert_snapshot!(messages.join("\n"));
}

#[test]
fn preparation_can_be_cancelled() {
    let folder = Folder::new();
    let cache = Folder::new();
    let view = view(&folder, 5000);
    let mut calls = Vec::new();
    let mut progress = |done, total| {
        calls.push((done, total));
        calls.len() < 3
    };
    let key = CacheKey::new(&view).expect("a key");
    let options = PrepareOptions {
        memory: 0,
        cache: Some((cache.path().to_owned(), key)),
        bad_records: BadRows::Error,
        progress: &mut progress,
    };
    let result = Prepared::new(&view, Arc::new((specs(), encoder(1))), options);
    assert!(matches!(result, Err(DataError::Cancelled)));
    assert_eq!(calls, [(256, 5000), (512, 5000), (768, 5000)]);
    assert_eq!(
        std::fs::read_dir(cache.path()).expect("lists").count(),
        0,
        "nothing half-made stays"
    );
}

/// A streamed set whose encoder misbehaves on `row`.
fn treacherous(folder: &Folder, misbehave: fn()) -> Prepared {
    let armed = Arc::new(AtomicUsize::new(0));
    let arm = Arc::clone(&armed);
    let encode = encoder(1);
    let encoder = move |records: &[Record], examples: &mut Examples<'_>| {
        for (index, record) in records.iter().enumerate() {
            if armed.load(Ordering::Relaxed) == 1 && record.int("row").is_ok_and(|row| row == 100) {
                misbehave();
                return Err(RecordError {
                    record: Some(index),
                    source: "went wrong".into(),
                });
            }
        }
        encode(records, examples)
    };
    let prepared =
        prepare(&view(folder, 500), Arc::new((specs(), encoder)), 0, None).expect("prepares");
    arm.store(1, Ordering::Relaxed);
    prepared
}

#[test]
fn an_error_or_panic_of_a_worker_arrives_in_its_place() {
    let folder = Folder::new();
    let cases: [(fn(), &str); 2] = [
        (|| (), "x.jsonl:101: went wrong"),
        (
            || panic!("out of luck"),
            "a data worker panicked: out of luck",
        ),
    ];
    for (misbehave, expected) in cases {
        for workers in [1, 4] {
            let prepared = Arc::new(treacherous(&folder, misbehave));
            let options = PlanOptions {
                seed: 1,
                ..PlanOptions::default()
            };
            let plan = Arc::new(Plan::new(Arc::clone(prepared.lengths()), options).expect("plans"));
            let place = (0..plan.len())
                .find(|&number| plan.batch(number).contains(&100))
                .expect("is planned");
            let results: Vec<_> = Loader::new(
                prepared,
                plan,
                LoaderOptions {
                    workers,
                    ..LoaderOptions::default()
                },
            )
            .collect();
            assert_eq!(results.len(), place + 1, "{workers} workers");
            assert!(results[..place].iter().all(Result::is_ok));
            let error = results[place].as_ref().expect_err("an error").to_string();
            assert_eq!(folder.hide(&error), expected);
        }
    }
}

#[test]
fn a_loader_resumes_in_the_middle_and_ends_early() {
    let folder = Folder::new();
    let prepared = Arc::new(
        prepare(
            &view(&folder, 2000),
            Arc::new((specs(), encoder(1))),
            1 << 30,
            None,
        )
        .expect("prepares"),
    );
    let plan =
        Arc::new(Plan::new(Arc::clone(prepared.lengths()), PlanOptions::default()).expect("plans"));
    let load = |start| {
        let options = LoaderOptions {
            start,
            workers: 3,
            prefetch: 4,
            ..LoaderOptions::default()
        };
        Loader::new(Arc::clone(&prepared), Arc::clone(&plan), options)
    };
    let all: Vec<Batch> = load(0).map(|batch| batch.expect("a batch")).collect();
    let rest: Vec<Batch> = load(40).map(|batch| batch.expect("a batch")).collect();
    assert_eq!(rest, all[40..]);
    assert!(load(plan.len()).next().is_none());
    let began = Instant::now();
    for _ in 0..20 {
        let mut loader = load(0);
        assert!(loader.next().is_some());
    }
    assert!(
        began.elapsed() < Duration::from_secs(5),
        "dropped loaders must not finish their plan"
    );
    let mut restored = Restored::new(prepared.len());
    for batch in &all {
        restored
            .add(&batch.examples, batch.rows.iter().copied())
            .expect("adds");
    }
    assert_eq!(
        restored.finish().expect("whole"),
        (0..2000).collect::<Vec<_>>()
    );
}

#[test]
fn labels_are_numbered_the_same_whatever_the_order_of_rows() {
    let folder = Folder::new();
    let cases: [(&[&str], &[&str]); 5] = [
        (&["\"b\"", "\"a\"", "\"b\"", "null"], &["a", "b"]),
        (&["10", "9", "-1", "9"], &["-1", "9", "10"]),
        (&["\"10\"", "\"9\""], &["9", "10"]),
        (&["true", "false"], &["false", "true"]),
        (&["[\"x\", \"z\"]", "[]", "[\"y\"]"], &["x", "y", "z"]),
    ];
    for (cells, expected) in cases {
        for reversed in [false, true] {
            let mut cells = cells.to_vec();
            if reversed {
                cells.reverse();
            }
            let file: String = cells
                .iter()
                .map(|cell| format!("{{\"label\": {cell}}}\n"))
                .collect();
            folder.write("x.jsonl", file);
            let view = View::all(shared(
                folder
                    .open("x.jsonl", "", &OpenOptions::default())
                    .expect("opens"),
            ));
            let labels = Labels::discover(&view, "label").expect("labels");
            assert_eq!(labels.names(), expected);
            assert!(
                expected
                    .iter()
                    .enumerate()
                    .all(|(id, name)| labels.id(name) == Some(id))
            );
        }
    }
}

#[test]
fn columns_that_are_no_labels() {
    let folder = Folder::new();
    let view = view(&folder, 10_500);
    let many = Labels::discover(&view, "row")
        .expect_err("too many")
        .to_string();
    let none = Labels::discover(&view, "absent")
        .expect_err("none")
        .to_string();
    let twice = Labels::new(vec!["a".to_owned(), "a".to_owned()], "label")
        .expect_err("twice")
        .to_string();
    // Which value is met last depends on the chunk, which is fixed, so it can be shown.
    insta::assert_snapshot!([many, none, twice].join("\n"));
}

#[test]
fn a_stratified_split_of_a_view() {
    let folder = Folder::new();
    let view = view(&folder, 1000);
    let labels = Labels::discover(&view, "label").expect("labels");
    let classes = labels.classes(&view, "label").expect("classes");
    let parts = split(
        view.len(),
        &SplitOptions {
            shares: vec![0.1],
            seed: 5,
        },
        Some(&classes),
    )
    .expect("splits");
    let [validation, train] = [view.select(&parts[0]), view.select(&parts[1])];
    assert_eq!((validation.len(), train.len()), (100, 900));
    let rows = |view: &View| -> BTreeSet<i64> {
        (0..view.len())
            .map(|row| view.get(row).expect("a row").int("row").expect("an id"))
            .collect()
    };
    assert!(rows(&validation).is_disjoint(&rows(&train)));
    let good = (0..100)
        .filter(|&row| {
            validation
                .get(row)
                .expect("a row")
                .text("label")
                .expect("text")
                == "good"
        })
        .count();
    assert_eq!(good, 40);
    let first: BTreeSet<i64> = rows(&train).into_iter().take(50).collect();
    assert_eq!(rows(&train.limit(50)), first);
    assert_eq!(train.limit(1000).len(), 900);
}
