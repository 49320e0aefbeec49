//! What a causal language model is given: whole sequences, the prompts of a decoding, or one token more.
//!
//! A model written over [`Reading`] computes all three with the same lines: only its attention differs.

mod head;
mod model;

use tch::{Device, Tensor};
use tenon_plugin_api::cache::Cache;
use tenon_plugin_api::model::Forward;
use tenon_plugin_api::tensor::TensorMap;
use tenon_plugin_api::{Error, Result, bail, ensure};

use crate::attention::{Attention, Sight};
use crate::decode::Decode;
use crate::dropout::Dropout;
use crate::packing::{Packing, Spans};
use crate::sites::KeyValueSite;

pub use head::{Head, HeadOptions, SEQUENCES, TOKENS};
pub use model::{CausalModel, forward, prefill, step};

/// The tokens of a call.
#[derive(Debug)]
pub struct Tokens {
    /// `[rows]`, int64.
    pub ids: Tensor,
    /// The place of each in its sequence, from 0: `[rows]`.
    pub positions: Vec<i64>,
}

impl Tokens {
    /// Of [`Model::forward`](tenon_plugin_api::model::Model::forward): `input_ids` `[batch, time]`, but for what
    /// `attention_mask` leaves out.
    ///
    /// # Errors
    /// No `input_ids`, shapes that do not fit, a row without tokens, and those of libtorch.
    pub fn sequences(inputs: &TensorMap) -> Result<(Self, Packing)> {
        let ids = inputs.require("input_ids")?;
        Self::left(ids, "input_ids", |ids| match inputs.get("attention_mask") {
            Some(mask) if mask.size() != ids.size() => bail!(
                Tensor,
                "expected attention_mask to have the shape of input_ids, {:?}; found {:?}",
                ids.size(),
                mask.size()
            ),
            mask => Ok(mask.map(Tensor::shallow_clone)),
        })
    }

    /// What a mask leaves of `ids` `[batch, time]`, which came in the input `name`.
    pub(crate) fn left(
        ids: &Tensor,
        name: &str,
        mask: impl FnOnce(&Tensor) -> Result<Option<Tensor>>,
    ) -> Result<(Self, Packing)> {
        let [batch, time] = matrix(ids, name)?;
        let packing = match mask(ids)? {
            Some(mask) => Packing::from_mask(&mask)?,
            None => Packing::full(batch, time, ids.device())?,
        };
        Ok((Self::packed(ids, &packing)?, packing))
    }

    /// Of [`Model::prefill`](tenon_plugin_api::model::Model::prefill): `input_ids` `[prompts, time]`, filled up in
    /// front.
    ///
    /// # Errors
    /// As [`Tokens::sequences`]; another number of prompts than the cache has rows; a cache that is not empty.
    pub fn prompts(inputs: &TensorMap, cache: &Cache) -> Result<(Self, Packing)> {
        Self::prompts_of(inputs.require("input_ids")?, "input_ids", cache)
    }

    /// Prompts, which came in the input `name`.
    pub(crate) fn prompts_of(ids: &Tensor, name: &str, cache: &Cache) -> Result<(Self, Packing)> {
        let [prompts, time] = matrix(ids, name)?;
        ensure!(
            prompts == cache.rows() && cache.length() == 0,
            Tensor,
            "{prompts} prompts for a cache of {} rows that holds {} times; expected as many, and an empty one",
            cache.rows(),
            cache.length()
        );
        let packing = Packing::from_starts(cache.starts(), time, ids.device())?;
        Ok((Self::packed(ids, &packing)?, packing))
    }

    /// Of [`Model::step`](tenon_plugin_api::model::Model::step): `input_ids` `[rows]`.
    ///
    /// # Errors
    /// No `input_ids`, or another number than the cache has rows.
    pub fn next(inputs: &TensorMap, cache: &Cache) -> Result<Self> {
        let ids = inputs.require("input_ids")?;
        ensure!(
            ids.size() == [cache.rows()],
            Tensor,
            "expected input_ids [{}], a token for each row of the cache; found {:?}",
            cache.rows(),
            ids.size()
        );
        let positions = cache.starts().iter().map(|start| cache.length() - start);
        Ok(Self {
            ids: ids.shallow_clone(),
            positions: positions.collect(),
        })
    }

    fn packed(ids: &Tensor, packing: &Packing) -> Result<Self> {
        Ok(Self {
            ids: packing.pack(ids)?,
            positions: packing.spans().positions(),
        })
    }

    /// The positions as a tensor `[rows]`, int64, beside the ids.
    ///
    /// # Errors
    /// Those of libtorch.
    pub fn places(&self) -> Result<Tensor> {
        Ok(Tensor::f_from_slice(&self.positions)?.f_to_device(self.ids.device())?)
    }

    /// Holds the sequences against `limit` positions, which the model `model` calls `name`.
    ///
    /// # Errors
    /// One is longer.
    pub fn within(&self, limit: i64, model: &str, name: &str) -> Result<()> {
        let longest = self.positions.iter().max().map_or(0, |last| last + 1);
        ensure!(
            longest <= limit,
            Data,
            "{model}: a sequence of {longest} tokens; {name} allows {limit}"
        );
        Ok(())
    }
}

fn matrix(ids: &Tensor, name: &str) -> Result<[i64; 2]> {
    match ids.size().as_slice() {
        &[batch, time] if time > 0 => Ok([batch, time]),
        found => bail!(
            Tensor,
            "expected {name} [batch, time] of at least one token, found {found:?}"
        ),
    }
}

/// What self-attention goes over.
#[derive(Debug)]
pub enum Reading<'a> {
    /// Whole sequences, as in training.
    Sequences(&'a Spans),
    /// The prompts of a decoding.
    Prompts(&'a Spans, &'a mut Cache),
    /// One token more for each row.
    Next(&'a mut Cache),
}

impl Reading<'_> {
    /// Causal self-attention of one layer, `q` `[rows, heads·dim]`, `k` and `v` `[rows, kv_heads·dim]`, to `[rows,
    /// heads·dim]`: `decode` says how, and where its keys and values lie in a cache. What is attached at `site`
    /// sees them first.
    ///
    /// # Errors
    /// Those of [`Attention`] and [`Decode`]; tokens that what is attached puts before a text that is written.
    pub fn attend(
        &mut self,
        decode: &Decode,
        site: &KeyValueSite,
        [q, k, v]: [&Tensor; 3],
        dropout: f64,
        forward: &Forward,
    ) -> Result<Tensor> {
        let ones;
        let spans = match self {
            Self::Sequences(spans) | Self::Prompts(spans, _) => *spans,
            Self::Next(cache) if site.is_attached() => {
                ones = Spans::from_lengths(&vec![1; cache.rows() as usize]);
                &ones
            }
            Self::Next(cache) => return decode.step(cache, q, k, v, None),
        };
        let (k, v, keys) = site.forward(k, v, spans, forward)?;
        if !matches!(self, Self::Sequences(_)) && keys != *spans {
            return Err(nothing_before("keys and values"));
        }
        match self {
            Self::Sequences(_) => {
                let attention = Attention {
                    kv_heads: decode.kv_heads,
                    sight: Sight::before(decode.window),
                    dropout: Dropout::next(forward, dropout),
                    ..Attention::new(spans, &keys, decode.heads, decode.scale)
                };
                Ok(attention.forward(q, &k, &v)?)
            }
            Self::Prompts(_, cache) => decode.prefill(cache, spans, q, &k, &v, None),
            Self::Next(cache) => decode.step(cache, q, &k, &v, None),
        }
    }
}

/// The error for something attached that puts `what` before a text that is written.
#[must_use]
pub fn nothing_before(what: &str) -> Error {
    Error::unsupported(format!(
        "generating: what is attached puts {what} before the prompt, which is not kept in the cache"
    ))
}

/// Seeds libtorch's generator from `forward` where that draws the masks: when training elsewhere than on the CPU.
pub fn seed(forward: &Forward, device: Device) {
    if forward.training() && device != Device::Cpu {
        tch::manual_seed(forward.next_seed() as i64);
    }
}
