//! Encoded examples, kept compactly in memory or in a file of the per-user cache.
//!
//! A cache file is the packed examples (little-endian words), then a table of every sixteenth
//! start and of the lengths, a JSON footer, its sizes, a checksum of table and footer, and a magic
//! number. It is written beside its place and renamed into it, so a file under its final name is
//! whole; whatever damages it later is found by a checksum, and the file is made again. Its name
//! is the SHA-256 of all that its content depends on ([`CacheKey`]).

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::dataset::Skipped;
use super::error::DataError;
use super::example::{FieldSpec, HEAD, Packed, Packet, checksum};
use super::lengths::Lengths;
use super::text::PositionedFile;
use super::view::View;
use crate::hex;

/// Examples between two known starts.
const STRIDE: usize = 16;
const MAGIC: &[u8; 8] = b"tenonEX1";
const EXTENSION: &str = "examples";
/// Footer size (u64), table size (u64), checksum (u32) and magic number.
const TAIL: usize = 8 + 8 + 4 + MAGIC.len();

/// What the content of a cache file depends on.
#[derive(Clone, Debug)]
pub struct CacheKey(Sha256);

impl CacheKey {
    /// A key for the examples made of `view`: its files (path, size, time of last change), how they
    /// are read, and which of their rows.
    ///
    /// # Errors
    /// A file that has gone.
    pub fn new(view: &View) -> Result<Self, DataError> {
        let mut key = Self(Sha256::new());
        key = key
            .part("store", env!("CARGO_PKG_VERSION"))
            .part("format", "1")
            .part("reading", &format!("{:?}", view.dataset().format()));
        for path in view.dataset().paths() {
            let failed = |source| DataError::io("read", path, source);
            let metadata = fs::metadata(path).map_err(failed)?;
            let whole = fs::canonicalize(path).map_err(failed)?;
            let changed = metadata
                .modified()
                .ok()
                .and_then(|time| time.duration_since(UNIX_EPOCH).ok());
            key = key
                .part("file", &whole.to_string_lossy())
                .part("size", &metadata.len().to_string())
                .part(
                    "changed",
                    &changed.unwrap_or_default().as_nanos().to_string(),
                );
        }
        Ok(key
            .part("readable", &view.dataset().rows().fingerprint())
            .part("rows", &view.rows().fingerprint()))
    }

    /// Adds a dependency: the task's options, the tokenizer's hash, a plugin's version, …
    #[must_use]
    pub fn part(mut self, name: &str, value: &str) -> Self {
        for text in [name, value] {
            self.0.update((text.len() as u64).to_le_bytes());
            self.0.update(text);
        }
        self
    }

    /// The key as text.
    pub fn finish(&self) -> String {
        hex(&self.0.clone().finalize())
    }

    pub(crate) fn path(&self, folder: &Path) -> PathBuf {
        folder.join(self.finish()).with_extension(EXTENSION)
    }
}

/// A set of encoded examples, by number.
pub struct ExampleStore {
    specs: Arc<[FieldSpec]>,
    body: Body,
    /// First word of every sixteenth example.
    starts: Vec<u64>,
    lengths: Arc<Lengths>,
    words: u64,
    skipped: Skipped,
    /// Holds the file of a store without a cache, and removes it.
    _spill: Option<tempfile::TempDir>,
}

enum Body {
    Memory(Vec<u32>),
    File(PositionedFile),
}

#[derive(Serialize, Deserialize)]
struct Footer {
    key: String,
    examples: usize,
    words: u64,
    skipped: u64,
    first_skipped: Vec<String>,
}

impl ExampleStore {
    /// Number of examples.
    pub fn len(&self) -> usize {
        self.lengths.len()
    }

    /// Whether there are no examples.
    pub fn is_empty(&self) -> bool {
        self.lengths.is_empty()
    }

    /// The length of each example.
    pub fn lengths(&self) -> &Arc<Lengths> {
        &self.lengths
    }

    /// The fields of every example.
    pub fn fields(&self) -> &[FieldSpec] {
        &self.specs
    }

    /// Whether the examples are in memory rather than in a file.
    pub fn is_in_memory(&self) -> bool {
        matches!(self.body, Body::Memory(_))
    }

    /// Bytes of the examples themselves.
    pub fn bytes(&self) -> u64 {
        self.words * 4
    }

    /// Records that could not be encoded and were left out.
    pub fn skipped(&self) -> &Skipped {
        &self.skipped
    }

    /// Calls `take` with the examples at `indices`, in that order.
    pub(crate) fn with<T>(
        &self,
        indices: &[usize],
        take: impl FnOnce(&[Packet<'_>]) -> Result<T, DataError>,
    ) -> Result<T, DataError> {
        match &self.body {
            Body::Memory(words) => {
                let packets: Vec<_> = indices
                    .iter()
                    .map(|&index| Packet(self.find(words, 0, index)))
                    .collect();
                take(&packets)
            }
            Body::File(file) => {
                let mut words = Vec::new();
                let mut ends = Vec::with_capacity(indices.len());
                for &index in indices {
                    self.read(file, index, &mut words)?;
                    ends.push(words.len());
                }
                let mut rest = words.as_slice();
                let mut taken = 0;
                let mut packets = Vec::with_capacity(indices.len());
                for end in ends {
                    let (packet, after) = rest.split_at(end - taken);
                    packets.push(Packet(packet));
                    (rest, taken) = (after, end);
                }
                take(&packets)
            }
        }
    }

    /// The example at `index` within `words`, which begin at word `from` of the store.
    fn find<'a>(&self, words: &'a [u32], from: u64, index: usize) -> &'a [u32] {
        let mut at = (self.starts[index / STRIDE] - from) as usize;
        for _ in 0..index % STRIDE {
            at += words[at] as usize;
        }
        &words[at..at + words[at] as usize]
    }

    /// Reads and checks the example at `index` from the file.
    fn read(
        &self,
        file: &PositionedFile,
        index: usize,
        words: &mut Vec<u32>,
    ) -> Result<(), DataError> {
        let block = index / STRIDE;
        let from = self.starts[block];
        let to = self.starts.get(block + 1).copied().unwrap_or(self.words);
        let mut bytes = vec![0; (to - from) as usize * 4];
        file.read_exact_at(&mut bytes, from * 4)?;
        let found = to_words(&bytes);
        let damaged = || DataError::Cache {
            path: file.shown().to_path_buf(),
            problem: format!("example {index} is damaged"),
        };
        let mut rest = found.as_slice();
        for _ in 0..index % STRIDE {
            rest = split_example(rest).ok_or_else(damaged)?.1;
        }
        let (example, _) = split_example(rest).ok_or_else(damaged)?;
        words.extend_from_slice(example);
        Ok(())
    }

    /// Opens the cache file for `key`, if there is a whole one. A damaged one is removed.
    pub(crate) fn open(
        folder: &Path,
        key: &CacheKey,
        specs: &[FieldSpec],
        budget: u64,
    ) -> Option<Self> {
        let path = key.path(folder);
        if !path.exists() {
            return None;
        }
        match Self::load(&path, key, specs, budget) {
            Ok(store) => {
                // The last use decides what is pruned first; a read-only folder does no harm.
                let now = File::options()
                    .append(true)
                    .open(&path)
                    .and_then(|file| file.set_modified(SystemTime::now()));
                if let Err(error) = now {
                    tracing::debug!(path = %path.display(), %error, "cannot mark the cache file as used");
                }
                Some(store)
            }
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "cached examples are not usable and are made again");
                drop(fs::remove_file(&path));
                None
            }
        }
    }

    fn load(
        path: &Path,
        key: &CacheKey,
        specs: &[FieldSpec],
        budget: u64,
    ) -> Result<Self, DataError> {
        let damaged = |problem: &str| DataError::Cache {
            path: path.to_owned(),
            problem: problem.to_owned(),
        };
        let file = PositionedFile::open(path)?;
        let (footer, table) =
            read_end(&file).ok_or_else(|| damaged("it is cut short or damaged"))?;
        if footer.key != key.finish() {
            return Err(damaged("it is another file under this name"));
        }
        let count = footer.examples;
        let starts_len = count.div_ceil(STRIDE) * 8;
        let (starts, lengths) = table
            .split_at_checked(starts_len)
            .ok_or_else(|| damaged("its table is too short"))?;
        let starts: Vec<u64> = starts
            .as_chunks()
            .0
            .iter()
            .map(|start| u64::from_le_bytes(*start))
            .collect();
        let lengths: Lengths = to_words(lengths).into_iter().collect();
        if lengths.len() != count
            || starts.windows(2).any(|pair| pair[0] > pair[1])
            || starts.last().is_some_and(|last| *last > footer.words)
        {
            return Err(damaged("its table does not fit"));
        }
        let body = match footer.words * 4 <= budget {
            true => Body::Memory(
                read_words(&file, footer.words, count)
                    .ok_or_else(|| damaged("its examples are damaged"))?,
            ),
            false => Body::File(file),
        };
        let skipped = Skipped {
            count: footer.skipped,
            first: footer.first_skipped,
        };
        Ok(Self {
            specs: specs.into(),
            body,
            starts,
            lengths: Arc::new(lengths),
            words: footer.words,
            skipped,
            _spill: None,
        })
    }
}

/// Gathers examples as they are encoded, in order.
pub(crate) struct StoreBuilder {
    specs: Arc<[FieldSpec]>,
    /// All words, until they exceed the budget.
    memory: Option<Vec<u32>>,
    file: Option<CacheFile>,
    budget: u64,
    starts: Vec<u64>,
    pub(crate) lengths: Lengths,
    words: u64,
    pub(crate) skipped: Skipped,
    spill: Option<tempfile::TempDir>,
}

struct CacheFile {
    out: BufWriter<tempfile::NamedTempFile>,
    path: PathBuf,
    key: String,
}

impl StoreBuilder {
    /// A builder that keeps up to `budget` bytes in memory, and writes a cache file if it can.
    pub(crate) fn new(specs: &[FieldSpec], budget: u64, cache: Option<(&Path, &CacheKey)>) -> Self {
        let file = cache.and_then(|(folder, key)| {
            let temporary = fs::create_dir_all(folder).and_then(|()| tempfile::NamedTempFile::new_in(folder));
            match temporary {
                Ok(file) => Some(CacheFile { out: BufWriter::with_capacity(1 << 20, file), path: key.path(folder), key: key.finish() }),
                Err(error) => {
                    tracing::warn!(folder = %folder.display(), %error, "encoded examples cannot be cached");
                    None
                }
            }
        });
        Self {
            specs: specs.into(),
            memory: Some(Vec::new()),
            file,
            budget,
            starts: Vec::new(),
            lengths: Lengths::default(),
            words: 0,
            skipped: Skipped::default(),
            spill: None,
        }
    }

    /// A builder that keeps up to `budget` bytes in memory and more in a temporary file.
    ///
    /// # Errors
    /// There is no folder for it.
    pub(crate) fn spilling(specs: &[FieldSpec], budget: u64) -> Result<Self, DataError> {
        let folder = tempfile::Builder::new().prefix("tenon-examples-").tempdir();
        let folder = folder
            .map_err(|error| DataError::io("make a folder in", &std::env::temp_dir(), error))?;
        let key = CacheKey(Sha256::new());
        let mut builder = Self::new(specs, budget, Some((folder.path(), &key)));
        builder.spill = Some(folder);
        Ok(builder)
    }

    /// Adds examples. What fits neither memory nor file is forgotten, apart from its lengths.
    pub(crate) fn add(&mut self, packed: &Packed) {
        let mut at = 0;
        for &length in &packed.lengths {
            if self.lengths.len().is_multiple_of(STRIDE) {
                self.starts.push(self.words + at as u64);
            }
            self.lengths.push(length);
            at += packed.words[at] as usize;
        }
        self.words += packed.words.len() as u64;
        match &mut self.memory {
            Some(_) if self.words * 4 > self.budget => self.memory = None,
            Some(memory) => memory.extend_from_slice(&packed.words),
            None => {}
        }
        if let Some(file) = &mut self.file
            && let Err(error) = packed
                .words
                .iter()
                .try_for_each(|word| file.out.write_all(&word.to_le_bytes()))
        {
            tracing::warn!(path = %file.path.display(), %error, "encoded examples cannot be cached");
            self.file = None;
        }
    }

    /// The finished store; `Err` with the lengths where the examples fit neither memory nor file.
    pub(crate) fn finish(mut self) -> Result<ExampleStore, (Arc<Lengths>, Skipped)> {
        let written = self.file.take().and_then(|file| {
            let path = file.path.clone();
            match self.seal(file) {
                Ok(file) => Some(file),
                Err(error) => {
                    tracing::warn!(path = %path.display(), %error, "encoded examples cannot be cached");
                    None
                }
            }
        });
        let lengths = Arc::new(self.lengths);
        let body = match (self.memory, written) {
            (Some(mut words), _) => {
                words.shrink_to_fit();
                Body::Memory(words)
            }
            (None, Some(file)) => Body::File(file),
            (None, None) => return Err((lengths, self.skipped)),
        };
        Ok(ExampleStore {
            specs: self.specs,
            body,
            starts: self.starts,
            lengths,
            words: self.words,
            skipped: self.skipped,
            _spill: self.spill,
        })
    }

    fn seal(&self, file: CacheFile) -> Result<PositionedFile, DataError> {
        let failed = |source| DataError::io("write", &file.path, source);
        let footer = Footer {
            key: file.key,
            examples: self.lengths.len(),
            words: self.words,
            skipped: self.skipped.count,
            first_skipped: self.skipped.first.clone(),
        };
        let mut out = file.out;
        let mut hasher = crc32fast::Hasher::new();
        let mut put = |bytes: &[u8]| {
            hasher.update(bytes);
            out.write_all(bytes)
        };
        for start in &self.starts {
            put(&start.to_le_bytes()).map_err(failed)?;
        }
        for length in self.lengths.iter() {
            put(&length.to_le_bytes()).map_err(failed)?;
        }
        let footer = serde_json::to_vec(&footer).map_err(|error| failed(error.into()))?;
        put(&footer).map_err(failed)?;
        let table_len = (self.starts.len() * 8 + self.lengths.len() * 4) as u64;
        put(&(footer.len() as u64).to_le_bytes()).map_err(failed)?;
        put(&table_len.to_le_bytes()).map_err(failed)?;
        let sum = hasher.finalize();
        out.write_all(&sum.to_le_bytes())
            .and_then(|()| out.write_all(MAGIC))
            .map_err(failed)?;
        let temporary = out
            .into_inner()
            .map_err(|error| failed(error.into_error()))?;
        let sealed = temporary
            .persist(&file.path)
            .map_err(|error| failed(error.error))?;
        // The handle of the temporary file may not be open for reading.
        drop(sealed);
        PositionedFile::open(&file.path)
    }
}

/// Removes the cache files that were used longest ago until the rest take at most `most` bytes.
/// What cannot be removed stays.
pub fn prune_cache(folder: &Path, most: u64) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    let mut files: Vec<(SystemTime, u64, PathBuf)> = entries
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            let metadata = fs::metadata(&path).ok()?;
            let ours = path
                .extension()
                .is_some_and(|extension| extension == EXTENSION || extension == "unpacked");
            (ours && metadata.is_file()).then(|| {
                (
                    metadata.modified().unwrap_or(UNIX_EPOCH),
                    metadata.len(),
                    path,
                )
            })
        })
        .collect();
    files.sort_unstable_by(|a, b| b.cmp(a));
    let mut total = 0;
    for (_, len, path) in files {
        total += len;
        if total > most
            && let Err(error) = fs::remove_file(&path)
        {
            tracing::debug!(path = %path.display(), %error, "cannot remove an old cache file");
        }
    }
}

/// The footer, and the table before it.
fn read_end(file: &PositionedFile) -> Option<(Footer, Vec<u8>)> {
    let mut tail = [0; TAIL];
    let body_len = file.len().checked_sub(TAIL as u64)?;
    file.read_exact_at(&mut tail, body_len).ok()?;
    let (footer_len, table_len) = (le_u64(&tail[..8]), le_u64(&tail[8..16]));
    if &tail[20..] != MAGIC {
        return None;
    }
    let table_at = body_len.checked_sub(footer_len.checked_add(table_len)?)?;
    let mut bytes = vec![0; usize::try_from(body_len - table_at).ok()?];
    file.read_exact_at(&mut bytes, table_at).ok()?;
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&bytes);
    hasher.update(&tail[..16]);
    if hasher.finalize().to_le_bytes() != tail[16..20] {
        return None;
    }
    let footer: Footer = serde_json::from_slice(&bytes[table_len as usize..]).ok()?;
    if footer.words.checked_mul(4)? != table_at {
        return None;
    }
    bytes.truncate(table_len as usize);
    Some((footer, bytes))
}

/// All words of the file, each example checked.
fn read_words(file: &PositionedFile, words: u64, examples: usize) -> Option<Vec<u32>> {
    let mut all = Vec::with_capacity(usize::try_from(words).ok()?);
    let mut buffer = vec![0; 1 << 20];
    let (mut at, end) = (0, words * 4);
    while at < end {
        let take = (end - at).min(buffer.len() as u64) as usize;
        file.read_exact_at(&mut buffer[..take], at).ok()?;
        all.extend(
            buffer[..take]
                .as_chunks()
                .0
                .iter()
                .map(|word| u32::from_le_bytes(*word)),
        );
        at += take as u64;
    }
    let mut rest = all.as_slice();
    for _ in 0..examples {
        rest = split_example(rest)?.1;
    }
    rest.is_empty().then_some(all)
}

/// The first example of `words`, checked, and what follows it.
fn split_example(words: &[u32]) -> Option<(&[u32], &[u32])> {
    let size = *words.first()? as usize;
    if size < HEAD {
        return None;
    }
    let (example, rest) = words.split_at_checked(size)?;
    (checksum(example) == example[HEAD - 1]).then_some((example, rest))
}

fn to_words(bytes: &[u8]) -> Vec<u32> {
    bytes
        .as_chunks()
        .0
        .iter()
        .map(|word| u32::from_le_bytes(*word))
        .collect()
}

fn le_u64(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .rev()
        .fold(0, |value, &byte| value << 8 | u64::from(byte))
}
