//! Shows that memory stays flat for a file of any size.
//!
//! ```text
//! cargo run --release -p tenon-core --example large_file -- jsonl 2
//! ```
//!
//! Writes a file of that many gigabytes (jsonl, csv or parquet) into a temporary folder, opens it,
//! reads batches of 32 in shuffled order, then every row once in parallel, and prints after each
//! step the time it took and the peak of the memory held until then: anonymous pages, which is
//! what the program owns, and all resident pages.

use std::error::Error;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;
use tenon_core::data::rng::{Permutation, Rng};
use tenon_core::data::{Dataset, OpenOptions, Projection, Source, SourceSpec, View};

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (format, gigabytes) = match &arguments[..] {
        [format, gigabytes] if ["jsonl", "csv", "parquet"].contains(&format.as_str()) => {
            (format.as_str(), gigabytes.parse::<f64>()?)
        }
        _ => return Err("usage: large_file jsonl|csv|parquet GIGABYTES".into()),
    };
    let folder = tempfile::tempdir()?;
    let path = folder.path().join(format!("large.{format}"));
    let memory = Memory::watch();
    let began = Instant::now();
    let rows = write(&path, format, (gigabytes * 1e9) as u64)?;
    let size = std::fs::metadata(&path)?.len();
    println!("{:.2} GB of {format}, {rows} rows", size as f64 / 1e9);
    memory.report("write", began, rows);

    memory.reset();
    let began = Instant::now();
    let spec = SourceSpec {
        paths: vec![path.display().to_string()],
        ..SourceSpec::default()
    };
    let columns = Projection::only(["text", "label"], []);
    let options = OpenOptions {
        columns,
        ..OpenOptions::default()
    };
    let dataset = Arc::new(Dataset::open(&Source::resolve(&spec, "train")?, &options)?);
    memory.report("open", began, dataset.len());

    // A jump in parquet decodes a block, so fewer will do.
    let batches = if format == "parquet" { 4 } else { 2000 };
    let began = Instant::now();
    let order = Permutation::new(dataset.len() as u64, 1);
    for batch in 0..batches {
        let rows: Vec<usize> = (0..32)
            .map(|place| order.get(batch * 32 + place) as usize)
            .collect();
        dataset.get_many(&rows)?;
    }
    memory.report("shuffled batches", began, batches as usize * 32);

    let began = Instant::now();
    let mut bytes = 0;
    let view = View::all(Arc::clone(&dataset));
    view.scan(
        |_, records| {
            records
                .iter()
                .filter_map(|record| record.text("text").ok())
                .map(str::len)
                .sum::<usize>()
        },
        |sum| {
            bytes += sum;
            Ok(())
        },
    )?;
    memory.report("one whole pass", began, dataset.len());
    println!("{:.2} GB of text seen", bytes as f64 / 1e9);
    Ok(())
}

/// Writes about `size` bytes of sentences; returns how many.
fn write(path: &Path, format: &str, size: u64) -> Outcome<usize> {
    let mut rng = Rng::new(1);
    let mut sentence = move || {
        let words = 5 + rng.below(40);
        let mut text = String::new();
        for _ in 0..words {
            for _ in 0..2 + rng.below(8) {
                text.push(char::from(b'a' + rng.below(26) as u8));
            }
            text.push(if rng.below(12) == 0 { ',' } else { ' ' });
        }
        text
    };
    let mut rows = 0;
    if format == "parquet" {
        let properties = WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            .set_max_row_group_row_count(Some(10_000))
            .build();
        let mut writer: Option<ArrowWriter<File>> = None;
        while writer
            .as_ref()
            .is_none_or(|writer| (writer.bytes_written() as u64) < size)
        {
            let ids: ArrayRef =
                Arc::new((rows as i64..rows as i64 + 10_000).collect::<Int64Array>());
            let texts: ArrayRef = Arc::new(
                (0..10_000)
                    .map(|_| Some(sentence()))
                    .collect::<StringArray>(),
            );
            let labels: ArrayRef = Arc::new((0..10_000).map(|row| row % 2).collect::<Int64Array>());
            let batch =
                RecordBatch::try_from_iter([("id", ids), ("text", texts), ("label", labels)])?;
            if writer.is_none() {
                writer = Some(ArrowWriter::try_new(
                    File::create(path)?,
                    batch.schema(),
                    Some(properties.clone()),
                )?);
            }
            if let Some(writer) = &mut writer {
                writer.write(&batch)?;
            }
            rows += 10_000;
        }
        if let Some(writer) = writer {
            writer.close()?;
        }
        return Ok(rows);
    }
    let mut file = BufWriter::with_capacity(1 << 20, File::create(path)?);
    let mut written = 0;
    if format == "csv" {
        written += file.write(b"id,text,label\n")? as u64;
    }
    while written < size {
        let text = sentence();
        let line = match format {
            "csv" => format!("{rows},\"{text}\",{}\n", rows % 2),
            _ => format!(
                "{{\"id\": {rows}, \"text\": \"{text}\", \"label\": {}}}\n",
                rows % 2
            ),
        };
        file.write_all(line.as_bytes())?;
        written += line.len() as u64;
        rows += 1;
    }
    file.flush()?;
    Ok(rows)
}

/// Peaks of resident memory, from a thread that looks every few milliseconds.
struct Memory {
    peaks: Arc<[AtomicU64; 2]>,
    stop: Arc<AtomicBool>,
}

impl Memory {
    fn watch() -> Self {
        let (peaks, stop) = (
            Arc::<[AtomicU64; 2]>::default(),
            Arc::<AtomicBool>::default(),
        );
        let (seen, ended) = (Arc::clone(&peaks), Arc::clone(&stop));
        thread::spawn(move || {
            while !ended.load(Ordering::Relaxed) {
                for (peak, key) in seen.iter().zip(["RssAnon:", "VmRSS:"]) {
                    peak.fetch_max(kilobytes(key), Ordering::Relaxed);
                }
                thread::sleep(Duration::from_millis(5));
            }
        });
        Self { peaks, stop }
    }

    fn reset(&self) {
        self.peaks
            .iter()
            .for_each(|peak| peak.store(0, Ordering::Relaxed));
    }

    fn report(&self, what: &str, began: Instant, rows: usize) {
        let seconds = began.elapsed().as_secs_f64();
        let [anonymous, resident] =
            [0, 1].map(|kind| self.peaks[kind].load(Ordering::Relaxed) as f64 / 1024.0);
        println!(
            "{what:<18}{seconds:>8.2} s{:>12.0} rows/s   peak {anonymous:>7.1} MiB anonymous, {resident:>7.1} MiB resident",
            rows as f64 / seconds
        );
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// A line of Linux's account of this process; 0 elsewhere.
fn kilobytes(key: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(key));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok())
        .unwrap_or(0)
}
