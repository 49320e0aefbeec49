//! Rotary position embeddings (Su et al. 2021, RoFormer, section 3.2).
//!
//! Element `i` of a head and element `i + dim/2` are a point that is turned by the angle `position·fᵢ`, with
//! `fᵢ = base^(-2i/dim)`: the layout of Hugging Face's models ("rotate half"), whose queries' and keys' rows are
//! permuted against the paper's. The variants of [`Scaling`] stretch the angles for contexts longer than those of
//! the training. All are computed in float32 by libtorch, in the order in which `transformers` computes them.

mod kernel;

use tch::{Device, Kind, TchError, Tensor};

use crate::attention::{is_fusable, rows as whole_rows};
use crate::bridge::{Incoming, needs_grad, record};

/// Turns queries and keys by their positions.
#[derive(Debug)]
pub struct Rotary {
    dim: i64,
    base: f64,
    scaling: Scaling,
    /// `fᵢ` of short sequences, `[dim/2]`, float32, on the CPU.
    frequencies: Tensor,
    /// What sine and cosine are multiplied with.
    factor: f64,
}

/// How angles are stretched for long contexts; `rope_type` in Hugging Face configurations.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Scaling {
    /// Not at all.
    #[default]
    Default,
    /// `f/factor` (Chen et al. 2023).
    Linear {
        /// How many times longer contexts are.
        factor: f64,
    },
    /// A larger base for sequences longer than `original` ("dynamic NTK").
    Dynamic {
        /// How many times longer contexts are.
        factor: f64,
        /// The most positions in training.
        original: f64,
    },
    /// Slow turns are stretched and fast ones are not, with a ramp between (Peng et al. 2023, YaRN, equations
    /// 16–22).
    Yarn {
        /// How many times longer contexts are.
        factor: f64,
        /// The most positions in training.
        original: f64,
        /// Turns over the original context from which on nothing is stretched.
        beta_fast: f64,
        /// Turns up to which all is.
        beta_slow: f64,
        /// What sine and cosine are multiplied with.
        attention: f64,
        /// Whether the ends of the ramp are whole numbers.
        truncate: bool,
    },
    /// As in Llama 3.1: by wavelength, with a ramp between `original/high` and `original/low`.
    Llama3 {
        /// How many times slower slow turns become.
        factor: f64,
        /// Of the wavelength from which on all is stretched.
        low: f64,
        /// Of the wavelength up to which nothing is.
        high: f64,
        /// The most positions in training.
        original: f64,
    },
    /// A factor for each frequency, one list for sequences up to `original` and one for longer ones (Ding et al.
    /// 2024, LongRoPE).
    Longrope {
        /// Up to `original`: `[dim/2]`.
        short: Vec<f64>,
        /// Beyond: `[dim/2]`.
        long: Vec<f64>,
        /// The most positions in training.
        original: f64,
        /// What sine and cosine are multiplied with.
        attention: f64,
    },
}

impl Rotary {
    /// Turns heads of `dim` elements, an even number.
    ///
    /// # Errors
    /// An odd `dim`, lists of another length than `dim/2`, and those of libtorch.
    pub fn new(dim: i64, base: f64, scaling: Scaling) -> Result<Self, TchError> {
        if dim <= 0 || dim % 2 != 0 {
            return Err(TchError::Shape(format!(
                "rotary positions: expected heads of an even number of elements, found {dim}"
            )));
        }
        if let Scaling::Longrope { short, long, .. } = &scaling {
            for (name, list) in [("short", short), ("long", long)] {
                if list.len() as i64 != dim / 2 {
                    return Err(TchError::Shape(format!(
                        "rotary positions: expected {} {name} factors, found {}",
                        dim / 2,
                        list.len()
                    )));
                }
            }
        }
        let factor = match scaling {
            Scaling::Yarn { attention, .. } | Scaling::Longrope { attention, .. } => attention,
            _ => 1.0,
        };
        Ok(Self {
            dim,
            base,
            frequencies: scaling.frequencies(dim, base, 0)?,
            scaling,
            factor,
        })
    }

    /// The turns of rows at `positions` `[rows]`, for queries and keys of kind `kind` on `device`. Variants that
    /// depend on the length of the sequence take the largest position for its end.
    ///
    /// # Errors
    /// Those of libtorch.
    pub fn at(&self, positions: &[i64], kind: Kind, device: Device) -> Result<Turns, TchError> {
        let length = positions.iter().copied().max().unwrap_or(0) + 1;
        let stretched;
        let frequencies = match self.scaling {
            Scaling::Dynamic { original, .. } | Scaling::Longrope { original, .. }
                if length as f64 > original =>
            {
                stretched = self.scaling.frequencies(self.dim, self.base, length)?;
                &stretched
            }
            _ => &self.frequencies,
        };
        let positions = Tensor::f_from_slice(positions)?.f_to_kind(Kind::Float)?;
        let angles = positions.f_unsqueeze(1)?.f_mul(frequencies)?; // [rows, dim/2]
        let place = |part: Tensor| {
            let part = match self.factor {
                1.0 => part,
                factor => part.f_mul_scalar(factor)?,
            };
            part.f_to_kind(kind)?.f_to_device(device)
        };
        Ok(Turns {
            cos: place(angles.f_cos()?)?,
            sin: place(angles.f_sin()?)?,
        })
    }
}

/// The turns of some rows.
#[derive(Debug)]
pub struct Turns {
    /// `[rows, dim/2]`.
    cos: Tensor,
    /// `[rows, dim/2]`.
    sin: Tensor,
}

impl Turns {
    /// Turns each head of `x`, `[rows, heads·dim]`. Differentiable, once.
    ///
    /// # Errors
    /// Shapes that do not fit, and those of libtorch.
    pub fn apply(&self, x: &Tensor) -> Result<Tensor, TchError> {
        let (rows, half) = (self.cos.size()[0], self.cos.size()[1]);
        let &[found, width] = x.size().as_slice() else {
            return Err(self.misfit(x));
        };
        if found != rows || width % (2 * half) != 0 {
            return Err(self.misfit(x));
        }
        if is_fusable(x) && is_fusable(&self.cos) {
            return self.fused(x);
        }
        let heads = width / (2 * half);
        let x = x.f_reshape([rows, heads, 2, half])?;
        let (a, b) = (x.f_select(2, 0)?, x.f_select(2, 1)?); // [rows, heads, dim/2]
        let (cos, sin) = (self.cos.f_unsqueeze(1)?, self.sin.f_unsqueeze(1)?);
        let turned = [
            a.f_mul(&cos)?.f_sub(&b.f_mul(&sin)?)?,
            b.f_mul(&cos)?.f_add(&a.f_mul(&sin)?)?,
        ];
        Tensor::f_stack(&turned, 2)?.f_view([rows, width])
    }

    fn fused(&self, x: &Tensor) -> Result<Tensor, TchError> {
        let recorded = needs_grad(&[x]);
        let (cos, sin) = (self.cos.shallow_clone(), self.sin.shallow_clone());
        let output = kernel::turn(&whole_rows(&x.detach())?, &cos, &sin, false)?;
        if !recorded {
            return Ok(output);
        }
        record(&[x], output, move |Incoming { gradient, .. }| {
            let back = kernel::turn(&whole_rows(&gradient)?, &cos, &sin, true)?;
            Ok(vec![Some(back)])
        })
    }

    fn misfit(&self, x: &Tensor) -> TchError {
        TchError::Shape(format!(
            "rotary positions: expected [{}, heads·{}], found {:?}",
            self.cos.size()[0],
            2 * self.cos.size()[1],
            x.size()
        ))
    }
}

impl Scaling {
    /// `fᵢ` of a sequence of `length` tokens: `[dim/2]`, float32.
    fn frequencies(&self, dim: i64, base: f64, length: i64) -> Result<Tensor, TchError> {
        let plain = |base: f64| inverse(&powers(dim, base)?);
        match self {
            Self::Default => plain(base),
            Self::Linear { factor } => plain(base)?.f_div_scalar(*factor),
            Self::Dynamic { factor, original } => {
                let length = (length as f64).max(*original);
                let grown = factor * length / original - (factor - 1.0);
                plain(base * grown.powf(dim as f64 / (dim as f64 - 2.0)))
            }
            Self::Yarn {
                factor,
                original,
                beta_fast,
                beta_slow,
                truncate,
                ..
            } => {
                let powers = powers(dim, base)?;
                let stretched = inverse(&powers.f_mul_scalar(*factor)?)?;
                let end = |turns: f64| {
                    let turns = (original / (turns * 2.0 * std::f64::consts::PI)).ln();
                    dim as f64 * turns / (2.0 * base.ln())
                };
                let (mut low, mut high) = (end(*beta_fast), end(*beta_slow));
                if *truncate {
                    (low, high) = (low.floor(), high.ceil());
                }
                let stretch = ramp(low.max(0.0), high.min(dim as f64 - 1.0), dim / 2)?;
                let keep = stretch.f_neg()?.f_add_scalar(1.0)?;
                let kept = keep.f_mul(&inverse(&powers)?)?;
                stretched
                    .f_mul(&keep.f_neg()?.f_add_scalar(1.0)?)?
                    .f_add(&kept)
            }
            Self::Llama3 {
                factor,
                low,
                high,
                original,
            } => {
                let plain = plain(base)?;
                let wavelength = inverse(&plain)?.f_mul_scalar(2.0 * std::f64::consts::PI)?;
                let slow = wavelength.f_gt(original / low)?;
                let fast = wavelength.f_lt(original / high)?;
                let stretched = plain.f_div_scalar(*factor)?;
                let smooth = inverse(&wavelength)?
                    .f_mul_scalar(*original)?
                    .f_sub_scalar(*low)?
                    .f_div_scalar(high - low)?;
                let between = smooth
                    .f_neg()?
                    .f_add_scalar(1.0)?
                    .f_mul(&plain)?
                    .f_div_scalar(*factor)?
                    .f_add(&smooth.f_mul(&plain)?)?;
                let inner = stretched.f_where_self(&slow, &between)?;
                plain.f_where_self(&fast, &inner)
            }
            Self::Longrope {
                short,
                long,
                original,
                ..
            } => {
                let list = if length as f64 > *original {
                    long
                } else {
                    short
                };
                let list = Tensor::f_from_slice(list)?.f_to_kind(Kind::Float)?;
                inverse(&list.f_mul(&powers(dim, base)?)?)
            }
        }
    }
}

/// `base^(2i/dim)`: `[dim/2]`, float32.
fn powers(dim: i64, base: f64) -> Result<Tensor, TchError> {
    let exponents = Tensor::f_arange_start_step(0, dim, 2, (Kind::Float, Device::Cpu))?
        .f_div_scalar(dim as f64)?;
    Tensor::f_pow_scalar(base, &exponents)
}

fn inverse(x: &Tensor) -> Result<Tensor, TchError> {
    x.f_reciprocal()
}

/// 0 up to `low`, 1 from `high` on, and a line between: `[count]`, float32.
fn ramp(low: f64, mut high: f64, count: i64) -> Result<Tensor, TchError> {
    if low == high {
        high += 0.001;
    }
    Tensor::f_arange(count, (Kind::Float, Device::Cpu))?
        .f_sub_scalar(low)?
        .f_div_scalar(high - low)?
        .f_clamp(0.0, 1.0)
}
