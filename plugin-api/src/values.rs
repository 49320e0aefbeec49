//! Columns of values: what tasks predict, what metrics compare, what records hold.
//!
//! One flat, columnar container crosses the boundary, so a batch of a thousand strings is three
//! buffers and not a thousand allocations. Authors see it only through typed views.

use abi_stable::StableAbi;
use abi_stable::std_types::RVec;

use crate::ensure;
use crate::error::{Error, Result};

/// What a column holds; see the constructors of [`Values`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ValueKind {
    /// One or more strings an example, with optional scores of the example.
    Text,
    /// One class id an example, with optional scores of every class.
    Label,
    /// A set of class ids an example, with optional scores of every class.
    Labels,
    /// One number an example.
    Number,
    /// A sequence of token ids an example.
    Tokens,
    /// Sequences of numbers of any length.
    Numbers,
}

impl ValueKind {
    /// Every kind, with the name used in manifests and messages.
    pub const ALL: [(Self, &'static str); 6] = [
        (Self::Text, "text"),
        (Self::Label, "label"),
        (Self::Labels, "labels"),
        (Self::Number, "number"),
        (Self::Tokens, "tokens"),
        (Self::Numbers, "numbers"),
    ];

    /// The name used in manifests and messages.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::ALL[self.tag() as usize].1
    }

    /// The kind of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .find(|(_, n)| *n == name)
            .map(|(kind, _)| *kind)
    }

    const fn tag(self) -> u32 {
        match self {
            Self::Text => 0,
            Self::Label => 1,
            Self::Labels => 2,
            Self::Number => 3,
            Self::Tokens => 4,
            Self::Numbers => 5,
        }
    }
}

/// A column of values, one entry an example.
///
/// `null` entries exist in records only (a missing cell); predictions and references have none.
#[repr(C)]
#[derive(StableAbi, Clone, Debug, PartialEq)]
pub struct Values {
    kind: u32,
    /// Scores an example (`classes`, or what the task says of its texts), 0 without scores.
    width: u64,
    len: u64,
    /// Example → first item; `len + 1` entries, for the kinds with several items an example.
    offsets: RVec<u64>,
    /// String → first byte; items + 1 entries, for text.
    bounds: RVec<u64>,
    bytes: RVec<u8>,
    ints: RVec<i64>,
    floats: RVec<f64>,
}

impl Values {
    /// An empty column; fill it with the `push_` method of its kind.
    #[must_use]
    pub fn new(kind: ValueKind) -> Self {
        let start = || RVec::from(vec![0_u64]);
        Self {
            kind: kind.tag(),
            width: 0,
            len: 0,
            offsets: start(),
            bounds: start(),
            bytes: RVec::new(),
            ints: RVec::new(),
            floats: RVec::new(),
        }
    }

    /// A text column with one string an example.
    pub fn text<S: AsRef<str>>(items: impl IntoIterator<Item = S>) -> Self {
        let mut values = Self::new(ValueKind::Text);
        for item in items {
            values.push_text(item);
        }
        values
    }

    /// A text column with one string an example, and scores: row-major `[examples, scores]`. What
    /// they say is between task and metric; of answers, the first is the probability that there is
    /// none.
    ///
    /// # Errors
    /// The number of scores is not a multiple of the number of examples.
    pub fn text_with_scores<S: AsRef<str>>(
        items: impl IntoIterator<Item = S>,
        scores: Vec<f64>,
    ) -> Result<Self> {
        let mut values = Self::text(items);
        values.set_scores(scores)?;
        Ok(values)
    }

    /// A text column with any number of strings an example, as references have.
    pub fn texts<S: AsRef<str>>(items: impl IntoIterator<Item = Vec<S>>) -> Self {
        let mut values = Self::new(ValueKind::Text);
        for item in items {
            values.push_texts(item);
        }
        values
    }

    /// A column of class ids.
    pub fn labels(ids: impl IntoIterator<Item = i64>) -> Self {
        let mut values = Self::new(ValueKind::Label);
        values.ints = ids.into_iter().collect();
        values.len = values.ints.len() as u64;
        values
    }

    /// A column of class ids with scores: `scores` is row-major `[examples, classes]`.
    ///
    /// # Errors
    /// The number of scores is not a multiple of the number of examples.
    pub fn labels_with_scores(ids: Vec<i64>, scores: Vec<f64>) -> Result<Self> {
        let mut values = Self::labels(ids);
        values.set_scores(scores)?;
        Ok(values)
    }

    /// A column of class-id sets (multi-label).
    pub fn label_sets(sets: impl IntoIterator<Item = Vec<i64>>) -> Self {
        let mut values = Self::new(ValueKind::Labels);
        for set in sets {
            values.push_ints(&set);
        }
        values
    }

    /// A column of class-id sets with scores: `scores` is row-major `[examples, classes]`.
    ///
    /// # Errors
    /// The number of scores is not a multiple of the number of examples.
    pub fn label_sets_with_scores(sets: Vec<Vec<i64>>, scores: Vec<f64>) -> Result<Self> {
        let mut values = Self::label_sets(sets);
        values.set_scores(scores)?;
        Ok(values)
    }

    /// A column of numbers.
    pub fn numbers(items: impl IntoIterator<Item = f64>) -> Self {
        let mut values = Self::new(ValueKind::Number);
        values.floats = items.into_iter().collect();
        values.len = values.floats.len() as u64;
        values
    }

    /// A column of token-id sequences.
    pub fn tokens(items: impl IntoIterator<Item = Vec<i64>>) -> Self {
        let mut values = Self::new(ValueKind::Tokens);
        for item in items {
            values.push_ints(&item);
        }
        values
    }

    /// Appends the example `index` of a column of the same kind, its scores too.
    ///
    /// # Errors
    /// The column is of another kind, or has another number of scores.
    pub fn push_from(&mut self, other: &Self, index: usize) -> Result<()> {
        let fits = self.kind == other.kind && (self.is_empty() || self.width == other.width);
        if !fits {
            return Err(Error::data(format!(
                "{} values with {} scores do not go on with {} values with {}",
                self.kind().map_or("unknown", ValueKind::name),
                self.width,
                other.kind().map_or("unknown", ValueKind::name),
                other.width,
            )));
        }
        match self.kind() {
            Some(ValueKind::Text) => self.push_texts(other.texts_at(index)),
            Some(ValueKind::Label) => self.push_label(other.label_at(index)),
            Some(ValueKind::Labels | ValueKind::Tokens) => self.push_ints(other.ints_at(index)),
            Some(ValueKind::Number) => self.push_number(other.number_at(index)),
            Some(ValueKind::Numbers) => self.push_numbers(other.numbers_at(index)),
            None => {}
        }
        if other.width > 0 {
            self.width = other.width;
            self.floats.extend_from_copy_slice(other.scores_at(index));
        }
        Ok(())
    }

    /// Appends an example with one string.
    pub fn push_text(&mut self, text: impl AsRef<str>) {
        self.push_texts([text]);
    }

    /// Appends an example with any number of strings.
    pub fn push_texts<S: AsRef<str>>(&mut self, texts: impl IntoIterator<Item = S>) {
        for text in texts {
            self.bytes.extend_from_copy_slice(text.as_ref().as_bytes());
            self.bounds.push(self.bytes.len() as u64);
        }
        self.offsets.push(self.bounds.len() as u64 - 1);
        self.len += 1;
    }

    /// Appends an example with a sequence of integers (`Labels`, `Tokens`).
    pub fn push_ints(&mut self, items: &[i64]) {
        self.ints.extend_from_copy_slice(items);
        self.offsets.push(self.ints.len() as u64);
        self.len += 1;
    }

    /// Appends an example with one class id (`Label`).
    pub fn push_label(&mut self, id: i64) {
        self.ints.push(id);
        self.len += 1;
    }

    /// Appends an example with one number (`Number`).
    pub fn push_number(&mut self, number: f64) {
        self.floats.push(number);
        self.len += 1;
    }

    /// Appends an example with a sequence of numbers (`Numbers`).
    pub fn push_numbers(&mut self, numbers: &[f64]) {
        self.floats.extend_from_copy_slice(numbers);
        self.offsets.push(self.floats.len() as u64);
        self.len += 1;
    }

    /// Sets the scores, row-major `[examples, scores]`: of every class (`Label`, `Labels`), or of
    /// the example (`Text`).
    ///
    /// # Errors
    /// The number of scores is not a multiple of the number of examples, or the column is of a
    /// kind that has none.
    pub fn set_scores(&mut self, scores: Vec<f64>) -> Result<()> {
        let rows = self.len();
        let scored = [ValueKind::Label, ValueKind::Labels, ValueKind::Text];
        if !self.kind().is_some_and(|kind| scored.contains(&kind)) {
            ensure!(
                scores.is_empty(),
                Data,
                "scores for {} values, which have none",
                self.kind().map_or("unknown", ValueKind::name)
            );
            return Ok(());
        }
        if rows == 0 || !scores.len().is_multiple_of(rows) {
            if scores.is_empty() {
                return Ok(());
            }
            return Err(Error::data(format!(
                "{} scores do not divide among {rows} examples",
                scores.len()
            )));
        }
        self.width = (scores.len() / rows) as u64;
        self.floats = scores.into();
        Ok(())
    }

    /// What the column holds, or `None` for a kind of a later version.
    #[must_use]
    pub fn kind(&self) -> Option<ValueKind> {
        ValueKind::ALL
            .get(self.kind as usize)
            .map(|(kind, _)| *kind)
    }

    /// The number of examples.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len as usize
    }

    /// Whether there is no example.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The number of scores an example has: of classes that have scores, or beside a text. 0
    /// without scores.
    #[must_use]
    pub fn classes(&self) -> usize {
        self.width as usize
    }

    /// The strings of an example. Empty for another kind.
    #[must_use]
    pub fn texts_at(&self, index: usize) -> Texts<'_> {
        let range = match self.kind() {
            Some(ValueKind::Text) => self.range(index),
            _ => 0..0,
        };
        Texts {
            values: self,
            next: range.start,
            end: range.end,
        }
    }

    /// The first string of an example, `""` when it has none.
    #[must_use]
    pub fn text_at(&self, index: usize) -> &str {
        self.texts_at(index).next().unwrap_or("")
    }

    /// The class id of an example (`Label`).
    #[must_use]
    pub fn label_at(&self, index: usize) -> i64 {
        self.ints[index]
    }

    /// The class ids of an example: one for `Label`, any number for `Labels`.
    #[must_use]
    pub fn class_ids_at(&self, index: usize) -> &[i64] {
        match self.kind() {
            Some(ValueKind::Label) => &self.ints[index..=index],
            _ => self.ints_at(index),
        }
    }

    /// The integers of an example (`Labels`, `Tokens`).
    #[must_use]
    pub fn ints_at(&self, index: usize) -> &[i64] {
        &self.ints[self.range(index)]
    }

    /// The scores of an example: one a class (`Label`, `Labels`), or those beside a text (`Text`).
    /// Empty without scores.
    #[must_use]
    pub fn scores_at(&self, index: usize) -> &[f64] {
        let width = self.classes();
        &self.floats[index * width..(index + 1) * width]
    }

    /// The number of an example (`Number`).
    #[must_use]
    pub fn number_at(&self, index: usize) -> f64 {
        self.floats[index]
    }

    /// The numbers of an example (`Numbers`).
    #[must_use]
    pub fn numbers_at(&self, index: usize) -> &[f64] {
        &self.floats[self.range(index)]
    }

    /// Checks what the accessors rely on; the host calls it on all that a plugin hands over, and
    /// the other way round, so that a broken column is an error and not a panic far away.
    ///
    /// # Errors
    /// Says which buffer does not fit.
    pub fn validate(&self) -> Result<()> {
        let n = self.len();
        let Some(kind) = self.kind() else {
            return Err(Error::data(format!(
                "values of the unknown kind {}",
                self.kind
            )));
        };
        let fail = |what: &str| {
            Err(Error::data(format!(
                "{} values with broken {what}",
                kind.name()
            )))
        };
        let monotone = |offsets: &[u64], count: usize, end: usize| {
            offsets.len().checked_sub(1) == Some(count)
                && offsets[0] == 0
                && offsets.windows(2).all(|pair| pair[0] <= pair[1])
                && offsets[count] == end as u64
        };
        let scored = n.checked_mul(self.classes()) == Some(self.floats.len());
        match kind {
            ValueKind::Text => {
                let items = self.bounds.len().saturating_sub(1);
                if !monotone(&self.offsets, n, items)
                    || !monotone(&self.bounds, items, self.bytes.len())
                {
                    return fail("offsets");
                }
                let text = simdutf8::basic::from_utf8(&self.bytes);
                let whole = |text: &str| {
                    self.bounds
                        .iter()
                        .all(|at| text.is_char_boundary(*at as usize))
                };
                if !text.is_ok_and(whole) {
                    return fail("UTF-8");
                }
                if !scored {
                    return fail("scores");
                }
            }
            ValueKind::Label if self.ints.len() != n => return fail("ids"),
            ValueKind::Labels | ValueKind::Tokens
                if !monotone(&self.offsets, n, self.ints.len()) =>
            {
                return fail("offsets");
            }
            ValueKind::Label | ValueKind::Labels if !scored => return fail("scores"),
            ValueKind::Number if self.floats.len() != n => return fail("numbers"),
            ValueKind::Numbers if !monotone(&self.offsets, n, self.floats.len()) => {
                return fail("offsets");
            }
            _ => {}
        }
        Ok(())
    }

    fn range(&self, index: usize) -> std::ops::Range<usize> {
        self.offsets[index] as usize..self.offsets[index + 1] as usize
    }

    fn string(&self, item: usize) -> &str {
        let bytes = &self.bytes[self.bounds[item] as usize..self.bounds[item + 1] as usize];
        // SAFETY: only `push_texts` writes `bytes` and `bounds`, a whole string and its end at a
        // time; it does so on the other side of the boundary, too, where `validate` checks it.
        unsafe { std::str::from_utf8_unchecked(bytes) }
    }
}

/// The strings of one example.
#[derive(Clone, Debug)]
pub struct Texts<'a> {
    values: &'a Values,
    next: usize,
    end: usize,
}

impl<'a> Iterator for Texts<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        (self.next < self.end).then(|| {
            self.next += 1;
            self.values.string(self.next - 1)
        })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.end - self.next, Some(self.end - self.next))
    }
}

impl ExactSizeIterator for Texts<'_> {}
