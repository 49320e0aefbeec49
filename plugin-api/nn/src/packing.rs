//! Batches without padding: the tokens of all sequences one after the other, `[tokens, …]`.
//!
//! [`Spans`] says where each sequence lies among the packed tokens; [`Packing`] also remembers where each
//! token came from in the padded batch `[batch, time]`.
//!
//! Packed tensors have `rows ≥ tokens`: where matrix products gain from row counts that recur, a packing adds
//! up to 63 rows of filler after the last token. They belong to no sequence, nothing that is asked for depends
//! on them, and no gradient comes from them.

use tch::{Device, Kind, TchError, Tensor};

use crate::product;

/// Where each sequence lies among packed tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spans {
    /// The first token of each sequence, and at the end the number of tokens.
    starts: Vec<i64>,
    /// Rows of packed tensors come in multiples of this.
    multiple: i64,
}

impl Spans {
    /// From the number of tokens of each sequence.
    #[must_use]
    pub fn from_lengths(lengths: &[i64]) -> Self {
        let mut starts = vec![0];
        let mut end = 0;
        for length in lengths {
            end += length;
            starts.push(end);
        }
        Self {
            starts,
            multiple: 1,
        }
    }

    /// The same, with filler up to the next row count that products gain from on `device`.
    fn rounded(self, device: Device) -> Self {
        let gains = device == Device::Cpu && product::prefers_onednn();
        Self {
            multiple: if gains { product::ROWS } else { 1 },
            ..self
        }
    }

    /// The first token of each sequence, and at the end the number of tokens: `[sequences + 1]`.
    #[must_use]
    pub fn starts(&self) -> &[i64] {
        &self.starts
    }

    /// How many sequences there are.
    #[must_use]
    pub fn sequences(&self) -> i64 {
        self.starts.len() as i64 - 1
    }

    /// How many tokens there are.
    #[must_use]
    pub fn tokens(&self) -> i64 {
        self.starts.last().copied().unwrap_or(0)
    }

    /// How many rows packed tensors have: the tokens, and filler.
    #[must_use]
    pub fn rows(&self) -> i64 {
        (self.tokens() + self.multiple - 1) / self.multiple * self.multiple
    }

    /// The tokens of each sequence.
    pub fn lengths(&self) -> impl Iterator<Item = i64> + '_ {
        self.starts.windows(2).map(|pair| pair[1] - pair[0])
    }

    /// The tokens of the longest sequence.
    #[must_use]
    pub fn longest(&self) -> i64 {
        self.lengths().max().unwrap_or(0)
    }

    /// The same sequences, each with `tokens` more.
    #[must_use]
    pub fn grown(&self, tokens: i64) -> Self {
        let lengths: Vec<i64> = self.lengths().map(|length| length + tokens).collect();
        Self {
            multiple: self.multiple,
            ..Self::from_lengths(&lengths)
        }
    }

    /// The rows of `own` among those of `self`, which are the same sequences with tokens put before them: `[self.rows(),
    /// width]` to `[own.rows(), width]`.
    ///
    /// # Errors
    /// Those of libtorch.
    pub fn without_front(&self, x: &Tensor, own: &Self) -> Result<Tensor, TchError> {
        if self == own {
            return Ok(x.shallow_clone());
        }
        let (front, longest) = (self.longest() - own.longest(), own.longest());
        own.unpad(&self.pad(x)?.f_narrow(1, front, longest)?)
    }

    /// The first token of each sequence: `[sequences]`, int64, indices into packed tokens.
    ///
    /// # Errors
    /// Those of libtorch.
    pub fn firsts(&self, device: Device) -> Result<Tensor, TchError> {
        Tensor::f_from_slice(&self.starts[..self.starts.len() - 1])?.f_to_device(device)
    }

    /// The last token of each sequence: `[sequences]`, int64, indices into packed tokens. A sequence without
    /// tokens has none, and none must be among them.
    ///
    /// # Errors
    /// Those of libtorch.
    pub fn lasts(&self, device: Device) -> Result<Tensor, TchError> {
        let lasts: Vec<i64> = self.starts[1..].iter().map(|end| end - 1).collect();
        Tensor::f_from_slice(&lasts)?.f_to_device(device)
    }

    /// The last token of each sequence that is not `padding`, among the packed `ids` `[rows]`; the last where all
    /// are, or without `padding`: `[sequences]`, int64.
    ///
    /// # Errors
    /// Those of libtorch.
    pub fn lasts_but(&self, ids: &Tensor, padding: Option<i64>) -> Result<Tensor, TchError> {
        let Some(padding) = padding else {
            return self.lasts(ids.device());
        };
        let numbers = Vec::<i64>::try_from(&ids.f_to_device(Device::Cpu)?.f_to_kind(Kind::Int64)?)?;
        let last = |pair: &[i64]| {
            let tokens = (pair[0]..pair[1]).zip(&numbers[pair[0] as usize..]);
            let real = tokens.filter(|(_, id)| **id != padding).last();
            real.map_or(pair[1] - 1, |(at, _)| at)
        };
        let lasts: Vec<i64> = self.starts.windows(2).map(last).collect();
        Tensor::f_from_slice(&lasts)?.f_to_device(ids.device())
    }

    /// The place of each row in its sequence, from 0: `[rows]`; 0 in the filler.
    #[must_use]
    pub fn positions(&self) -> Vec<i64> {
        let mut positions: Vec<i64> = self.lengths().flat_map(|length| 0..length).collect();
        positions.resize(self.rows() as usize, 0);
        positions
    }

    /// Whether a sequence has a token at a time: `[sequences, longest]`, boolean.
    ///
    /// # Errors
    /// Those of libtorch.
    pub fn mask(&self, device: Device) -> Result<Tensor, TchError> {
        let lengths: Vec<i64> = self.lengths().collect();
        let lengths = Tensor::f_from_slice(&lengths)?
            .f_to_device(device)?
            .f_unsqueeze(1)?;
        Tensor::f_arange(self.longest(), (Kind::Int64, device))?
            .f_unsqueeze(0)?
            .f_lt_tensor(&lengths)
    }

    /// `[rows, width]` to `[sequences, longest, width]`, zeros after each sequence's end.
    ///
    /// # Errors
    /// Those of libtorch.
    pub fn pad(&self, x: &Tensor) -> Result<Tensor, TchError> {
        let (sequences, longest, width) = (self.sequences(), self.longest(), x.size()[1]);
        let tokens = x.f_narrow(0, 0, self.tokens())?;
        Tensor::f_zeros([sequences * longest, width], (x.kind(), x.device()))?
            .f_index_copy(0, &self.places(x.device())?, &tokens)?
            .f_view([sequences, longest, width])
    }

    /// `[sequences, longest, width]` to `[rows, width]`, zeros in the filler.
    ///
    /// # Errors
    /// Those of libtorch.
    pub fn unpad(&self, x: &Tensor) -> Result<Tensor, TchError> {
        let width = x.size()[2];
        let tokens = x
            .f_reshape([-1, width])?
            .f_index_select(0, &self.places(x.device())?)?;
        match self.rows() - self.tokens() {
            0 => Ok(tokens),
            filler => tokens.f_constant_pad_nd([0, 0, 0, filler]),
        }
    }

    /// Each token's place in the padded tensor, row-major.
    fn places(&self, device: Device) -> Result<Tensor, TchError> {
        let longest = self.longest();
        let mut places = Vec::with_capacity(self.tokens() as usize);
        for (sequence, length) in self.lengths().enumerate() {
            let first = sequence as i64 * longest;
            places.extend(first..first + length);
        }
        Tensor::f_from_slice(&places)?.f_to_device(device)
    }
}

/// The tokens of a padded batch, packed.
#[derive(Debug)]
pub struct Packing {
    spans: Spans,
    /// Each packed row's place in the padded batch, row-major: `[rows]`, int64, on the batch's device. Filler
    /// copies the first place.
    places: Tensor,
    batch: i64,
    time: i64,
}

impl Packing {
    /// From `attention_mask` `[batch, time]`, not 0 where there is a token. Tokens keep their order, wherever
    /// the padding lies.
    ///
    /// # Errors
    /// A mask that is not two-dimensional, a row without tokens, and those of libtorch.
    pub fn from_mask(attention_mask: &Tensor) -> Result<Self, TchError> {
        let &[batch, time] = attention_mask.size().as_slice() else {
            return Err(TchError::Shape(format!(
                "packing a batch: expected attention_mask [batch, time], found {:?}",
                attention_mask.size()
            )));
        };
        let kept = attention_mask
            .f_not_equal(0)?
            .f_to_device(Device::Cpu)?
            .f_reshape([-1])?;
        let kept = Vec::<bool>::try_from(&kept)?;
        let mut places = Vec::with_capacity(kept.len());
        let mut lengths = Vec::with_capacity(batch as usize);
        for (row, kept) in kept.chunks(time.max(1) as usize).enumerate() {
            let before = places.len();
            let first = row as i64 * time;
            places.extend(
                (first..)
                    .zip(kept)
                    .filter(|(_, kept)| **kept)
                    .map(|(place, _)| place),
            );
            let length = (places.len() - before) as i64;
            if length == 0 {
                return Err(TchError::Shape(format!(
                    "packing a batch: row {row} of attention_mask has no token; every sequence needs one"
                )));
            }
            lengths.push(length);
        }
        let device = attention_mask.device();
        let spans = Spans::from_lengths(&lengths).rounded(device);
        places.resize(spans.rows() as usize, 0);
        Ok(Self {
            places: Tensor::f_from_slice(&places)?.f_to_device(device)?,
            spans,
            batch,
            time,
        })
    }

    /// Of a batch in which every row is full.
    ///
    /// # Errors
    /// Those of libtorch.
    pub fn full(batch: i64, time: i64, device: Device) -> Result<Self, TchError> {
        let spans = Spans::from_lengths(&vec![time; batch as usize]).rounded(device);
        let places = Tensor::f_arange(batch * time, (Kind::Int64, device))?;
        Ok(Self {
            places: places.f_constant_pad_nd([0, spans.rows() - spans.tokens()])?,
            spans,
            batch,
            time,
        })
    }

    /// Of a batch filled up in front, `[starts.len(), time]`: row `r` has its tokens at `starts[r] .. time`. So come
    /// the prompts of a decoding.
    ///
    /// # Errors
    /// A row without tokens, and those of libtorch.
    pub fn from_starts(starts: &[i64], time: i64, device: Device) -> Result<Self, TchError> {
        if let Some(row) = starts.iter().position(|start| !(0..time).contains(start)) {
            return Err(TchError::Shape(format!(
                "packing prompts: row {row} has no token; every sequence needs one"
            )));
        }
        let lengths: Vec<i64> = starts.iter().map(|start| time - start).collect();
        let spans = Spans::from_lengths(&lengths).rounded(device);
        let rows = starts.iter().zip(0_i64..);
        let mut places: Vec<i64> = rows
            .flat_map(|(start, row)| row * time + start..(row + 1) * time)
            .collect();
        places.resize(spans.rows() as usize, 0);
        Ok(Self {
            places: Tensor::f_from_slice(&places)?.f_to_device(device)?,
            spans,
            batch: starts.len() as i64,
            time,
        })
    }

    /// The packed tokens whose label is not [`IGNORED`](crate::IGNORED), in order: `[n]`, int64. `labels` is
    /// `[batch, time]`.
    ///
    /// # Errors
    /// Labels of another shape, or at padding; and those of libtorch.
    pub fn labelled(&self, labels: &Tensor) -> Result<Tensor, TchError> {
        if labels.size() != [self.batch, self.time] {
            return Err(TchError::Shape(format!(
                "expected labels [{}, {}], found {:?}",
                self.batch,
                self.time,
                labels.size()
            )));
        }
        let wanted = labels.f_not_equal(crate::IGNORED)?;
        let tokens = self.pack(&wanted)?.f_narrow(0, 0, self.spans.tokens())?;
        let labelled = tokens.f_nonzero()?.f_view([-1])?;
        let (found, count) = (labelled.size()[0], wanted.f_sum(Kind::Int64)?);
        match count.f_int64_value(&[])? - found {
            0 => Ok(labelled),
            lost => Err(TchError::Shape(format!(
                "{lost} labels are at padding, where nothing is predicted"
            ))),
        }
    }

    /// Where each sequence lies among the packed tokens.
    #[must_use]
    pub fn spans(&self) -> &Spans {
        &self.spans
    }

    /// Each row's column in the padded batch: `[rows]`, int64.
    ///
    /// # Errors
    /// Those of libtorch.
    pub fn columns(&self) -> Result<Tensor, TchError> {
        self.places.f_remainder(self.time)
    }

    /// `[batch, time]` or `[batch, time, width]` to `[rows]` or `[rows, width]`.
    ///
    /// # Errors
    /// Those of libtorch.
    pub fn pack(&self, x: &Tensor) -> Result<Tensor, TchError> {
        x.f_flatten(0, 1)?.f_index_select(0, &self.places)
    }

    /// `[rows, width]` to `[batch, time, width]`, zeros where there is no token.
    ///
    /// # Errors
    /// Those of libtorch.
    pub fn unpack(&self, x: &Tensor) -> Result<Tensor, TchError> {
        let (width, tokens) = (x.size()[1], self.spans.tokens());
        let places = self.places.f_narrow(0, 0, tokens)?;
        Tensor::f_zeros([self.batch * self.time, width], (x.kind(), x.device()))?
            .f_index_copy(0, &places, &x.f_narrow(0, 0, tokens)?)?
            .f_view([self.batch, self.time, width])
    }
}
