//! The decoder's side of an encoder–decoder. What the encoder reads comes as for any encoder
//! ([`Tokens::sequences`]), and what is written as from any decoder ([`Tokens::next`]).

use tch::{Device, Tensor};
use tenon_plugin_api::cache::Cache;
use tenon_plugin_api::tensor::TensorMap;
use tenon_plugin_api::{Result, ensure};

use crate::causal::Tokens;
use crate::loss::IGNORED;
use crate::packing::Packing;

const IDS: &str = "decoder_input_ids";

impl Tokens {
    /// Of [`Model::forward`](tenon_plugin_api::model::Model::forward): `decoder_input_ids` `[batch, time]`, but for
    /// what `decoder_attention_mask` leaves out and, where there are `labels`, for what comes after the last label
    /// of a row: no prediction sees it. Each row keeps its first token.
    ///
    /// # Errors
    /// As [`Tokens::sequences`].
    pub fn targets(inputs: &TensorMap) -> Result<(Self, Packing)> {
        let ids = inputs.require(IDS)?;
        Self::left(ids, IDS, |ids| {
            let mask = like(inputs, "decoder_attention_mask", ids)?;
            let labels = like(inputs, "labels", ids)?;
            Ok(match (mask, labels) {
                (mask, None) => mask.map(Tensor::shallow_clone),
                (mask, Some(labels)) => Some(seen(mask, labels)?),
            })
        })
    }

    /// Of [`Model::prefill`](tenon_plugin_api::model::Model::prefill): `decoder_input_ids` `[prompts, time]`, filled
    /// up in front.
    ///
    /// # Errors
    /// As [`Tokens::prompts`].
    pub fn beginnings(inputs: &TensorMap, cache: &Cache) -> Result<(Self, Packing)> {
        Self::prompts_of(inputs.require(IDS)?, IDS, cache)
    }
}

/// The optional input `name`, which is to have the shape of `ids`.
fn like<'a>(inputs: &'a TensorMap, name: &str, ids: &Tensor) -> Result<Option<&'a Tensor>> {
    let Some(tensor) = inputs.get(name) else {
        return Ok(None);
    };
    ensure!(
        tensor.size() == ids.size(),
        Tensor,
        "expected {name} to have the shape of {IDS}, {:?}; found {:?}",
        ids.size(),
        tensor.size()
    );
    Ok(Some(tensor))
}

/// Not 0 for tokens that a prediction sees: those up to the last label of their row, and the first of each row.
fn seen(mask: Option<&Tensor>, labels: &Tensor) -> Result<Tensor> {
    let time = labels.size()[1];
    let asked = labels
        .f_not_equal(IGNORED)?
        .f_to_device(Device::Cpu)?
        .f_reshape([-1])?;
    let asked = Vec::<bool>::try_from(&asked)?;
    let mut seen = vec![false; asked.len()];
    let width = time.max(1) as usize;
    for (seen, asked) in seen.chunks_mut(width).zip(asked.chunks(width)) {
        let last = asked.iter().rposition(|asked| *asked);
        seen[..=last.unwrap_or(0)].fill(true);
    }
    let seen = Tensor::f_from_slice(&seen)?
        .f_view([-1, time])?
        .f_to_device(labels.device())?;
    Ok(match mask {
        Some(mask) => seen.f_logical_and(&mask.f_not_equal(0)?)?,
        None => seen,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows of decoder inputs, their masks and labels, and the ids that are left.
    #[test]
    fn targets_end_at_their_last_label() -> Result<()> {
        let ids = Tensor::from_slice2(&[[1_i64, 2, 3, 0], [4, 5, 6, 7], [8, 9, 0, 0]]);
        let mask = Tensor::from_slice2(&[[1_i64, 1, 1, 0], [1, 1, 1, 1], [1, 1, 0, 0]]);
        let labels = Tensor::from_slice2(&[[2_i64, 3, 9, -100], [-100, 6, -100, -100], [-100; 4]]);
        let given = |names: &[&str]| -> TensorMap {
            let all = [("decoder_attention_mask", &mask), ("labels", &labels)];
            let given = all.into_iter().filter(|(name, _)| names.contains(name));
            let inputs = given.map(|(name, tensor)| (name, tensor.shallow_clone()));
            inputs.chain([(IDS, ids.shallow_clone())]).collect()
        };
        let cases: [(&[&str], &[i64]); 4] = [
            (&[], &[1, 2, 3, 0, 4, 5, 6, 7, 8, 9, 0, 0]),
            (&["decoder_attention_mask"], &[1, 2, 3, 4, 5, 6, 7, 8, 9]),
            (&["labels"], &[1, 2, 3, 4, 5, 8]),
            (&["labels", "decoder_attention_mask"], &[1, 2, 3, 4, 5, 8]),
        ];
        for (names, expected) in cases {
            let (tokens, packing) = Tokens::targets(&given(names))?;
            let left = tokens.ids.narrow(0, 0, packing.spans().tokens());
            assert_eq!(Vec::<i64>::try_from(&left)?, expected, "{names:?}");
        }
        Ok(())
    }

    #[test]
    fn beginnings_are_filled_up_in_front() -> Result<()> {
        let ids = Tensor::from_slice2(&[[0_i64, 1, 2], [3, 4, 5]]);
        let cache = Cache::new(vec![1, 0], 2, 5)?;
        let (tokens, packing) = Tokens::beginnings(&TensorMap::new().with(IDS, ids), &cache)?;
        let left = tokens.ids.narrow(0, 0, packing.spans().tokens());
        assert_eq!(Vec::<i64>::try_from(&left)?, [1, 2, 3, 4, 5]);
        assert_eq!(tokens.positions[..5], [0, 1, 0, 1, 2]);
        Ok(())
    }
}
