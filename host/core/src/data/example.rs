//! Examples: what a task makes of a record, packed for storage and for collation.
//!
//! A packed example is a run of 32-bit words: its size in words, the row that it was made of (two
//! words), a checksum of the rest, and for each field its number of values and the values
//! (integers and truth values as `i32`, numbers as the bits of `f32`). So a set of examples is one
//! allocation, or one file, whatever its number of fields.

use super::error::{BoxError, DataError, Location};
use super::packing::Packing;
use super::value::Record;

/// Type of the values of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DType {
    /// 64-bit integers in a batch; values must fit 32 bits.
    Int,
    /// 32-bit floats.
    Float,
    /// Truth values: 0 is false, anything else true.
    Bool,
}

/// How the values of a field come together in a batch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Collate {
    /// `[batch, longest]`, filled up with this value.
    Pad(f64),
    /// The same number of values in each example: `[batch]` for one value, else `[batch, values]`.
    Stack,
}

/// A field that every example of a task has.
#[derive(Clone, Debug, PartialEq)]
pub struct FieldSpec {
    /// Name of the tensor in the batch, such as `input_ids`.
    pub name: String,
    /// Type of its values.
    pub dtype: DType,
    /// How batches are made of it.
    pub collate: Collate,
    /// Whether its number of values is the example's length, by which batches are planned. Where
    /// several fields say so, the length is that of the first, and batches are planned by their sum.
    pub length: bool,
}

/// The values of one field of one example, as an encoder hands them over.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Field<'a> {
    /// Integers or truth values; also accepted for fields of floats.
    Ints(&'a [i64]),
    /// Numbers.
    Floats(&'a [f32]),
}

/// Turns records into examples. Called from several threads at once.
///
/// Closures `Fn(&[Record], &mut Examples) -> Result<(), RecordError>` with the fields beside them
/// implement it as `(Vec<FieldSpec>, closure)`.
pub trait Encode: Send + Sync {
    /// The fields of every example, in the order in which [`Examples::push`] takes them.
    fn fields(&self) -> &[FieldSpec];

    /// How examples are packed; `None` where each is one on its own.
    fn packing(&self) -> Option<Packing> {
        None
    }

    /// Makes examples of `records`: one, several or none of each, in the order of the records,
    /// the same whenever it is called.
    ///
    /// # Errors
    /// A record that cannot be encoded. What was pushed in this call is then dropped.
    fn encode(&self, records: &[Record], examples: &mut Examples<'_>) -> Result<(), RecordError>;
}

impl<F> Encode for (Vec<FieldSpec>, F)
where
    F: Fn(&[Record], &mut Examples<'_>) -> Result<(), RecordError> + Send + Sync,
{
    fn fields(&self) -> &[FieldSpec] {
        &self.0
    }

    fn encode(&self, records: &[Record], examples: &mut Examples<'_>) -> Result<(), RecordError> {
        (self.1)(records, examples)
    }
}

/// Why an encoder gave up, and on which of its records.
#[derive(Debug)]
pub struct RecordError {
    /// Index of the record among those given; `None` where no single one is at fault.
    pub record: Option<usize>,
    /// The reason.
    pub source: BoxError,
}

/// Where an encoder puts its examples.
pub struct Examples<'a> {
    specs: &'a [FieldSpec],
    packed: &'a mut Packed,
    /// Row of each record that is being encoded.
    rows: &'a dyn Fn(usize) -> u64,
    /// The first misfit between an example and the task's declaration, with its record.
    misfit: Option<(usize, String)>,
}

/// A run of packed examples.
#[derive(Debug, Default)]
pub(crate) struct Packed {
    pub(crate) words: Vec<u32>,
    pub(crate) lengths: Vec<u32>,
}

/// Words before the fields of a packed example.
pub(crate) const HEAD: usize = 4;

impl Examples<'_> {
    /// Adds an example of record `record` (its index in the call), with its fields in the order
    /// of [`Encode::fields`]. A misfit with the declaration is reported after the call, with the
    /// record's place.
    pub fn push(&mut self, record: usize, fields: &[Field<'_>]) {
        if self.misfit.is_some() {
            return;
        }
        let start = self.packed.words.len();
        match pack(
            self.specs,
            (self.rows)(record),
            fields,
            &mut self.packed.words,
        ) {
            Ok(length) => self.packed.lengths.push(length),
            Err(problem) => {
                self.packed.words.truncate(start);
                self.misfit = Some((record, problem));
            }
        }
    }
}

/// Encodes `records`, whose rows are `rows`, onto the end of `packed`.
///
/// # Errors
/// [`DataError::Encode`] or [`DataError::Example`]; `packed` is then as it was.
pub(crate) fn encode_into(
    encoder: &dyn Encode,
    records: &[Record],
    rows: &dyn Fn(usize) -> u64,
    packed: &mut Packed,
) -> Result<(), DataError> {
    let before = (packed.words.len(), packed.lengths.len());
    let mut examples = Examples {
        specs: encoder.fields(),
        packed,
        rows,
        misfit: None,
    };
    let encoded = encoder.encode(records, &mut examples);
    let misfit = examples.misfit.take();
    let at = |index: Option<usize>| -> Location {
        let record = records.get(index.unwrap_or(0)).or(records.first());
        record.map_or_else(
            || Location {
                path: std::path::Path::new("").into(),
                number: 0,
                is_line: true,
            },
            |record| record.at().clone(),
        )
    };
    let fault = match (encoded, misfit) {
        (Ok(()), None) => return Ok(()),
        (Err(error), _) => DataError::Encode {
            at: at(error.record),
            source: error.source,
        },
        (Ok(()), Some((record, problem))) => DataError::Example {
            at: at(Some(record)),
            problem,
        },
    };
    packed.words.truncate(before.0);
    packed.lengths.truncate(before.1);
    Err(fault)
}

fn pack(
    specs: &[FieldSpec],
    row: u64,
    fields: &[Field<'_>],
    words: &mut Vec<u32>,
) -> Result<u32, String> {
    if fields.len() != specs.len() {
        return Err(format!(
            "the task declares {} fields, but made {}",
            specs.len(),
            fields.len()
        ));
    }
    let start = words.len();
    words.extend([0, row as u32, (row >> 32) as u32, 0]);
    let mut length = None;
    let mut longest = 1;
    for (spec, field) in specs.iter().zip(fields) {
        let count = match field {
            Field::Ints(values) => values.len(),
            Field::Floats(values) => values.len(),
        };
        let count = u32::try_from(count).map_err(|_| {
            format!(
                "field `{}` has {count} values, more than 32 bits count",
                spec.name
            )
        })?;
        words.push(count);
        pack_values(spec, field, words)?;
        if spec.length {
            length = Some(length.unwrap_or(0) + count);
        }
        if matches!(spec.collate, Collate::Pad(_)) {
            longest = longest.max(count);
        }
    }
    words[start] = u32::try_from(words.len() - start)
        .map_err(|_| "an example of more than 16 GiB".to_owned())?;
    words[start + HEAD - 1] = checksum(&words[start..]);
    Ok(length.unwrap_or(longest))
}

fn pack_values(spec: &FieldSpec, field: &Field<'_>, words: &mut Vec<u32>) -> Result<(), String> {
    match (spec.dtype, field) {
        (DType::Int, Field::Ints(values)) => {
            for &value in *values {
                let value = i32::try_from(value)
                    .map_err(|_| format!("field `{}`: {value} does not fit 32 bits", spec.name))?;
                words.push(value.cast_unsigned());
            }
        }
        (DType::Bool, Field::Ints(values)) => {
            words.extend(values.iter().map(|&value| u32::from(value != 0)))
        }
        (DType::Float, Field::Floats(values)) => {
            words.extend(values.iter().map(|value| value.to_bits()))
        }
        (DType::Float, Field::Ints(values)) => {
            words.extend(values.iter().map(|&value| (value as f32).to_bits()))
        }
        (DType::Int | DType::Bool, Field::Floats(_)) => {
            return Err(format!(
                "field `{}` is declared as integers, but holds floats",
                spec.name
            ));
        }
    }
    Ok(())
}

/// The checksum of a packed example, over all its words but the checksum's own.
pub(crate) fn checksum(example: &[u32]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    let mut bytes = [0; 4 * 64];
    for part in [&example[..HEAD - 1], &example[HEAD..]] {
        for chunk in part.chunks(64) {
            for (place, word) in bytes.chunks_exact_mut(4).zip(chunk) {
                place.copy_from_slice(&word.to_le_bytes());
            }
            hasher.update(&bytes[..chunk.len() * 4]);
        }
    }
    hasher.finalize()
}

/// A packed example.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Packet<'a>(pub(crate) &'a [u32]);

impl<'a> Packet<'a> {
    /// The row of the view that it was made of.
    pub(crate) fn row(self) -> usize {
        (u64::from(self.0[1]) | u64::from(self.0[2]) << 32) as usize
    }

    /// Values of each field, in the order of the declaration.
    pub(crate) fn fields(self) -> impl Iterator<Item = &'a [u32]> {
        let mut rest = &self.0[HEAD..];
        std::iter::from_fn(move || {
            let (&count, values) = rest.split_first()?;
            let (field, after) = values.split_at_checked(count as usize)?;
            rest = after;
            Some(field)
        })
    }
}
