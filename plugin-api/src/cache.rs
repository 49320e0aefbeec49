//! The cache of a decoding: what a model keeps of the tokens that it has seen.
//!
//! The host owns it and hands it to [`Model::prefill`](crate::model::Model::prefill) and
//! [`Model::step`](crate::model::Model::step). It has **rows**, one for each sequence that is being written.
//! Sequences end at the same time: row `r` holds the tokens at times `starts[r] .. length`, so that prompts of
//! different lengths are filled up in front. A model keeps tensors of three sorts in it ([`Entry`]), and the
//! host copies, reorders and drops rows without knowing what they mean:
//!
//! - a **timed** tensor has an element for each row and time, such as keys and values. It is allocated once for
//!   the whole decoding and is never copied. When a beam goes on from another one, only the [table](Cache::table)
//!   changes, which says in which row of the tensor each element of a sequence lies: beams share the keys and
//!   values of their prompt, and of all else that they have in common.
//! - a **prompt** tensor has one row for each prompt, which all rows of the prompt share, such as the keys and
//!   values of an encoder's output; [`Cache::owners`] says which row is whose.
//! - a **state** has one row for each row of the cache and is copied when rows are, such as a recurrent state.

use abi_stable::std_types::{ROption, RVec};
use tch::{Device, Kind, TchError, Tensor};

use crate::abi::model::{RawCache, RawEntry};
use crate::error::{Error, ErrorCode, Result};

/// What a tensor in a cache has rows of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Entry {
    /// One element for each row and time, in the place that [`Cache::table`] names. Its first dimension has
    /// [`Cache::slots`] elements.
    Timed,
    /// One row for each prompt; see [`Cache::owners`].
    Prompt,
    /// One row for each row of the cache.
    State,
}

impl Entry {
    fn code(self) -> u32 {
        match self {
            Self::Timed => 0,
            Self::Prompt => 1,
            Self::State => 2,
        }
    }
}

/// What a model keeps of the tokens so far.
#[derive(Debug)]
pub struct Cache {
    entries: Vec<(String, u32, Tensor)>,
    starts: Vec<i64>,
    owners: Vec<i64>,
    table: Option<Tensor>,
    slots: i64,
    length: i64,
    capacity: i64,
    hidden: bool,
}

impl Cache {
    /// An empty cache with one row for each prompt, for `slots` rows at most and `capacity` times. `starts` is
    /// the time of each prompt's first token.
    ///
    /// # Errors
    /// Fewer slots than prompts.
    pub fn new(starts: Vec<i64>, slots: i64, capacity: i64) -> Result<Self> {
        let prompts = starts.len() as i64;
        if slots < prompts {
            return Err(misuse(format!(
                "a cache of {slots} slots for {prompts} prompts"
            )));
        }
        Ok(Self {
            entries: Vec::new(),
            owners: (0..prompts).collect(),
            starts,
            table: None,
            slots,
            length: 0,
            capacity,
            hidden: false,
        })
    }

    /// The number of sequences.
    #[must_use]
    pub fn rows(&self) -> i64 {
        self.starts.len() as i64
    }

    /// The times that are filled. A call that is given `n` tokens a row writes at `length .. length + n`; the host
    /// moves the length on after the call.
    #[must_use]
    pub fn length(&self) -> i64 {
        self.length
    }

    /// The times that timed tensors have room for.
    #[must_use]
    pub fn capacity(&self) -> i64 {
        self.capacity
    }

    /// The size of the first dimension of timed tensors: the most rows that the cache ever has.
    #[must_use]
    pub fn slots(&self) -> i64 {
        self.slots
    }

    /// The time of each row's first token: `[rows]`. The position of the token at time `t` is `t - starts[r]`.
    #[must_use]
    pub fn starts(&self) -> &[i64] {
        &self.starts
    }

    /// Which prompt each row is of: `[rows]`, an index into the rows of prompt tensors.
    #[must_use]
    pub fn owners(&self) -> &[i64] {
        &self.owners
    }

    /// In which slot each element of each row lies: `[rows, capacity]`, int32, on the CPU. `None` while each row
    /// has all of its elements in the slot of its own number. Row `r` writes to slot `r`, whatever the table says
    /// of earlier times.
    #[must_use]
    pub fn table(&self) -> Option<&Tensor> {
        self.table.as_ref()
    }

    /// Whether the host wants the hidden states that the logits come of, as the output `hidden`.
    #[must_use]
    pub fn wants_hidden(&self) -> bool {
        self.hidden
    }

    /// The tensor `name`, made by `make` when there is none yet. Its storage stays in the cache: what is written
    /// into it in place is there in the next call.
    ///
    /// # Errors
    /// Those of `make`; a first dimension that does not fit the sort of entry.
    pub fn entry(
        &mut self,
        name: &str,
        entry: Entry,
        make: impl FnOnce() -> Result<Tensor, TchError>,
    ) -> Result<Tensor> {
        if let Some(tensor) = self.get(name) {
            return Ok(tensor.shallow_clone());
        }
        let tensor = make()?;
        self.set(name, entry, tensor.shallow_clone())?;
        Ok(tensor)
    }

    /// The tensor `name`, if there is one.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Tensor> {
        let found = self.entries.iter().find(|(known, ..)| known == name);
        found.map(|(.., tensor)| tensor)
    }

    /// Puts a tensor into the cache, in the place of the one of that name if there is one.
    ///
    /// # Errors
    /// A first dimension that does not fit the sort of entry.
    pub fn set(&mut self, name: &str, entry: Entry, tensor: Tensor) -> Result<()> {
        let found = tensor.size().first().copied().unwrap_or(0);
        let expected = match entry {
            Entry::Timed => self.slots,
            Entry::State => self.rows(),
            Entry::Prompt => found,
        };
        if found != expected {
            return Err(misuse(format!(
                "`{name}` of a cache has {found} rows, expected {expected}"
            )));
        }
        match self.entries.iter_mut().find(|(known, ..)| known == name) {
            Some(slot) => (slot.1, slot.2) = (entry.code(), tensor),
            None => self.entries.push((name.to_owned(), entry.code(), tensor)),
        }
        Ok(())
    }

    /// Asks for hidden states, or no longer.
    pub fn want_hidden(&mut self, hidden: bool) {
        self.hidden = hidden;
    }

    /// Moves the length on by the `tokens` a row that a call has written.
    ///
    /// # Errors
    /// There is no room for them.
    pub fn advance(&mut self, tokens: i64) -> Result<()> {
        let length = self.length + tokens;
        if length > self.capacity {
            return Err(misuse(format!(
                "{length} tokens in a cache for {}",
                self.capacity
            )));
        }
        self.length = length;
        Ok(())
    }

    /// Goes on with other rows: the new row `i` continues what row `rows[i]` was. Rows may be repeated, reordered
    /// and left out. Costs a copy of the table and of the states; timed and prompt tensors stay as they are.
    ///
    /// # Errors
    /// A row that there is not, more rows than slots, and those of libtorch.
    pub fn select(&mut self, rows: &[i64]) -> Result<()> {
        let count = self.rows();
        if rows.len() as i64 > self.slots || rows.iter().any(|row| !(0..count).contains(row)) {
            return Err(misuse(format!(
                "rows {rows:?} of a cache of {count} rows and {} slots",
                self.slots
            )));
        }
        if rows.iter().copied().eq(0..count) {
            return Ok(());
        }
        let pick = |from: &[i64]| rows.iter().map(|row| from[*row as usize]).collect();
        let index = Tensor::f_from_slice(rows)?;
        for (_, code, tensor) in &mut self.entries {
            if *code == Entry::State.code() {
                *tensor = tensor.f_index_select(0, &index.f_to_device(tensor.device())?)?;
            }
        }
        self.table = Some(self.selected_table(&index)?);
        (self.starts, self.owners) = (pick(&self.starts), pick(&self.owners));
        Ok(())
    }

    /// The table of the rows `index`: what they have seen lies where it did, what comes goes to their own slots.
    fn selected_table(&self, index: &Tensor) -> Result<Tensor> {
        let own = |rows: i64| -> Result<Tensor, TchError> {
            Tensor::f_arange(rows, (Kind::Int, Device::Cpu))?
                .f_unsqueeze(1)?
                .f_repeat([1, self.capacity])
        };
        let table = own(index.size()[0])?;
        let seen = match &self.table {
            Some(table) => table
                .f_narrow(1, 0, self.length)?
                .f_index_select(0, index)?,
            None => index
                .f_to_kind(Kind::Int)?
                .f_unsqueeze(1)?
                .f_expand([-1, self.length], false)?,
        };
        table.f_narrow(1, 0, self.length)?.f_copy_(&seen)?;
        Ok(table)
    }

    /// The bytes that its tensors take.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let bytes = |tensor: &Tensor| (tensor.numel() * tensor.kind().elt_size_in_bytes()) as u64;
        self.entries.iter().map(|(.., tensor)| bytes(tensor)).sum()
    }

    pub(crate) fn into_raw(self) -> RawCache {
        let entry = |(name, entry, tensor): (String, u32, Tensor)| RawEntry {
            name: name.into(),
            entry,
            tensor: tensor.into(),
        };
        RawCache {
            entries: self.entries.into_iter().map(entry).collect(),
            starts: self.starts.into(),
            owners: self.owners.into(),
            table: self.table.map(Into::into).into(),
            slots: self.slots,
            length: self.length,
            capacity: self.capacity,
            flags: u64::from(self.hidden),
            reserved: [0; 4],
        }
    }

    pub(crate) fn from_raw(raw: RawCache) -> Self {
        let entry = |entry: RawEntry| {
            let name = entry.name.into_string();
            (name, entry.entry, entry.tensor.into())
        };
        Self {
            entries: raw.entries.into_iter().map(entry).collect(),
            starts: RVec::into_vec(raw.starts),
            owners: RVec::into_vec(raw.owners),
            table: ROption::into_option(raw.table).map(Tensor::from),
            slots: raw.slots,
            length: raw.length,
            capacity: raw.capacity,
            hidden: raw.flags & 1 != 0,
        }
    }
}

fn misuse(message: String) -> Error {
    Error::new(ErrorCode::Tensor, message)
}
