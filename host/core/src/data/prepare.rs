//! Examples encoded once, off the training thread, or on the fly where they are too many to keep.

use std::path::PathBuf;
use std::sync::Arc;

use super::dataset::{BadRows, Skipped};
use super::error::DataError;
use super::example::{Encode, FieldSpec, Packed, Packet, encode_into};
use super::lengths::Lengths;
use super::packing::Packer;
use super::store::{CacheKey, ExampleStore, StoreBuilder};
use super::value::Record;
use super::view::View;

/// How examples are prepared.
pub struct PrepareOptions<'a> {
    /// Bytes of encoded examples to keep in memory (default 1 GiB). More are read from the cache
    /// file as they are needed, or, without a cache, encoded again in each epoch; blocks of packed
    /// examples are then read from a temporary file.
    pub memory: u64,
    /// Folder and key of the cache on disk.
    pub cache: Option<(PathBuf, CacheKey)>,
    /// What to do about records that cannot be encoded.
    pub bad_records: BadRows,
    /// Told now and then how many records of how many are done; `false` stops the work.
    pub progress: &'a mut dyn FnMut(usize, usize) -> bool,
}

/// The examples of a view.
pub enum Prepared {
    /// Encoded, in memory or in a cache file.
    Stored(ExampleStore),
    /// Encoded when they are needed.
    Streamed(Streamed),
}

/// Examples that are encoded when they are needed. Their lengths are known.
pub struct Streamed {
    view: View,
    encoder: Arc<dyn Encode>,
    lengths: Arc<Lengths>,
    /// For each example its record and which of the record's examples it is; `None` where every
    /// record makes one.
    origins: Option<Vec<(u64, u32)>>,
    skipped: Skipped,
}

impl Prepared {
    /// Encodes the records of `view`, in parallel and in order; or finds them in the cache.
    ///
    /// # Errors
    /// A bad row, a record that cannot be encoded (when these are not skipped), no example at all,
    /// or [`DataError::Cancelled`].
    pub fn new(
        view: &View,
        encoder: Arc<dyn Encode>,
        options: PrepareOptions<'_>,
    ) -> Result<Self, DataError> {
        let cache = options
            .cache
            .as_ref()
            .map(|(folder, key)| (folder.as_path(), key));
        if let Some((folder, key)) = cache
            && let Some(store) = ExampleStore::open(folder, key, encoder.fields(), options.memory)
        {
            return Ok(Self::Stored(store));
        }
        let packing = encoder.packing();
        let mut packer = match packing {
            Some(packing) => Some(Packer::new(encoder.fields(), packing)?),
            None => None,
        };
        let mut builder = match (cache, &packer) {
            (None, Some(_)) => StoreBuilder::spilling(encoder.fields(), options.memory)?,
            (cache, _) => StoreBuilder::new(encoder.fields(), options.memory, cache),
        };
        let mut origins = Origins::default();
        let mut done = 0;
        view.scan(
            |first, records| {
                (
                    records.iter().map(Record::goes_on).collect::<Vec<_>>(),
                    encode_chunk(&*encoder, first, records, options.bad_records),
                )
            },
            |(goes_on, chunk)| {
                let (packed, errors) = chunk?;
                let records = goes_on.len();
                match &mut packer {
                    Some(packer) => {
                        let mut blocks = Packed::default();
                        packer
                            .add(&packed, done as u64, &goes_on, &mut blocks)
                            .map_err(|(row, problem)| misfit(view, row, problem))?;
                        builder.add(&blocks);
                    }
                    None => {
                        builder.add(&packed);
                        origins.add(done, records, &packed);
                    }
                }
                errors.iter().for_each(|error| builder.skipped.add(error));
                done += records;
                match (options.progress)(done, view.len()) {
                    true => Ok(()),
                    false => Err(DataError::Cancelled),
                }
            },
        )?;
        if let Some(packer) = &mut packer {
            let mut blocks = Packed::default();
            packer.finish(&mut blocks);
            builder.add(&blocks);
        }
        let skipped = builder.skipped.clone();
        if skipped.count * 2 > view.len() as u64 {
            let first = skipped.first.into_iter().next().unwrap_or_default();
            return Err(DataError::TooManyBadRows {
                bad: skipped.count,
                total: view.len() as u64,
                first,
            });
        }
        if builder.lengths.is_empty() {
            return Err(DataError::Plan(format!(
                "{}: no record makes an example",
                view.dataset().name()
            )));
        }
        Ok(match builder.finish() {
            Ok(store) => Self::Stored(store),
            Err(_) if packer.is_some() => {
                return Err(DataError::Plan(format!(
                    "{}: packed examples fit neither in memory nor in a file",
                    view.dataset().name()
                )));
            }
            Err((lengths, skipped)) => Self::Streamed(Streamed {
                view: view.clone(),
                encoder,
                lengths,
                origins: origins.table,
                skipped,
            }),
        })
    }

    /// Number of examples.
    pub fn len(&self) -> usize {
        self.lengths().len()
    }

    /// Never true: without examples there is an error.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The length of each example.
    pub fn lengths(&self) -> &Arc<Lengths> {
        match self {
            Self::Stored(store) => store.lengths(),
            Self::Streamed(streamed) => &streamed.lengths,
        }
    }

    /// The fields of every example.
    pub fn fields(&self) -> &[FieldSpec] {
        match self {
            Self::Stored(store) => store.fields(),
            Self::Streamed(streamed) => streamed.encoder.fields(),
        }
    }

    /// Records that could not be encoded and were left out.
    pub fn skipped(&self) -> &Skipped {
        match self {
            Self::Stored(store) => store.skipped(),
            Self::Streamed(streamed) => &streamed.skipped,
        }
    }

    /// Calls `take` with the examples at `indices`, in that order.
    pub(crate) fn with<T>(
        &self,
        indices: &[usize],
        take: impl FnOnce(&[Packet<'_>]) -> Result<T, DataError>,
    ) -> Result<T, DataError> {
        match self {
            Self::Stored(store) => store.with(indices, take),
            Self::Streamed(streamed) => streamed.with(indices, take),
        }
    }
}

impl Streamed {
    fn with<T>(
        &self,
        indices: &[usize],
        take: impl FnOnce(&[Packet<'_>]) -> Result<T, DataError>,
    ) -> Result<T, DataError> {
        let origin = |&index: &usize| match &self.origins {
            Some(table) => (table[index].0 as usize, table[index].1),
            None => (index, 0),
        };
        let origins: Vec<(usize, u32)> = indices.iter().map(origin).collect();
        let mut rows: Vec<usize> = origins.iter().map(|(row, _)| *row).collect();
        rows.sort_unstable();
        rows.dedup();
        let records = self.view.get_many(&rows)?;
        let mut packed = Packed::default();
        encode_into(
            &*self.encoder,
            &records,
            &|index| rows[index] as u64,
            &mut packed,
        )?;
        // Examples come in the order of the records, so those of one row are neighbours.
        let mut made: Vec<Packet<'_>> = Vec::with_capacity(packed.lengths.len());
        let mut rest = packed.words.as_slice();
        while let Some(&size) = rest.first() {
            let (example, after) = rest.split_at(size as usize);
            made.push(Packet(example));
            rest = after;
        }
        let find = |&(row, nth): &(usize, u32)| {
            let first = made.partition_point(|packet| packet.row() < row);
            let found = made
                .get(first + nth as usize)
                .copied()
                .filter(|packet| packet.row() == row);
            found.ok_or_else(|| DataError::Collate(format!("the task made other examples of record {row} than before; encoding must be repeatable")))
        };
        let packets: Result<Vec<_>, _> = origins.iter().map(find).collect();
        take(&packets?)
    }
}

/// Whether every record made one example, and else which record made which.
#[derive(Default)]
struct Origins {
    table: Option<Vec<(u64, u32)>>,
    examples: u64,
}

impl Origins {
    fn add(&mut self, first: usize, records: usize, packed: &Packed) {
        let mut rows = Vec::with_capacity(packed.lengths.len());
        let mut at = 0;
        for _ in &packed.lengths {
            rows.push(Packet(&packed.words[at..]).row());
            at += packed.words[at] as usize;
        }
        let one_each = rows.len() == records
            && rows
                .iter()
                .enumerate()
                .all(|(index, row)| *row == first + index);
        if !one_each && self.table.is_none() {
            self.table = Some((0..self.examples).map(|row| (row, 0)).collect());
        }
        if let Some(table) = &mut self.table {
            for row in rows {
                let nth = table
                    .last()
                    .filter(|(last, _)| *last == row as u64)
                    .map_or(0, |(_, nth)| nth + 1);
                table.push((row as u64, nth));
            }
        }
        self.examples += packed.lengths.len() as u64;
    }
}

/// An example of a row of `view` that cannot be packed.
fn misfit(view: &View, row: u64, problem: String) -> DataError {
    match view.get(row as usize) {
        Ok(record) => DataError::Example {
            at: record.at().clone(),
            problem,
        },
        Err(error) => error,
    }
}

/// Encodes consecutive records; with `Skip`, also what could not be encoded and why.
fn encode_chunk(
    encoder: &dyn Encode,
    first: usize,
    records: &[Record],
    bad: BadRows,
) -> Result<(Packed, Vec<DataError>), DataError> {
    let mut packed = Packed::default();
    let mut errors = Vec::new();
    match encode_into(
        encoder,
        records,
        &|index| (first + index) as u64,
        &mut packed,
    ) {
        Ok(()) => {}
        Err(error) if bad == BadRows::Error || !error.is_row() => return Err(error),
        // One of them is bad; which others are shows one by one.
        Err(_) => {
            for (index, record) in records.iter().enumerate() {
                let one = std::slice::from_ref(record);
                if let Err(error) =
                    encode_into(encoder, one, &|_| (first + index) as u64, &mut packed)
                {
                    errors.push(error);
                }
            }
        }
    }
    Ok((packed, errors))
}
