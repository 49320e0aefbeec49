//! A model and its cache while texts are written: scores of the next token of every row.

use anyhow::{Result, ensure};
use tch::{Device, Kind, Tensor};
use tenon_plugin_api::cache::Cache;
use tenon_plugin_api::error::StdError;
use tenon_plugin_api::host::ModelHandle;
use tenon_plugin_api::model::Forward;
use tenon_plugin_api::tensor::TensorMap;

/// What is to be written on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prompt {
    /// Its number in the data, for messages and for seeds.
    pub number: usize,
    /// The tokens that the text goes on from: those of the prompt, or of the decoder's beginning.
    pub tokens: Vec<u32>,
    /// The tokens that the encoder reads; empty for a causal model.
    pub source: Vec<u32>,
}

/// What computes.
pub struct Target<'a> {
    /// The model.
    pub model: &'a ModelHandle,
    /// Where it computes.
    pub device: Device,
    /// Whether scores are wanted as log-probabilities.
    pub log_probs: bool,
}

/// Scores of a step, `[rows, vocab]`, on the CPU, where the model left them.
#[derive(Debug, Default)]
pub struct Logits(Option<Scores>);

/// A matrix of float32 on the CPU, its elements side by side.
#[derive(Debug)]
struct Scores {
    tensor: Tensor,
    vocab: usize,
}

// SAFETY: the tensor is only read, and holds no history (decoding records none).
unsafe impl Sync for Scores {}

impl Logits {
    /// The scores of a row.
    pub fn row(&self, row: usize) -> &[f32] {
        let values = self.0.as_ref().map_or(&[][..], Scores::values);
        let vocab = self.0.as_ref().map_or(0, |scores| scores.vocab);
        &values[row * vocab..(row + 1) * vocab]
    }

    /// Keeps these rows, in this order.
    ///
    /// # Errors
    /// There are no such rows.
    pub fn keep(&mut self, rows: &[usize]) -> Result<()> {
        let rows: Vec<i64> = rows.iter().map(|row| *row as i64).collect();
        if let Some(scores) = &mut self.0 {
            let rows = Tensor::f_from_slice(&rows)?;
            scores.tensor = scores.tensor.f_index_select(0, &rows)?;
        }
        Ok(())
    }

    /// Takes over what a model put out, `[rows, vocab]`.
    fn take(&mut self, tensor: &Tensor, rows: i64) -> Result<()> {
        let size = tensor.size();
        ensure!(
            size.len() == 2 && size[0] == rows && size[1] > 0,
            "the model put out logits {size:?}, expected [{rows}, vocab]"
        );
        let tensor = tensor
            .f_to_device(Device::Cpu)?
            .f_to_kind(Kind::Float)?
            .f_contiguous()?;
        let vocab = size[1] as usize;
        self.0 = Some(Scores { tensor, vocab });
        Ok(())
    }
}

impl Scores {
    fn values(&self) -> &[f32] {
        let (first, count) = (self.tensor.data_ptr().cast(), self.tensor.numel());
        // SAFETY: so many elements lie there, by what the type promises, as long as the tensor lives.
        unsafe { std::slice::from_raw_parts(first, count) }
    }
}

/// A decoding in progress.
pub struct Decoder<'a> {
    target: &'a Target<'a>,
    cache: Cache,
    forward: Forward,
    /// Scores of the next token of each row.
    pub logits: Logits,
    /// Hidden states of the last call, where they are wanted.
    pub hidden: Option<Tensor>,
}

impl<'a> Decoder<'a> {
    /// Reads the prompts. There may be `rows` rows a prompt later on, and `new` tokens more.
    ///
    /// # Errors
    /// The model does not generate, or fails.
    pub fn start(
        target: &'a Target<'a>,
        prompts: &[Prompt],
        rows: usize,
        new: usize,
        hidden: bool,
    ) -> Result<Self> {
        let longest = prompts.iter().map(|p| p.tokens.len()).max().unwrap_or(0);
        let starts = prompts.iter().map(|p| (longest - p.tokens.len()) as i64);
        let slots = (prompts.len() * rows.max(1)) as i64;
        let mut cache =
            Cache::new(starts.collect(), slots, (longest + new) as i64).map_err(StdError)?;
        cache.want_hidden(hidden);
        let mut decoder = Self {
            target,
            cache,
            forward: Forward::new(false, 0),
            logits: Logits::default(),
            hidden: None,
        };
        let inputs = decoder.inputs(prompts, longest)?;
        let outputs = (target.model).prefill(&inputs, &mut decoder.cache, &decoder.forward);
        decoder.take(outputs.map_err(StdError)?, longest)?;
        Ok(decoder)
    }

    fn inputs(&self, prompts: &[Prompt], longest: usize) -> Result<TensorMap> {
        let written = self.matrix(prompts.iter().map(|p| &p.tokens[..]), longest, true)?;
        let read = prompts.iter().map(|p| p.source.len()).max().unwrap_or(0);
        if read == 0 {
            return Ok(TensorMap::new().with("input_ids", written));
        }
        let source = self.matrix(prompts.iter().map(|p| &p.source[..]), read, false)?;
        let mut mask = vec![0_i64; prompts.len() * read];
        for (row, prompt) in mask.chunks_mut(read).zip(prompts) {
            row[..prompt.source.len()].fill(1);
        }
        let mask = Tensor::f_from_slice(&mask)?
            .f_view([prompts.len() as i64, read as i64])?
            .f_to_device(self.target.device)?;
        Ok(TensorMap::new()
            .with("input_ids", source)
            .with("attention_mask", mask)
            .with("decoder_input_ids", written))
    }

    /// Token ids as `[rows, width]`, filled up with 0 in front or behind.
    fn matrix<'t>(
        &self,
        rows: impl ExactSizeIterator<Item = &'t [u32]>,
        width: usize,
        front: bool,
    ) -> Result<Tensor> {
        let count = rows.len();
        let mut ids = vec![0_i64; count * width];
        for (row, tokens) in ids.chunks_mut(width.max(1)).zip(rows) {
            let at = if front { width - tokens.len() } else { 0 };
            for (slot, token) in row[at..].iter_mut().zip(tokens) {
                *slot = i64::from(*token);
            }
        }
        let ids = Tensor::f_from_slice(&ids)?.f_view([count as i64, width as i64])?;
        Ok(ids.f_to_device(self.target.device)?)
    }

    /// Goes on with one token a row.
    ///
    /// # Errors
    /// The model fails.
    pub fn step(&mut self, tokens: &[u32]) -> Result<()> {
        let ids: Vec<i64> = tokens.iter().copied().map(i64::from).collect();
        let ids = Tensor::f_from_slice(&ids)?.f_to_device(self.target.device)?;
        let inputs = TensorMap::new().with("input_ids", ids);
        let outputs = (self.target.model).step(&inputs, &mut self.cache, &self.forward);
        self.take(outputs.map_err(StdError)?, 1)
    }

    fn take(&mut self, mut outputs: TensorMap, tokens: usize) -> Result<()> {
        self.cache.advance(tokens as i64).map_err(StdError)?;
        self.hidden = outputs.remove("hidden");
        let logits = outputs.require("logits").map_err(StdError)?;
        let rows = self.cache.rows();
        match self.target.log_probs {
            true => {
                let logits = logits.f_to_kind(Kind::Float)?;
                self.logits
                    .take(&logits.f_log_softmax(-1, None::<Kind>)?, rows)
            }
            false => self.logits.take(logits, rows),
        }
    }

    /// Goes on with other rows; see [`Cache::select`].
    ///
    /// # Errors
    /// There are no such rows.
    pub fn select(&mut self, rows: &[usize]) -> Result<()> {
        let rows: Vec<i64> = rows.iter().map(|row| *row as i64).collect();
        Ok(self.cache.select(&rows).map_err(StdError)?)
    }
}
