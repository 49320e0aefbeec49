//! Words and positions.

use tenon_nn::causal::Tokens;
use tenon_nn::{Dropout, Embedding};
use tenon_plugin_api::model::prelude::*;

use crate::options::Config;

/// The table of positions, which has no parameters:
///
/// ```text
/// P[p, i] = sin(p / 10000^(2i/d)),    P[p, ⌈d/2⌉ + i] = cos(p / 10000^(2i/d))
/// ```
///
/// The paper (section 3.5) has sines and cosines by turns; Marian has all sines first.
pub struct Sinusoid {
    /// `[max_position_embeddings, d]`.
    table: Tensor,
}

impl Sinusoid {
    /// For `positions` positions and the width, kind and device of `like` `[…, d]`.
    pub fn new(positions: i64, like: &Tensor) -> Result<Self> {
        let width = like.size().last().copied().unwrap_or(0);
        let sines = (width + 1) / 2;
        let mut table = Vec::with_capacity((positions * width) as usize);
        for position in 0..positions {
            for column in 0..width {
                let turn = if column < sines {
                    column
                } else {
                    column - sines
                };
                let exponent = (2 * turn) as f64 / width as f64;
                let angle = position as f64 / 10000_f64.powf(exponent);
                let value = if column < sines {
                    angle.sin()
                } else {
                    angle.cos()
                };
                table.push(value as f32);
            }
        }
        let table = Tensor::f_from_slice(&table)?.f_view([positions, width])?;
        Ok(Self {
            table: table.f_to_kind(like.kind())?.f_to_device(like.device())?,
        })
    }
}

/// The embeddings of one side.
pub struct Embeddings {
    words: Embedding,
    scale: f64,
    dropout: f64,
}

impl Embeddings {
    /// Of the table `weight` `[vocab, d]`.
    pub fn new(config: &Config, weight: &Tensor) -> Self {
        let words = Embedding {
            weight: weight.shallow_clone(),
            padding: Some(config.pad_token_id),
        };
        Self {
            words,
            scale: config.embed_scale(),
            dropout: config.dropout,
        }
    }

    /// Of tokens that came in the input `name`: `[rows, d]`.
    pub fn forward(
        &self,
        tokens: &Tokens,
        name: &str,
        sinusoid: &Sinusoid,
        forward: &Forward,
    ) -> Result<Tensor> {
        let words = self
            .words
            .forward(&tokens.ids)
            .with_context(|| format!("looking up {name} in the vocabulary"))?;
        let words = words.f_mul_scalar(self.scale)?;
        let positions = sinusoid.table.f_index_select(0, &tokens.places()?)?;
        let x = words.f_add(&positions)?;
        Ok(Dropout::next(forward, self.dropout).apply(&x)?)
    }
}
