//! Records, as tasks read them, and examples, as tasks make them.

use abi_stable::std_types::RVec;

use crate::abi::task::{RawExamples, RawField, RawRecords};
use crate::error::{Error, Result};
use crate::values::{ValueKind, Values};

/// A batch of records: named columns of one length, with missing cells.
#[derive(Clone, Debug)]
pub struct RecordBatch {
    raw: RawRecords,
}

impl RecordBatch {
    /// An empty batch of `len` records; add its columns.
    #[must_use]
    pub fn new(len: usize) -> Self {
        Self {
            raw: RawRecords {
                names: RVec::new(),
                columns: RVec::new(),
                nulls: RVec::new(),
                len: len as u64,
            },
        }
    }

    /// Adds a column. `missing` tells the rows without a value; empty when none is missing.
    ///
    /// # Errors
    /// The column or `missing` is not as long as the batch.
    pub fn add(&mut self, name: &str, values: Values, missing: &[bool]) -> Result<()> {
        let len = self.len();
        if values.len() != len || !(missing.is_empty() || missing.len() == len) {
            return Err(Error::data(format!(
                "column `{name}` has {} rows of {len}",
                values.len()
            )));
        }
        self.raw.names.push(name.into());
        self.raw.columns.push(values);
        self.raw
            .nulls
            .push(missing.iter().map(|missing| u8::from(*missing)).collect());
        Ok(())
    }

    /// The same records without the column of that name, if there is one.
    #[must_use]
    pub fn without(mut self, column: &str) -> Self {
        if let Some(at) = self.raw.names.iter().position(|name| name == column) {
            self.raw.names.remove(at);
            self.raw.columns.remove(at);
            self.raw.nulls.remove(at);
        }
        self
    }

    /// The number of records.
    #[must_use]
    pub fn len(&self) -> usize {
        self.raw.len as usize
    }

    /// Whether there is no record.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.raw.len == 0
    }

    /// The record at `row`.
    #[must_use]
    pub fn record(&self, row: usize) -> Record<'_> {
        Record {
            raw: &self.raw,
            row,
        }
    }

    #[cfg(feature = "host")]
    pub(crate) fn raw(&self) -> &RawRecords {
        &self.raw
    }
}

/// Some records.
#[derive(Clone, Copy, Debug)]
pub struct Records<'a> {
    raw: &'a RawRecords,
}

impl<'a> Records<'a> {
    #[cfg(feature = "torch")]
    pub(crate) fn new(raw: &'a RawRecords) -> Self {
        Self { raw }
    }

    /// The number of records.
    #[must_use]
    pub fn len(&self) -> usize {
        self.raw.len as usize
    }

    /// Whether there is no record.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.raw.len == 0
    }

    /// The record at `row`.
    #[must_use]
    pub fn get(&self, row: usize) -> Record<'a> {
        Record { raw: self.raw, row }
    }

    /// The records in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Record<'a>> + 'a {
        let records = *self;
        (0..records.len()).map(move |row| records.get(row))
    }
}

/// What was found of the examples of some records: one entry an example, in the order of the records.
#[derive(Clone, Copy, Debug)]
pub struct Found<'a> {
    values: &'a Values,
    owners: &'a [u64],
}

impl<'a> Found<'a> {
    /// Pairs the values up with the indices of their records.
    ///
    /// # Errors
    /// Another number of values, or records that are not in order or not among `records`.
    #[cfg(feature = "torch")]
    pub(crate) fn new(values: &'a Values, owners: &'a [u64], records: usize) -> Result<Self> {
        values.validate()?;
        let in_order = owners.windows(2).all(|pair| pair[0] <= pair[1]);
        let known = owners.last().is_none_or(|last| (*last as usize) < records);
        if values.len() != owners.len() || !in_order || !known {
            return Err(Error::data(format!(
                "{} values were found of {} examples of {records} records",
                values.len(),
                owners.len()
            )));
        }
        Ok(Self { values, owners })
    }

    /// What was found, one entry an example.
    #[must_use]
    pub fn values(&self) -> &'a Values {
        self.values
    }

    /// The examples of a record, as indices into [`Found::values`].
    #[must_use]
    pub fn of(&self, record: usize) -> std::ops::Range<usize> {
        let first = self
            .owners
            .partition_point(|owner| (*owner as usize) < record);
        let end = self
            .owners
            .partition_point(|owner| (*owner as usize) <= record);
        first..end
    }

    #[cfg(feature = "torch")]
    pub(crate) fn as_predictions(&self, records: usize) -> Result<crate::task::Predictions> {
        if self.values.len() != records {
            return Err(Error::data(format!(
                "{} values were found of {records} records; a task that makes several examples of a record, or \
                 none, has to conclude",
                self.values.len()
            )));
        }
        Ok(crate::task::Predictions {
            predictions: self.values.clone(),
            references: None,
        })
    }
}

/// One record. Cells are read by the column's name in the data.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    raw: &'a RawRecords,
    row: usize,
}

impl<'a> Record<'a> {
    #[cfg(feature = "torch")]
    pub(crate) fn new(raw: &'a RawRecords, row: usize) -> Self {
        Self { raw, row }
    }

    /// Whether the data has the column at all; one for training and scoring only may lack in
    /// prediction.
    #[must_use]
    pub fn has(&self, column: &str) -> bool {
        self.raw.names.iter().any(|name| name == column)
    }

    /// A text cell.
    ///
    /// # Errors
    /// The column or the cell is missing, or holds something else.
    pub fn text(&self, column: &str) -> Result<&'a str> {
        self.text_cell(column)
            .map(|values| values.text_at(self.row))
    }

    /// A text cell, `None` when it is missing or no text.
    #[must_use]
    pub fn opt_text(&self, column: &str) -> Option<&'a str> {
        self.cell(column)
            .filter(|values| values.kind() == Some(ValueKind::Text))
            .map(|values| values.text_at(self.row))
    }

    /// All strings of a text cell that holds a list.
    ///
    /// # Errors
    /// The column or the cell is missing, or holds something else.
    pub fn texts(&self, column: &str) -> Result<Vec<&'a str>> {
        let values = self.text_cell(column)?;
        Ok(values.texts_at(self.row).collect())
    }

    /// The value of a cell of [`crate::info::ColumnKind::Json`], `None` when it is missing.
    ///
    /// # Errors
    /// The cell is no JSON, as text in csv may be.
    pub fn json(&self, column: &str) -> Result<Option<serde_json::Value>> {
        let Some(text) = self.opt_text(column) else {
            return Ok(None);
        };
        let value = serde_json::from_str(text)
            .map_err(|error| Error::data(format!("column `{column}` is not JSON: {error}")))?;
        Ok(Some(value))
    }

    /// The class id of a label cell, `None` when it is missing (as in prediction).
    #[must_use]
    pub fn label(&self, column: &str) -> Option<i64> {
        self.cell(column)
            .filter(|values| values.kind() == Some(ValueKind::Label))
            .map(|values| values.label_at(self.row))
    }

    /// The class ids of a cell with a list of labels, `None` when it is missing.
    #[must_use]
    pub fn labels(&self, column: &str) -> Option<&'a [i64]> {
        let ids = [ValueKind::Label, ValueKind::Labels];
        self.cell(column)
            .filter(|values| values.kind().is_some_and(|kind| ids.contains(&kind)))
            .map(|values| values.class_ids_at(self.row))
    }

    /// The number of a cell, `None` when it is missing.
    #[must_use]
    pub fn number(&self, column: &str) -> Option<f64> {
        self.cell(column)
            .filter(|values| values.kind() == Some(ValueKind::Number))
            .map(|values| values.number_at(self.row))
    }

    fn cell(&self, column: &str) -> Option<&'a Values> {
        let at = self.raw.names.iter().position(|name| name == column)?;
        let missing = self
            .raw
            .nulls
            .get(at)
            .is_some_and(|nulls| nulls.get(self.row) == Some(&1));
        (!missing).then(|| &self.raw.columns[at])
    }

    fn text_cell(&self, column: &str) -> Result<&'a Values> {
        let values = self.cell(column).ok_or_else(|| self.missing(column))?;
        match values.kind() {
            Some(ValueKind::Text) => Ok(values),
            kind => Err(Error::data(format!(
                "column `{column}` holds {}, not text; declare it as `ColumnKind::Text`",
                kind.map_or("something unknown", ValueKind::name)
            ))),
        }
    }

    fn missing(&self, column: &str) -> Error {
        let names: Vec<_> = self.raw.names.iter().map(|name| name.as_str()).collect();
        match names.contains(&column) {
            true => Error::data(format!("column `{column}` is empty")),
            false => Error::data(format!("no column `{column}` among {}", names.join(", "))),
        }
    }
}

/// The examples that a task makes of a batch of records, field by field.
#[derive(Debug, Default)]
pub struct Examples {
    raw: RawExamples,
    record: u64,
}

impl Examples {
    /// No example yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Begins a new example of the present record; give it every declared field.
    pub fn example(&mut self) -> Example<'_> {
        self.raw.records.push(self.record);
        Example { examples: self }
    }

    /// The number of examples.
    #[must_use]
    pub fn len(&self) -> usize {
        self.raw.records.len()
    }

    /// Whether there is no example.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.raw.records.is_empty()
    }

    /// Which record an example was made of.
    #[must_use]
    pub fn record_of(&self, example: usize) -> usize {
        self.raw.records[example] as usize
    }

    /// Names of the fields, in order.
    pub fn fields(&self) -> impl Iterator<Item = &str> {
        self.raw.fields.iter().map(|field| field.name.as_str())
    }

    /// The integers of a field of an example; `None` if there is no such integer field.
    #[must_use]
    pub fn ints(&self, field: &str, example: usize) -> Option<&[i64]> {
        let field = self
            .raw
            .fields
            .iter()
            .find(|f| f.name == field && !f.is_float)?;
        Some(&field.ints[bounds(field, example)])
    }

    /// The numbers of a field of an example; `None` if there is no such float field.
    #[must_use]
    pub fn floats(&self, field: &str, example: usize) -> Option<&[f32]> {
        let field = self
            .raw
            .fields
            .iter()
            .find(|f| f.name == field && f.is_float)?;
        Some(&field.floats[bounds(field, example)])
    }

    #[cfg(feature = "torch")]
    pub(crate) fn at_record(&mut self, record: u64) {
        self.record = record;
    }

    #[cfg(feature = "torch")]
    pub(crate) fn into_raw(self) -> Result<RawExamples> {
        self.validate()?;
        Ok(self.raw)
    }

    #[cfg(feature = "host")]
    pub(crate) fn from_raw(raw: RawExamples) -> Result<Self> {
        let examples = Self { raw, record: 0 };
        examples.validate()?;
        Ok(examples)
    }

    /// Checks that each example has every field once, and that the buffers fit together.
    #[cfg(any(feature = "host", feature = "torch"))]
    fn validate(&self) -> Result<()> {
        let count = self.len();
        for field in &self.raw.fields {
            let len = if field.is_float {
                field.floats.len()
            } else {
                field.ints.len()
            };
            let offsets = &field.offsets;
            let fits = offsets.len().checked_sub(1) == Some(count)
                && offsets.windows(2).all(|pair| pair[0] <= pair[1])
                && offsets[0] == 0
                && offsets[count] == len as u64;
            if !fits {
                let name = &field.name;
                let with = offsets.len().saturating_sub(1);
                return Err(Error::data(format!(
                    "field `{name}` is given for {with} of {count} examples"
                )));
            }
        }
        Ok(())
    }

    fn field(&mut self, name: &str, is_float: bool) -> &mut RawField {
        let at = self.raw.fields.iter().position(|field| field.name == name);
        let at = at.unwrap_or_else(|| {
            let offsets = RVec::from(vec![0]);
            self.raw.fields.push(RawField {
                name: name.into(),
                is_float,
                offsets,
                ..RawField::default()
            });
            self.raw.fields.len() - 1
        });
        &mut self.raw.fields[at]
    }
}

fn bounds(field: &RawField, example: usize) -> std::ops::Range<usize> {
    field.offsets[example] as usize..field.offsets[example + 1] as usize
}

/// The example that is being made.
pub struct Example<'a> {
    examples: &'a mut Examples,
}

impl Example<'_> {
    /// Sets a field to a sequence of integers.
    pub fn ints(self, name: &str, values: &[i64]) -> Self {
        let field = self.examples.field(name, false);
        field.ints.extend_from_slice(values);
        field.offsets.push(field.ints.len() as u64);
        self
    }

    /// Sets a field to one integer.
    pub fn int(self, name: &str, value: i64) -> Self {
        self.ints(name, &[value])
    }

    /// Sets a field to a sequence of numbers.
    pub fn floats(self, name: &str, values: &[f32]) -> Self {
        let field = self.examples.field(name, true);
        field.floats.extend_from_slice(values);
        field.offsets.push(field.floats.len() as u64);
        self
    }

    /// Sets a field to one number.
    pub fn float(self, name: &str, value: f32) -> Self {
        self.floats(name, &[value])
    }
}
