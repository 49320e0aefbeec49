//! A view: some rows of a dataset, such as a split.

use std::borrow::Cow;
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
        self.reader().get(row)
    }

    /// Rows of the view in the order given.
    ///
    /// # Errors
    /// As for [`Dataset::get_many`].
    pub fn get_many(&self, rows: &[usize]) -> Result<Vec<Record>, DataError> {
        let mut reader = self.reader();
        rows.iter().map(|&row| reader.get(row)).collect()
    }

    /// A reader with its own buffers, for one thread.
    pub fn reader(&self) -> ViewReader<'_> {
        ViewReader {
            view: self,
            reader: self.dataset.reader(),
        }
    }

    /// One pass in order: `map` sees chunks of consecutive rows, on the dataset's threads, with
    /// the number of the first; `fold` takes what it made, on this thread and in order.
    ///
    /// # Errors
    /// The first bad row, or the first error of `fold`.
    pub fn scan<T: Send>(
        &self,
        map: impl Fn(usize, &[Record]) -> T + Sync,
        mut fold: impl FnMut(T) -> Result<(), DataError>,
    ) -> Result<(), DataError> {
        let read = |chunk: usize| {
            let first = chunk * CHUNK;
            let mut reader = self.reader();
            let rows = first..self.len().min(first + CHUNK);
            let records: Result<Vec<_>, _> = rows.map(|row| reader.get(row)).collect();
            records.map(|records| map(first, &records))
        };
        in_order(
            self.len().div_ceil(CHUNK),
            self.dataset.threads(),
            read,
            |made| fold(made?),
        )
    }

    /// The place of row `row` in the dataset.
    fn place(&self, row: usize) -> Result<usize, DataError> {
        self.rows.get(row).ok_or(DataError::OutOfRange {
            row,
            len: self.len(),
        })
    }
}

/// Reads rows of a [`View`] one at a time; reading on is cheaper than jumping.
pub struct ViewReader<'a> {
    view: &'a View,
    reader: Reader<'a>,
}

impl ViewReader<'_> {
    /// Row `row` of the view.
    ///
    /// # Errors
    /// As for [`Dataset::get`].
    pub fn get(&mut self, row: usize) -> Result<Record, DataError> {
        self.reader.get(self.view.place(row)?)
    }

    /// Row `row` of the view where it is a line and nothing else, as [`Reader::line`].
    ///
    /// # Errors
    /// As for [`Dataset::get`].
    pub fn line(&mut self, row: usize) -> Result<Option<(u64, Cow<'_, str>)>, DataError> {
        self.reader.line(self.view.place(row)?)
    }
}
