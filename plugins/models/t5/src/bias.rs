//! The bias by distance that self-attention adds to its scores (section 2.1).
//!
//! A key that lies `r` after the query (before it where `r < 0`) is in a bucket: near ones have one of their
//! own, farther ones share one with distances of like logarithm, and those from `max_distance` on share the last.
//! With `n` buckets for a direction and `m = n/2`
//!
//! ```text
//! bucket(|r|) = |r|                                                    |r| < m
//!             = min(n-1, m + ⌊log(|r|/m) / log(max_distance/m) · (n-m)⌋)   otherwise
//! ```
//!
//! The encoder has half of the buckets for each direction; the decoder sees only what lies before.

use tenon_nn::Embedding;
use tenon_plugin_api::model::prelude::*;

use crate::options::Config;

/// The bias of a side's self-attention.
pub struct RelativeBias {
    /// `[buckets, heads]`.
    table: Embedding,
    /// The bucket of each distance up to the first that is in the last bucket.
    buckets: Vec<i64>,
    /// What is added for keys after the query; `None` where there are none.
    after: Option<i64>,
}

impl RelativeBias {
    /// The bias whose parameter lies at `build` (`encoder.block.0.layer.0.SelfAttention`).
    pub fn new(config: &Config, causal: bool, build: &Build) -> Result<Self> {
        let all = config.relative_attention_num_buckets;
        let of_direction = if causal { all } else { all / 2 };
        let build = build.sub("relative_attention_bias");
        Ok(Self {
            table: Embedding::new(&build, all, config.num_heads, config.std(config.d_model))?,
            buckets: buckets(of_direction, config.relative_attention_max_distance)?,
            after: (!causal).then_some(of_direction),
        })
    }

    /// Between each of `length` tokens and each: `[heads, length, length]`.
    pub fn between(&self, length: i64) -> Result<Tensor> {
        let device = self.table.weight.device();
        let along = self.of((1 - length..length).map(|relative| self.bucket(relative)))?; // [heads, 2·length - 1]
        let places = || Tensor::f_arange(length, (Kind::Int64, device));
        let index = places()?
            .f_unsqueeze(0)?
            .f_sub(&places()?.f_unsqueeze(1)?)?
            .f_add_scalar(length - 1)?; // [query, key]
        let bias = along.f_index_select(1, &index.f_view([-1])?)?;
        Ok(bias.f_view([-1, length, length])?)
    }

    /// For keys that lie `0..length` before the query: `[heads, length]`.
    pub fn before(&self, length: i64) -> Result<Tensor> {
        self.of((0..length).map(|distance| self.bucket(-distance)))
    }

    /// Of these buckets: `[heads, n]`.
    fn of(&self, buckets: impl Iterator<Item = i64>) -> Result<Tensor> {
        let buckets = Tensor::f_from_slice(&buckets.collect::<Vec<_>>())?;
        let buckets = buckets.f_to_device(self.table.weight.device())?;
        Ok(self.table.forward(&buckets)?.f_tr()?) // [n, heads] -> [heads, n]
    }

    /// The bucket of a key that lies `relative` after the query.
    fn bucket(&self, relative: i64) -> i64 {
        let offset = match (relative > 0, self.after) {
            (true, Some(after)) => after,
            // a key that the query does not see
            (true, None) => return 0,
            (false, _) => 0,
        };
        let last = self.buckets.len() - 1;
        offset + self.buckets[last.min(relative.unsigned_abs() as usize)]
    }
}

/// The buckets of the distances `0..=max_distance`, by the operations of `transformers`, whose rounding decides
/// where a logarithm is a whole number.
fn buckets(count: i64, max_distance: i64) -> Result<Vec<i64>> {
    let exact = (count / 2).max(1);
    let distances = Tensor::f_arange(max_distance + 1, (Kind::Int64, Device::Cpu))?;
    let steps = distances
        .f_to_kind(Kind::Float)?
        .f_div_scalar(exact)?
        .f_log()?
        .f_div_scalar((max_distance as f64 / exact as f64).ln())?
        .f_mul_scalar(count - exact)?;
    // no distance below `exact` is looked at, among them 0, which has no logarithm
    let steps = steps.f_clamp_min(0)?.f_to_kind(Kind::Int64)?;
    let far = steps.f_add_scalar(exact)?.f_clamp_max(count - 1)?;
    let near = distances.f_lt(exact)?;
    Ok(Vec::try_from(&distances.f_where_self(&near, &far)?)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As `T5Attention._relative_position_bucket` of transformers 5.23 gives them.
    #[test]
    fn buckets_of_distances() {
        let cases = [
            (
                32,
                128,
                vec![
                    (0, 0),
                    (15, 15),
                    (16, 16),
                    (17, 16),
                    (20, 17),
                    (64, 26),
                    (127, 31),
                    (128, 31),
                ],
            ),
            (
                16,
                128,
                vec![
                    (0, 0),
                    (7, 7),
                    (8, 8),
                    (11, 8),
                    (12, 9),
                    (16, 10),
                    (32, 12),
                    (64, 14),
                    (128, 15),
                ],
            ),
            (
                8,
                20,
                vec![(3, 3), (4, 4), (5, 4), (6, 5), (9, 6), (14, 7), (20, 7)],
            ),
        ];
        for (count, max_distance, expected) in cases {
            let found = buckets(count, max_distance).expect("buckets");
            for (distance, bucket) in expected {
                assert_eq!(
                    found[distance], bucket,
                    "distance {distance} of {count} buckets"
                );
            }
        }
    }
}
