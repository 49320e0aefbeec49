//! Batches without padding: the tokens of all sequences one after the other, `[tokens, …]`.
//!
//! [`Spans`] says where each sequence lies among the packed tokens; [`Packing`] also remembers where each
//! token came from in the padded batch `[batch, time]`.

use tch::{Device, Kind, TchError, Tensor};

/// Where each sequence lies among packed tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spans {
    /// The first token of each sequence, and at the end the number of tokens.
    starts: Vec<i64>,
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
        Self { starts }
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
        Self::from_lengths(&lengths)
    }

    /// The first token of each sequence: `[sequences]`, int64, indices into packed tokens.
    ///
    /// # Errors
    /// Those of libtorch.
    pub fn firsts(&self, device: Device) -> Result<Tensor, TchError> {
        Tensor::f_from_slice(&self.starts[..self.starts.len() - 1])?.f_to_device(device)
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

    /// `[tokens, width]` to `[sequences, longest, width]`, zeros after each sequence's end.
    ///
    /// # Errors
    /// Those of libtorch.
    pub fn pad(&self, x: &Tensor) -> Result<Tensor, TchError> {
        let (sequences, longest, width) = (self.sequences(), self.longest(), x.size()[1]);
        Tensor::f_zeros([sequences * longest, width], (x.kind(), x.device()))?
            .f_index_copy(0, &self.places(x.device())?, x)?
            .f_view([sequences, longest, width])
    }

    /// `[sequences, longest, width]` to `[tokens, width]`.
    ///
    /// # Errors
    /// Those of libtorch.
    pub fn unpad(&self, x: &Tensor) -> Result<Tensor, TchError> {
        let width = x.size()[2];
        x.f_reshape([-1, width])?
            .f_index_select(0, &self.places(x.device())?)
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
    /// Each packed token's place in the padded batch, row-major: `[tokens]`, int64, on the batch's device.
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
        Ok(Self {
            spans: Spans::from_lengths(&lengths),
            places: Tensor::f_from_slice(&places)?.f_to_device(attention_mask.device())?,
            batch,
            time,
        })
    }

    /// Of a batch in which every row is full.
    ///
    /// # Errors
    /// Those of libtorch.
    pub fn full(batch: i64, time: i64, device: Device) -> Result<Self, TchError> {
        Ok(Self {
            spans: Spans::from_lengths(&vec![time; batch as usize]),
            places: Tensor::f_arange(batch * time, (Kind::Int64, device))?,
            batch,
            time,
        })
    }

    /// Where each sequence lies among the packed tokens.
    #[must_use]
    pub fn spans(&self) -> &Spans {
        &self.spans
    }

    /// Each token's column in the padded batch: `[tokens]`, int64.
    ///
    /// # Errors
    /// Those of libtorch.
    pub fn columns(&self) -> Result<Tensor, TchError> {
        self.places.f_remainder(self.time)
    }

    /// `[batch, time]` or `[batch, time, width]` to `[tokens]` or `[tokens, width]`.
    ///
    /// # Errors
    /// Those of libtorch.
    pub fn pack(&self, x: &Tensor) -> Result<Tensor, TchError> {
        x.f_flatten(0, 1)?.f_index_select(0, &self.places)
    }

    /// `[tokens, width]` to `[batch, time, width]`, zeros where there is no token.
    ///
    /// # Errors
    /// Those of libtorch.
    pub fn unpack(&self, x: &Tensor) -> Result<Tensor, TchError> {
        let width = x.size()[1];
        Tensor::f_zeros([self.batch * self.time, width], (x.kind(), x.device()))?
            .f_index_copy(0, &self.places, x)?
            .f_view([self.batch, self.time, width])
    }
}
