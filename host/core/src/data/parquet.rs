//! Parquet: rows by number, through a small cache of decoded blocks.
//!
//! A block is a row group, or a part of a large one, of at most about 32 MB. Jumping about in a
//! file costs a decoded block a jump where the cache does not hold it, so shuffled training reads
//! the encoded store, which one pass in file order has made.
//!
//! A column that Hugging Face's `datasets` declared as classes reads as their names, so that labels
//! mean the same in every format.

use std::fs::File;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type,
    UInt32Type, UInt64Type,
};
use arrow_array::{Array, RecordBatch};
use arrow_schema::{DataType, SchemaRef};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder,
};

use super::error::{DataError, Location};
use super::value::{Projection, Record, Value};

/// Bytes and rows that a block should not exceed.
const BLOCK_BYTES: u64 = 32 << 20;
const BLOCK_ROWS: u64 = 8192;

/// A parquet file and the decoded blocks that were used last.
pub(crate) struct ParquetFile {
    path: Arc<Path>,
    metadata: ArrowReaderMetadata,
    mask: ProjectionMask,
    /// Columns of the records, and the place of each among the decoded columns.
    columns: Arc<[String]>,
    places: Vec<Option<usize>>,
    /// Class names of each of the columns that has them.
    classes: Vec<Option<Vec<String>>>,
    blocks: Vec<Block>,
    rows: u64,
    /// Shared by the files of a dataset; this one's blocks stand under `number`.
    cache: SharedCache,
    number: usize,
}

/// Rows `skip..skip + rows` of a row group.
struct Block {
    first_row: u64,
    group: usize,
    skip: u64,
    rows: u64,
}

impl ParquetFile {
    /// Reads the footer of `path`, the file of this `number` among those that share `cache`.
    pub(crate) fn open(
        path: &Path,
        projection: &Projection,
        cache: SharedCache,
        number: usize,
    ) -> Result<Self, DataError> {
        let metadata = footer(path)?;
        let names = names(metadata.schema());
        let readable = |place: usize| is_readable(metadata.schema().field(place).data_type());
        let (columns, file_places): (Arc<[String]>, Vec<Option<usize>>) = match projection {
            Projection::All => {
                let places: Vec<usize> =
                    (0..names.len()).filter(|&place| readable(place)).collect();
                let columns: Vec<String> =
                    places.iter().map(|&place| names[place].clone()).collect();
                (columns.into(), places.into_iter().map(Some).collect())
            }
            Projection::Only { columns, required } => {
                let places: Vec<_> = columns
                    .iter()
                    .map(|column| names.iter().position(|name| name == column))
                    .collect();
                if let Some(missing) = places.iter().take(*required).position(Option::is_none) {
                    return Err(DataError::missing_column(path, &columns[missing], &names));
                }
                (Arc::clone(columns), places)
            }
        };
        if let Some(place) = file_places
            .iter()
            .flatten()
            .find(|&&place| !readable(place))
        {
            let found = metadata.schema().field(*place).data_type();
            let problem = format!(
                "column `{}` is of type {found}; text, numbers, truth values, lists and structs of them can be read",
                names[*place]
            );
            return Err(DataError::format(path, problem));
        }
        // Decoded columns come in file order, whatever order they were asked for in.
        let mut decoded: Vec<usize> = file_places.iter().flatten().copied().collect();
        decoded.sort_unstable();
        let places = file_places
            .iter()
            .map(|place| place.and_then(|place| decoded.binary_search(&place).ok()))
            .collect();
        let mask =
            ProjectionMask::roots(metadata.metadata().file_metadata().schema_descr(), decoded);
        let (blocks, rows) = blocks_of(&metadata);
        let classes = columns
            .iter()
            .map(|column| class_names(&metadata, column))
            .collect();
        Ok(Self {
            path: path.into(),
            metadata,
            mask,
            columns,
            places,
            classes,
            blocks,
            rows,
            cache,
            number,
        })
    }

    /// Number of rows.
    pub(crate) fn len(&self) -> u64 {
        self.rows
    }

    /// Names of the classes of `column`, where Hugging Face's `datasets` wrote them.
    pub(crate) fn class_names(&self, column: &str) -> Option<Vec<String>> {
        class_names(&self.metadata, column)
    }

    /// A reader that remembers its last block; one for each thread.
    pub(crate) fn cursor(&self) -> Cursor<'_> {
        Cursor {
            file: self,
            block: None,
        }
    }

    fn decode(&self, block: &Block) -> Result<RecordBatch, DataError> {
        let failed = |problem: String| {
            DataError::format(&self.path, format!("not readable as parquet: {problem}"))
        };
        let file =
            File::open(&self.path).map_err(|source| DataError::io("open", &self.path, source))?;
        let mut reader =
            ParquetRecordBatchReaderBuilder::new_with_metadata(file, self.metadata.clone())
                .with_projection(self.mask.clone())
                .with_row_groups(vec![block.group])
                .with_offset(block.skip as usize)
                .with_limit(block.rows as usize)
                .with_batch_size(block.rows as usize)
                .build()
                .map_err(|error| failed(error.to_string()))?;
        let batch = reader
            .next()
            .ok_or_else(|| failed("a row group ends early".to_owned()))?;
        let batch = batch.map_err(|error| failed(error.to_string()))?;
        match batch.num_rows() as u64 == block.rows {
            true => Ok(batch),
            false => Err(failed("a row group ends early".to_owned())),
        }
    }
}

/// The names that a `ClassLabel` feature of Hugging Face's `datasets` gives to the numbers of a
/// column, from the description that it leaves in the footer.
fn class_names(metadata: &ArrowReaderMetadata, column: &str) -> Option<Vec<String>> {
    let entries = metadata.metadata().file_metadata().key_value_metadata()?;
    let entry = entries.iter().find(|entry| entry.key == "huggingface")?;
    let info: serde_json::Value = serde_json::from_str(entry.value.as_deref()?).ok()?;
    let names = info
        .pointer("/info/features")?
        .get(column)?
        .get("names")?
        .as_array()?;
    names
        .iter()
        .map(|name| name.as_str().map(str::to_owned))
        .collect()
}

/// A number of a class as its name. Negative numbers stand for no label, as in `datasets`.
fn named(value: Value, names: &[String]) -> Value {
    match value {
        Value::Int(number) if number < 0 => Value::Null,
        Value::Int(number) => match names.get(number as usize) {
            Some(name) => Value::Text(name.clone()),
            None => Value::Int(number),
        },
        other => other,
    }
}

/// Names of the columns of `path`, from its footer.
pub(crate) fn columns(path: &Path) -> Result<Vec<String>, DataError> {
    Ok(names(footer(path)?.schema()))
}

fn footer(path: &Path) -> Result<ArrowReaderMetadata, DataError> {
    let file = File::open(path).map_err(|source| DataError::io("open", path, source))?;
    // Without arrow's own schema every column has the plain type that it is stored as.
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    ArrowReaderMetadata::load(&file, options)
        .map_err(|error| DataError::format(path, format!("not readable as parquet: {error}")))
}

fn names(schema: &SchemaRef) -> Vec<String> {
    schema
        .fields()
        .iter()
        .map(|field| field.name().clone())
        .collect()
}

fn blocks_of(metadata: &ArrowReaderMetadata) -> (Vec<Block>, u64) {
    let mut blocks = Vec::new();
    let mut first_row = 0;
    for (group, info) in metadata.metadata().row_groups().iter().enumerate() {
        let rows = u64::try_from(info.num_rows()).unwrap_or(0);
        let row_bytes = (u64::try_from(info.total_byte_size()).unwrap_or(0) / rows.max(1)).max(1);
        let most = (BLOCK_BYTES / row_bytes).clamp(1, BLOCK_ROWS);
        let mut skip = 0;
        while skip < rows {
            let rows = most.min(rows - skip);
            blocks.push(Block {
                first_row,
                group,
                skip,
                rows,
            });
            skip += rows;
            first_row += rows;
        }
    }
    (blocks, first_row)
}

fn is_readable(data_type: &DataType) -> bool {
    match data_type {
        DataType::List(item) | DataType::LargeList(item) => is_readable(item.data_type()),
        DataType::Struct(fields) => fields.iter().all(|field| is_readable(field.data_type())),
        DataType::Null | DataType::Boolean | DataType::Utf8 | DataType::LargeUtf8 => true,
        other => other.is_integer() || matches!(other, DataType::Float32 | DataType::Float64),
    }
}

/// Decoded blocks by file and number, the one used last at the end.
pub(crate) struct Cache {
    slots: Vec<((usize, usize), Arc<Slot>)>,
    budget: usize,
}

/// The cache of a dataset's files.
pub(crate) type SharedCache = Arc<Mutex<Cache>>;

/// A block's place in the cache. Its lock is held while it is decoded, so that threads that want
/// the same block decode it once.
#[derive(Default)]
struct Slot(Mutex<Option<RecordBatch>>);

impl ParquetFile {
    fn block(&self, number: usize) -> Result<RecordBatch, DataError> {
        let key = (self.number, number);
        let slot = {
            let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
            let known = cache.slots.iter().position(|(known, _)| *known == key);
            let entry = match known {
                Some(index) => cache.slots.remove(index),
                None => (key, Arc::default()),
            };
            let slot = Arc::clone(&entry.1);
            cache.slots.push(entry);
            slot
        };
        let mut held = slot.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(batch) = &*held {
            return Ok(batch.clone());
        }
        let batch = self.decode(&self.blocks[number])?;
        *held = Some(batch.clone());
        drop(held);
        self.cache
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .shrink();
        Ok(batch)
    }
}

impl Cache {
    /// A cache of at most about `budget` bytes.
    pub(crate) fn new(budget: usize) -> SharedCache {
        let slots = Vec::new();
        Arc::new(Mutex::new(Self { slots, budget }))
    }

    /// Drops the blocks that were used longest ago until the rest fit; the newest always stays.
    fn shrink(&mut self) {
        let size = |slot: &Slot| match slot.0.try_lock() {
            Ok(held) => held.as_ref().map_or(0, RecordBatch::get_array_memory_size),
            Err(_) => 0,
        };
        let mut total = 0;
        let mut keep = self.slots.len();
        while keep > 0 {
            total += size(&self.slots[keep - 1].1);
            if total > self.budget && keep < self.slots.len() {
                break;
            }
            keep -= 1;
        }
        self.slots.drain(..keep);
    }
}

/// A place in a parquet file.
pub(crate) struct Cursor<'a> {
    file: &'a ParquetFile,
    block: Option<(usize, RecordBatch)>,
}

impl Cursor<'_> {
    /// Row `row` (0-based, below [`ParquetFile::len`]).
    pub(crate) fn get(&mut self, row: u64) -> Result<Record, DataError> {
        let file = self.file;
        let number = file.blocks.partition_point(|block| block.first_row <= row) - 1;
        let batch = match &mut self.block {
            Some((held, batch)) if *held == number => batch,
            held => &mut held.insert((number, file.block(number)?)).1,
        };
        let index = (row - file.blocks[number].first_row) as usize;
        let value = |(place, names): (&Option<usize>, &Option<Vec<String>>)| {
            let value = place.map_or(Value::Null, |place| cell(batch.column(place), index));
            match names {
                Some(names) => named(value, names),
                None => value,
            }
        };
        let values = file.places.iter().zip(&file.classes).map(value).collect();
        let at = Location {
            path: Arc::clone(&file.path),
            number: row + 1,
            is_line: false,
        };
        Ok(Record::new(Arc::clone(&file.columns), values, at))
    }
}

/// One cell. Types that [`is_readable`] refuses do not come here.
fn cell(array: &dyn Array, row: usize) -> Value {
    if array.is_null(row) {
        return Value::Null;
    }
    macro_rules! int {
        ($type:ty) => {
            Value::Int(i64::from(array.as_primitive::<$type>().value(row)))
        };
    }
    match array.data_type() {
        DataType::Boolean => Value::Bool(array.as_boolean().value(row)),
        DataType::Int8 => int!(Int8Type),
        DataType::Int16 => int!(Int16Type),
        DataType::Int32 => int!(Int32Type),
        DataType::Int64 => int!(Int64Type),
        DataType::UInt8 => int!(UInt8Type),
        DataType::UInt16 => int!(UInt16Type),
        DataType::UInt32 => int!(UInt32Type),
        DataType::UInt64 => {
            let value = array.as_primitive::<UInt64Type>().value(row);
            i64::try_from(value).map_or(Value::Float(value as f64), Value::Int)
        }
        DataType::Float32 => {
            Value::Float(f64::from(array.as_primitive::<Float32Type>().value(row)))
        }
        DataType::Float64 => Value::Float(array.as_primitive::<Float64Type>().value(row)),
        DataType::Utf8 => Value::Text(array.as_string::<i32>().value(row).to_owned()),
        DataType::LargeUtf8 => Value::Text(array.as_string::<i64>().value(row).to_owned()),
        DataType::List(_) => list(&array.as_list::<i32>().value(row)),
        DataType::LargeList(_) => list(&array.as_list::<i64>().value(row)),
        DataType::Struct(fields) => {
            let columns = array.as_struct().columns();
            let entry = |(field, column): (&Arc<arrow_schema::Field>, &Arc<dyn Array>)| {
                (field.name().clone(), cell(column, row))
            };
            Value::Map(fields.iter().zip(columns).map(entry).collect())
        }
        _ => Value::Null,
    }
}

fn list(items: &dyn Array) -> Value {
    Value::List((0..items.len()).map(|row| cell(items, row)).collect())
}
