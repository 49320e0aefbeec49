//! How fast rows are parsed, tokenized, stored and batched.
//!
//! ```text
//! cargo run --release -p tenon-core --example throughput -- train.jsonl jsonl tokenizer.json
//! cargo run --release -p tenon-core --example throughput -- stsa.binary.train \
//!     '{"kind": "lines", "delimiter": " ", "columns": ["label", "text"]}' tokenizer.json
//! ```
//!
//! The data needs a column `text`. Each step runs five times; the fastest counts.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use tenon_core::data::{
    BadRows, BatchSize, Collate, DType, DataError, Dataset, Encode, EncodeOptions, Examples, Field,
    FieldSpec, FormatOptions, HfTokenizer, Loader, LoaderOptions, OpenOptions, Plan, PlanOptions,
    PrepareOptions, Prepared, Projection, Record, RecordError, Source, SourceSpec, Tokenize, View,
};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [data, format, tokenizer] = &arguments[..] else {
        return Err("usage: throughput DATA FORMAT TOKENIZER".into());
    };
    let format: FormatOptions = serde_json::from_str(format)
        .or_else(|_| serde_json::from_value(serde_json::json!({ "kind": format })))?;
    let spec = SourceSpec {
        paths: vec![data.clone()],
        format,
        base: "".into(),
    };
    let source = Source::resolve(&spec, "train")?;
    let began = Instant::now();
    let tokenizer = Arc::new(HfTokenizer::load(Path::new(tokenizer))?);
    println!(
        "tokenizer loaded in {:.0} ms",
        began.elapsed().as_secs_f64() * 1e3
    );
    let encoder = encoder(tokenizer);
    for threads in [1, 2] {
        let open = || {
            let options = OpenOptions {
                columns: Projection::only(["text"], []),
                threads,
                ..OpenOptions::default()
            };
            Dataset::open(&source, &options).map(|dataset| View::all(Arc::new(dataset)))
        };
        let view = open()?;
        let parse = || view.scan(|_, records| records.len(), |_| Ok(()));
        let prepare = || {
            let options = PrepareOptions {
                memory: 1 << 30,
                cache: None,
                bad_records: BadRows::Error,
                progress: &mut |_, _| true,
            };
            Prepared::new(&view, Arc::clone(&encoder), options)
        };
        println!("{threads} thread(s)");
        report("open and index", view.len(), || open().map(drop))?;
        report("parse", view.len(), parse)?;
        report("parse, tokenize, store", view.len(), || prepare().map(drop))?;
        let prepared = Arc::new(prepare()?);
        let plan = |batch| {
            Plan::new(
                Arc::clone(prepared.lengths()),
                PlanOptions {
                    batch,
                    ..PlanOptions::default()
                },
            )
        };
        report("batch by 32", view.len(), || {
            let options = LoaderOptions {
                workers: threads,
                ..LoaderOptions::default()
            };
            let plan = Arc::new(plan(BatchSize::Examples(32))?);
            Loader::new(Arc::clone(&prepared), plan, options).try_for_each(|batch| batch.map(drop))
        })?;
        for batch in [BatchSize::Examples(32), BatchSize::Tokens(4096)] {
            println!(
                "  padding {:.1} % for {batch:?}",
                100.0 * plan(batch)?.padding().share()
            );
        }
    }
    Ok(())
}

fn encoder(tokenizer: Arc<HfTokenizer>) -> Arc<dyn Encode> {
    let field = |name: &str, length| FieldSpec {
        name: name.to_owned(),
        dtype: DType::Int,
        collate: Collate::Pad(0.0),
        length,
    };
    let encode = move |records: &[Record], examples: &mut Examples<'_>| {
        let options = EncodeOptions {
            max_length: Some(512),
            ..EncodeOptions::default()
        };
        for (index, record) in records.iter().enumerate() {
            let failed = |source| RecordError {
                record: Some(index),
                source,
            };
            let text = record.text("text").map_err(|error| failed(error.into()))?;
            let encoding = tokenizer
                .encode(text, None, &options)
                .map_err(|error| failed(error.into()))?;
            let widen = |ids: &[u32]| ids.iter().map(|&id| i64::from(id)).collect::<Vec<_>>();
            examples.push(
                index,
                &[
                    Field::Ints(&widen(&encoding.ids)),
                    Field::Ints(&widen(&encoding.type_ids)),
                ],
            );
        }
        Ok(())
    };
    Arc::new((
        vec![field("input_ids", true), field("token_type_ids", false)],
        encode,
    ))
}

fn report(
    what: &str,
    rows: usize,
    step: impl Fn() -> Result<(), DataError>,
) -> Result<(), DataError> {
    let mut best = f64::INFINITY;
    for _ in 0..5 {
        let began = Instant::now();
        step()?;
        best = best.min(began.elapsed().as_secs_f64());
    }
    println!(
        "  {what:<24}{:>9.2} ms{:>12.0} rows/s",
        best * 1e3,
        rows as f64 / best
    );
    Ok(())
}
