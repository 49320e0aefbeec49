//! Layer normalisation, alone and fused with what precedes it in a residual block.
//!
//! `y = (h - mean(h)) / √(var(h) + eps) · weight + bias` over the last dimension, with the biased variance
//! (Ba et al. 2016, equations 3–4).

mod kernel;
mod rms;

use tch::{Device, Kind, TchError, Tensor};
use tenon_plugin_api::Result;
use tenon_plugin_api::info::{Init, ParamRole};
use tenon_plugin_api::model::Build;

use crate::bridge::{Incoming, needs_grad, record};
use crate::dropout::Dropout;

/// Layer normalisation over the last dimension.
#[derive(Debug)]
pub struct LayerNorm {
    /// The factor, `[hidden]`.
    pub weight: Tensor,
    /// The summand, `[hidden]`.
    pub bias: Tensor,
    /// What is added to the variance.
    pub eps: f64,
}

impl LayerNorm {
    /// The layer whose parameters `weight` and `bias` lie at `build`; a new one starts as the identity.
    ///
    /// # Errors
    /// The weights lack a parameter or have it in another shape.
    pub fn new(build: &Build, hidden: i64, eps: f64) -> Result<Self> {
        let build = build.with_role(ParamRole::Norm);
        Ok(Self {
            weight: build.param("weight", &[hidden], Init::Ones)?,
            bias: build.param("bias", &[hidden], Init::Zeros)?,
            eps,
        })
    }

    /// Normalises `x`, `[…, hidden]`.
    ///
    /// # Errors
    /// A last dimension that is not `hidden`, and those of libtorch.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor, TchError> {
        let shape = self.weight.size();
        x.f_layer_norm(shape, Some(&self.weight), Some(&self.bias), self.eps, true)
    }

    /// `norm(residual + dropout(x))`: how a post-norm residual block ends. Both are `[tokens, hidden]`. One pass
    /// over memory on the CPU in float32, where the mask is never stored; elsewhere the three operations.
    ///
    /// # Errors
    /// Shapes that do not fit, and those of libtorch.
    pub fn residual(
        &self,
        x: &Tensor,
        residual: &Tensor,
        dropout: Dropout,
    ) -> Result<Tensor, TchError> {
        if x.size() != residual.size() || x.dim() != 2 || x.size()[1..] != self.weight.size() {
            return Err(TchError::Shape(format!(
                "residual layer norm of {:?}: expected both inputs to be [tokens, hidden], found {:?} and {:?}",
                self.weight.size(),
                x.size(),
                residual.size()
            )));
        }
        let fusable = |x: &Tensor| x.device() == Device::Cpu && x.kind() == Kind::Float;
        if [x, residual, &self.weight, &self.bias]
            .into_iter()
            .all(fusable)
        {
            self.fused(x, residual, dropout)
        } else {
            self.composed(x, residual, dropout)
        }
    }

    fn fused(&self, x: &Tensor, residual: &Tensor, dropout: Dropout) -> Result<Tensor, TchError> {
        let inputs = [x, residual, &self.weight, &self.bias];
        let recorded = needs_grad(&inputs);
        let masking = (!dropout.is_off()).then(|| dropout.masking());
        let (output, saved) = tch::no_grad(|| {
            let [x, residual, weight, bias] = [
                x.f_contiguous()?,
                residual.f_contiguous()?,
                self.weight.f_contiguous()?,
                self.bias.f_contiguous()?,
            ];
            kernel::forward(
                &x,
                &residual,
                &weight,
                &bias,
                self.eps as f32,
                masking,
                recorded,
            )
        })?;
        let Some(saved) = saved else {
            return Ok(output);
        };
        let weight = self.weight.detach().f_contiguous()?;
        record(&inputs, output, move |Incoming { gradient, needed }| {
            let gradient = gradient.f_contiguous()?;
            kernel::backward(&gradient, &saved, &weight, masking, &needed)
        })
    }

    fn composed(
        &self,
        x: &Tensor,
        residual: &Tensor,
        dropout: Dropout,
    ) -> Result<Tensor, TchError> {
        self.forward(&residual.f_add(&dropout.apply(x)?)?)
    }
}

/// Normalisation by the root of the mean square: `y = x / √(mean(x²) + eps) · weight` over the last dimension
/// (Zhang and Sennrich 2019, equation 4).
#[derive(Debug)]
pub struct RmsNorm {
    /// The factor, `[width]`.
    pub weight: Tensor,
    /// What is added to the mean square.
    pub eps: f64,
}

impl RmsNorm {
    /// The layer whose parameter `weight` lies at `build`; a new one has factors of 1.
    ///
    /// # Errors
    /// The weights lack the parameter or have it in another shape.
    pub fn new(build: &Build, width: i64, eps: f64) -> Result<Self> {
        let build = build.with_role(ParamRole::Norm);
        Ok(Self {
            weight: build.param("weight", &[width], Init::Ones)?,
            eps,
        })
    }

    /// Normalises runs of `width` elements of `x`, `[…, n·width]`: with `n` heads side by side, each for itself.
    /// Halves are normalised in float32 and multiplied in their own kind, as in `transformers`.
    ///
    /// # Errors
    /// A last dimension that is not a multiple of `width`, and those of libtorch.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor, TchError> {
        let (shape, width) = (x.size(), self.weight.size()[0]);
        if shape.last().is_none_or(|last| last % width != 0) {
            return Err(TchError::Shape(format!(
                "rms norm of {width}: expected […, n·{width}], found {shape:?}"
            )));
        }
        let rows = x.f_reshape([-1, width])?;
        let fusable = |x: &Tensor| x.device() == Device::Cpu && x.kind() == Kind::Float;
        let normed = if fusable(x) && fusable(&self.weight) {
            self.fused(&rows)
        } else {
            self.composed(&rows)
        };
        normed?.f_view(shape.as_slice())
    }

    fn fused(&self, x: &Tensor) -> Result<Tensor, TchError> {
        let inputs = [x, &self.weight];
        let recorded = needs_grad(&inputs);
        let saved = x.detach().f_contiguous()?;
        let weight = self.weight.detach().f_contiguous()?;
        let (output, roots) = rms::forward(&saved, &weight, self.eps as f32)?;
        if !recorded {
            return Ok(output);
        }
        record(&inputs, output, move |Incoming { gradient, needed }| {
            rms::backward(&gradient.f_contiguous()?, &saved, &weight, &roots, &needed)
        })
    }

    fn composed(&self, x: &Tensor) -> Result<Tensor, TchError> {
        let kind = x.kind();
        let wide = match kind {
            Kind::Half | Kind::BFloat16 => x.f_to_kind(Kind::Float)?,
            _ => x.shallow_clone(),
        };
        let square = wide.f_square()?.f_mean_dim(-1, true, None::<Kind>)?;
        let normed = wide.f_mul(&square.f_add_scalar(self.eps)?.f_rsqrt()?)?;
        self.weight.f_mul(&normed.f_to_kind(kind)?)
    }
}
