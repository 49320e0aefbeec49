//! A view: some rows of a dataset, such as a split.

use std::sync::Arc;

use super::dataset::{Dataset, Reader};
use super::error::DataError;
use super::ring::in_order;
use super::rows::Rows;
use super::value::Record;

/// Rows handed out together in a pass.
const CHUNK: usize = 256;

/// Some rows of a dataset, numbered from 0. Cheap to clone.
#[derive(Clone)]
pub struct View {
    dataset: Arc<Dataset>,
    rows: Rows,
}

impl View {
    /// Every row of `dataset`.
    pub fn all(dataset: Arc<Dataset>) -> Self {
        let rows = Rows::All(dataset.len());
        Self { dataset, rows }
    }

    /// The rows of this view at the places `rows`.
    pub fn select(&self, rows: &Rows) -> Self {
        Self {
            dataset: Arc::clone(&self.dataset),
            rows: self.rows.select(rows),
        }
    }

    /// The first `count` rows, or all if there are fewer.
    pub fn limit(&self, count: usize) -> Self {
        self.select(&Rows::All(count.min(self.len())))
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The dataset behind the view.
    pub fn dataset(&self) -> &Arc<Dataset> {
        &self.dataset
    }

    /// Which rows of the dataset are in the view.
    pub fn rows(&self) -> &Rows {
        &self.rows
    }

    /// Row `row` of the view.
    ///
    /// # Errors
    /// As for [`Dataset::get`].
    pub fn get(&self, row: usize) -> Result<Record, DataError> {
        self.read(&mut self.dataset.reader(), row)
    }

    /// Rows of the view in the order given.
    ///
    /// # Errors
    /// As for [`Dataset::get_many`].
    pub fn get_many(&self, rows: &[usize]) -> Result<Vec<Record>, DataError> {
        let mut reader = self.dataset.reader();
        rows.iter()
            .map(|&row| self.read(&mut reader, row))
            .collect()
    }

    /// One pass in order: `map` sees chunks of consecutive rows, on the dataset's threads, with
    /// the number of the first; `fold` takes what it made, on this thread and in order.
    ///
    /// # Errors
    /// The first bad row, or the first error of `fold`.
    pub fn scan<T: Send>(
        &self,
        map: impl Fn(usize, &[Record]) -> T + Sync,
        fold: impl FnMut(T) -> Result<(), DataError>,
    ) -> Result<(), DataError> {
        self.scan_by(CHUNK, map, fold)
    }

    /// [`Self::scan`] in chunks of that many rows.
    ///
    /// # Errors
    /// The first bad row, or the first error of `fold`.
    pub fn scan_by<T: Send>(
        &self,
        size: usize,
        map: impl Fn(usize, &[Record]) -> T + Sync,
        mut fold: impl FnMut(T) -> Result<(), DataError>,
    ) -> Result<(), DataError> {
        let read = |chunk: usize| {
            let first = chunk * size;
            let mut reader = self.dataset.reader();
            let rows = first..self.len().min(first + size);
            let records: Result<Vec<_>, _> = rows.map(|row| self.read(&mut reader, row)).collect();
            records.map(|records| map(first, &records))
        };
        in_order(
            self.len().div_ceil(size),
            self.dataset.threads(),
            read,
            |made| fold(made?),
        )
    }

    fn read(&self, reader: &mut Reader<'_>, row: usize) -> Result<Record, DataError> {
        let place = self.rows.get(row).ok_or(DataError::OutOfRange {
            row,
            len: self.len(),
        })?;
        reader.get(place)
    }
}
