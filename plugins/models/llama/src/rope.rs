//! What a configuration says of rotary positions.

use tenon_nn::Scaling;
use tenon_plugin_api::error::{Context as _, Result};
use tenon_plugin_api::{Options, bail};

/// How positions turn queries and keys, under the names of `transformers`' `RopeParameters`.
#[derive(Debug, Clone, Options)]
pub struct RopeParameters {
    /// The base of the wavelengths.
    #[range(exclusive_min = 0.0)]
    pub rope_theta: Option<f64>,
    /// Which variant it is.
    pub rope_type: Option<RopeType>,
    /// Another name of `rope_type`, in older files.
    #[option(rename = "type")]
    pub kind: Option<RopeType>,
    /// How many times longer contexts are than in training.
    #[range(exclusive_min = 0.0)]
    pub factor: Option<f64>,
    /// The most positions in training.
    #[range(min = 1)]
    pub original_max_position_embeddings: Option<i64>,
    /// `yarn`, `longrope`: what sine and cosine are multiplied with.
    pub attention_factor: Option<f64>,
    /// `yarn`: turns over the original context from which on nothing is stretched.
    pub beta_fast: Option<f64>,
    /// `yarn`: turns up to which all is.
    pub beta_slow: Option<f64>,
    /// `yarn`: with `mscale_all_dim`, what `attention_factor` is derived from when absent.
    pub mscale: Option<f64>,
    /// `yarn`: see `mscale`.
    pub mscale_all_dim: Option<f64>,
    /// `yarn`: whether the ends of the ramp are whole numbers.
    pub truncate: Option<bool>,
    /// `llama3`: of the wavelength from which on all is stretched.
    pub low_freq_factor: Option<f64>,
    /// `llama3`: of the wavelength up to which nothing is.
    pub high_freq_factor: Option<f64>,
    /// `longrope`: a factor for each frequency, for contexts as in training.
    pub short_factor: Option<Vec<f64>>,
    /// `longrope`: and for longer ones.
    pub long_factor: Option<Vec<f64>>,
}

/// Variants of rotary positions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Options)]
pub enum RopeType {
    /// As in the paper (Su et al. 2021).
    Default,
    /// All angles are divided by `factor`.
    Linear,
    /// A larger base for sequences longer than in training.
    Dynamic,
    /// Slow turns are stretched and fast ones are not (Peng et al. 2023).
    Yarn,
    /// As in Llama 3.1.
    Llama3,
    /// A factor for each frequency (Ding et al. 2024).
    Longrope,
}

impl RopeParameters {
    /// The scaling; `positions` is the model's `max_position_embeddings`.
    pub(crate) fn scaling(&self, positions: i64) -> Result<Scaling> {
        let Some(kind) = self.rope_type.or(self.kind) else {
            return Ok(Scaling::Default);
        };
        let need = |name: &str, value: Option<f64>| {
            let kind = format!("{kind:?}").to_lowercase();
            value.with_context(|| format!("building llama: rope_type {kind} needs `{name}`"))
        };
        let original = self.original_max_position_embeddings.unwrap_or(positions) as f64;
        let grown = self.factor.unwrap_or(positions as f64 / original);
        Ok(match kind {
            RopeType::Default => Scaling::Default,
            RopeType::Linear => Scaling::Linear {
                factor: need("factor", self.factor)?,
            },
            RopeType::Dynamic => Scaling::Dynamic {
                factor: need("factor", self.factor)?,
                original: positions as f64,
            },
            RopeType::Yarn => Scaling::Yarn {
                factor: grown,
                original,
                beta_fast: self.beta_fast.unwrap_or(32.0),
                beta_slow: self.beta_slow.unwrap_or(1.0),
                attention: self.yarn_attention(grown),
                truncate: self.truncate.unwrap_or(true),
            },
            RopeType::Llama3 => Scaling::Llama3 {
                factor: need("factor", self.factor)?,
                low: need("low_freq_factor", self.low_freq_factor)?,
                high: need("high_freq_factor", self.high_freq_factor)?,
                original,
            },
            RopeType::Longrope => {
                let (Some(short), Some(long)) = (&self.short_factor, &self.long_factor) else {
                    bail!(
                        Options,
                        "building llama: rope_type longrope needs `short_factor` and `long_factor`"
                    );
                };
                let attention = match grown <= 1.0 {
                    true => 1.0,
                    false => (1.0 + grown.ln() / original.ln()).sqrt(),
                };
                Scaling::Longrope {
                    short: short.clone(),
                    long: long.clone(),
                    original,
                    attention: self.attention_factor.unwrap_or(attention),
                }
            }
        })
    }

    fn yarn_attention(&self, factor: f64) -> f64 {
        let scale = |by: f64| match factor <= 1.0 {
            true => 1.0,
            false => 0.1 * by * factor.ln() + 1.0,
        };
        let nonzero = |value: Option<f64>| value.filter(|value| *value != 0.0);
        match (
            self.attention_factor,
            nonzero(self.mscale),
            nonzero(self.mscale_all_dim),
        ) {
            (Some(factor), ..) => factor,
            (None, Some(one), Some(all)) => scale(one) / scale(all),
            _ => scale(1.0),
        }
    }
}
