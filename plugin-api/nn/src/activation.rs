//! Activation functions by the names that Hugging Face configurations use.

mod kernel;

use tch::{TchError, Tensor};
use tenon_plugin_api::Options;

use crate::attention::is_fusable;
use crate::bridge::{Incoming, needs_grad, record};

use self::kernel::Curve;

/// The activation function of a feed-forward layer, as `hidden_act` and its like name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Options)]
pub enum Activation {
    /// `x·Φ(x)` with the exact normal distribution function (Hendrycks and Gimpel 2016).
    Gelu,
    /// Another name of `gelu`.
    GeluPython,
    /// `gelu`, kept within -10 and 10.
    #[option(rename = "gelu_10")]
    Gelu10,
    /// `x/2 · (1 + tanh(√(2/π)·(x + 0.044715·x³)))`, the approximation in GPT-2 and the first BERT.
    GeluNew,
    /// Another name of `gelu_new`.
    GeluPytorchTanh,
    /// Another name of `gelu_new`.
    GeluPythonTanh,
    /// Another name of `gelu_new`.
    GeluFast,
    /// Another name of `gelu_new`.
    GeluAccurate,
    /// `x·σ(1.702·x)`, the coarser approximation of `gelu`.
    QuickGelu,
    /// `max(x, 0)`.
    Relu,
    /// `max(x, 0)²` (So et al. 2021).
    Relu2,
    /// `min(max(x, 0), 6)`.
    Relu6,
    /// `x`, or `x/100` below 0.
    LeakyRelu,
    /// `x·σ(x)`.
    Silu,
    /// Another name of `silu`.
    Swish,
    /// `x·min(max(x + 3, 0), 6)/6` (Howard et al. 2019).
    Hardswish,
    /// `x·tanh(log(1 + eˣ))` (Misra 2020).
    Mish,
    /// `σ(x)`.
    Sigmoid,
    /// `tanh(x)`.
    Tanh,
    /// `x`.
    Linear,
}

impl Activation {
    /// The name that configurations use for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.__tenon_json().trim_matches('"')
    }

    /// Applies it to each element of `x`, of any shape.
    ///
    /// # Errors
    /// Those of libtorch.
    pub fn forward(self, x: &Tensor) -> Result<Tensor, TchError> {
        if let Some(curve) = self.curve()
            && is_fusable(x)
        {
            return fused(curve, x);
        }
        match self {
            Self::Gelu | Self::GeluPython => x.f_gelu("none"),
            Self::Gelu10 => x.f_gelu("none")?.f_clamp(-10.0, 10.0),
            Self::GeluNew
            | Self::GeluPytorchTanh
            | Self::GeluPythonTanh
            | Self::GeluFast
            | Self::GeluAccurate => x.f_gelu("tanh"),
            Self::QuickGelu => x.f_mul(&x.f_mul_scalar(1.702)?.f_sigmoid()?),
            Self::Relu => x.f_relu(),
            Self::Relu2 => x.f_relu()?.f_square(),
            Self::Relu6 => x.f_relu6(),
            Self::LeakyRelu => x.f_leaky_relu(),
            Self::Silu | Self::Swish => x.f_silu(),
            Self::Hardswish => x.f_hardswish(),
            Self::Mish => x.f_mish(),
            Self::Sigmoid => x.f_sigmoid(),
            Self::Tanh => x.f_tanh(),
            Self::Linear => Ok(x.shallow_clone()),
        }
    }

    /// `activation(gate)·x` element by element, as in gated feed-forward layers (Shazeer 2020). Both are of one
    /// shape.
    ///
    /// # Errors
    /// Shapes that do not fit, and those of libtorch.
    pub fn gated(self, gate: &Tensor, x: &Tensor) -> Result<Tensor, TchError> {
        if let Some(curve) = self.curve()
            && gate.size() == x.size()
            && is_fusable(gate)
            && is_fusable(x)
        {
            return fused_gated(curve, gate, x);
        }
        self.forward(gate)?.f_mul(x)
    }

    /// The function as `x·σ(ax + bx³)`, where it is one: `(1 + tanh(t))/2` is `σ(2t)`.
    fn curve(self) -> Option<Curve> {
        let (a, b) = match self {
            Self::GeluNew
            | Self::GeluPytorchTanh
            | Self::GeluPythonTanh
            | Self::GeluFast
            | Self::GeluAccurate => {
                let a = 2.0 * (2.0 / std::f64::consts::PI).sqrt();
                (a, 0.044_715 * a)
            }
            Self::QuickGelu => (1.702, 0.0),
            Self::Silu | Self::Swish => (1.0, 0.0),
            _ => return None,
        };
        Some(Curve {
            a: a as f32,
            b: b as f32,
        })
    }
}

/// The curve of `x`, in one pass.
fn fused(curve: Curve, x: &Tensor) -> Result<Tensor, TchError> {
    let recorded = needs_grad(&[x]);
    let saved = x.detach().f_contiguous()?;
    let output = kernel::forward(curve, &saved)?;
    if !recorded {
        return Ok(output);
    }
    record(&[x], output, move |Incoming { gradient, .. }| {
        let by_x = kernel::backward(curve, &gradient.f_contiguous()?, &saved)?;
        Ok(vec![Some(by_x)])
    })
}

/// The curve of `gate` times `x`, in one pass.
fn fused_gated(curve: Curve, gate: &Tensor, x: &Tensor) -> Result<Tensor, TchError> {
    let recorded = needs_grad(&[gate, x]);
    let saved_gate = gate.detach().f_contiguous()?;
    let saved_x = x.detach().f_contiguous()?;
    let output = kernel::gated_forward(curve, &saved_gate, &saved_x)?;
    if !recorded {
        return Ok(output);
    }
    record(&[gate, x], output, move |Incoming { gradient, .. }| {
        let gradient = gradient.f_contiguous()?;
        let gradients = kernel::gated_backward(curve, &gradient, &saved_gate, &saved_x)?;
        Ok(gradients.map(Some).into())
    })
}
