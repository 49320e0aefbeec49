//! The two sides of an encoder–decoder's batch, packed: what the encoder reads, and what the decoder goes on
//! from.
//!
//! Inputs are named as in `transformers`: `input_ids`, `attention_mask`, `decoder_input_ids`,
//! `decoder_attention_mask`, `labels`, each `[batch, time]`. `labels` say what is to be predicted at each
//! position of `decoder_input_ids`, -100 where nothing is.

use tch::{Device, Tensor};
use tenon_plugin_api::cache::Cache;
use tenon_plugin_api::tensor::TensorMap;
use tenon_plugin_api::{Result, ensure};

use crate::loss::IGNORED;
use crate::packing::Packing;

/// The tokens of one side, as embeddings look them up.
#[derive(Debug)]
pub struct Side {
    /// The input that they came in, for messages.
    pub name: &'static str,
    /// `[rows]`, int64.
    pub ids: Tensor,
    /// The position of each in its sequence: `[rows]`, int64.
    pub positions: Tensor,
    /// One more than the last position.
    pub longest: i64,
}

impl Side {
    /// What the encoder reads: `input_ids`, but for what `attention_mask` leaves out. Positions are columns.
    ///
    /// # Errors
    /// No `input_ids`, shapes that do not fit, a row without tokens, and those of libtorch.
    pub fn source(inputs: &TensorMap) -> Result<(Self, Packing)> {
        let name = "input_ids";
        let ids = matrix(inputs, name)?;
        let packing = match like(inputs, "attention_mask", ids, name)? {
            Some(mask) => Packing::from_mask(mask)?,
            None => Packing::full(ids.size()[0], ids.size()[1], ids.device())?,
        };
        let positions = packing.columns()?;
        Ok((Self::packed(name, ids, &packing, positions)?, packing))
    }

    /// What the decoder reads in training: `decoder_input_ids`, but for what `decoder_attention_mask` leaves out
    /// and, where there are `labels`, for what comes after the last label of a row: no prediction sees it. Each
    /// row keeps its first token. Positions are columns.
    ///
    /// # Errors
    /// As [`Side::source`].
    pub fn target(inputs: &TensorMap) -> Result<(Self, Packing)> {
        let name = "decoder_input_ids";
        let ids = matrix(inputs, name)?;
        let mask = like(inputs, "decoder_attention_mask", ids, name)?;
        let labels = like(inputs, "labels", ids, name)?;
        let packing = match (mask, labels) {
            (None, None) => Packing::full(ids.size()[0], ids.size()[1], ids.device())?,
            (Some(mask), None) => Packing::from_mask(mask)?,
            (mask, Some(labels)) => Packing::from_mask(&seen(mask, labels)?)?,
        };
        let positions = packing.columns()?;
        Ok((Self::packed(name, ids, &packing, positions)?, packing))
    }

    /// What a decoding begins with: `decoder_input_ids`, row `r` from the time `cache.starts()[r]` on. Positions
    /// count from there.
    ///
    /// # Errors
    /// As [`Side::source`], and a cache with another number of rows.
    pub fn beginning(inputs: &TensorMap, cache: &Cache) -> Result<(Self, Packing)> {
        let name = "decoder_input_ids";
        let ids = matrix(inputs, name)?;
        let (rows, time) = (ids.size()[0], ids.size()[1]);
        ensure!(
            rows == cache.rows(),
            Tensor,
            "{name} has {rows} rows, the cache {}",
            cache.rows()
        );
        let packing = Packing::from_starts(cache.starts(), time, ids.device())?;
        let positions = Tensor::f_from_slice(&packing.spans().positions())?;
        let positions = positions.f_to_device(ids.device())?;
        Ok((Self::packed(name, ids, &packing, positions)?, packing))
    }

    /// The next token of each row of a decoding: `input_ids` `[rows]`.
    ///
    /// # Errors
    /// No `input_ids`, another number of rows than the cache has, and those of libtorch.
    pub fn next(inputs: &TensorMap, cache: &Cache) -> Result<Self> {
        let (name, rows) = ("input_ids", cache.rows());
        let ids = inputs.require(name)?;
        ensure!(
            ids.size() == [rows],
            Tensor,
            "expected {name} [{rows}], a token for each row of the cache; found {:?}",
            ids.size()
        );
        let positions: Vec<i64> = cache
            .starts()
            .iter()
            .map(|start| cache.length() - start)
            .collect();
        Ok(Self {
            name,
            ids: ids.shallow_clone(),
            longest: positions.iter().max().copied().unwrap_or(0) + 1,
            positions: Tensor::f_from_slice(&positions)?.f_to_device(ids.device())?,
        })
    }

    fn packed(
        name: &'static str,
        ids: &Tensor,
        packing: &Packing,
        positions: Tensor,
    ) -> Result<Self> {
        let last = positions.f_max()?.f_int64_value(&[])?;
        Ok(Self {
            name,
            ids: packing.pack(ids)?,
            positions,
            longest: last + 1,
        })
    }
}

/// The input `name`, which is to be `[batch, time]`.
fn matrix<'a>(inputs: &'a TensorMap, name: &str) -> Result<&'a Tensor> {
    let ids = inputs.require(name)?;
    ensure!(
        ids.dim() == 2 && ids.size()[1] > 0,
        Tensor,
        "expected {name} [batch, time] of at least one token, found {:?}",
        ids.size()
    );
    Ok(ids)
}

/// The optional input `name`, which is to have the shape of `ids`.
fn like<'a>(
    inputs: &'a TensorMap,
    name: &str,
    ids: &Tensor,
    of: &str,
) -> Result<Option<&'a Tensor>> {
    let Some(tensor) = inputs.get(name) else {
        return Ok(None);
    };
    ensure!(
        tensor.size() == ids.size(),
        Tensor,
        "expected {name} to have the shape of {of}, {:?}; found {:?}",
        ids.size(),
        tensor.size()
    );
    Ok(Some(tensor))
}

/// Not 0 for tokens that a prediction sees: those up to the last label of their row, and the first of each row.
fn seen(mask: Option<&Tensor>, labels: &Tensor) -> Result<Tensor> {
    let (rows, time) = (labels.size()[0], labels.size()[1]);
    let asked = labels
        .f_not_equal(IGNORED)?
        .f_to_device(Device::Cpu)?
        .f_reshape([-1])?;
    let asked = Vec::<bool>::try_from(&asked)?;
    let mut seen = vec![false; asked.len()];
    for (seen, asked) in seen
        .chunks_mut(time.max(1) as usize)
        .zip(asked.chunks(time.max(1) as usize))
    {
        let last = asked.iter().rposition(|asked| *asked);
        seen[..=last.unwrap_or(0)].fill(true);
    }
    let seen = Tensor::f_from_slice(&seen)?
        .f_view([rows, time])?
        .f_to_device(labels.device())?;
    Ok(match mask {
        Some(mask) => seen.f_logical_and(&mask.f_not_equal(0)?)?,
        None => seen,
    })
}
