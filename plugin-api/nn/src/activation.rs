//! Activation functions by the names that Hugging Face configurations use.

use tch::{TchError, Tensor};
use tenon_plugin_api::Options;

/// The activation function of a feed-forward layer, as `hidden_act` names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Options)]
pub enum Activation {
    /// `x·Φ(x)` with the exact normal distribution function (Hendrycks and Gimpel 2016).
    Gelu,
    /// Another name of `gelu`.
    GeluPython,
    /// `x/2 · (1 + tanh(√(2/π)·(x + 0.044715·x³)))`, the approximation in GPT-2 and the first BERT.
    GeluNew,
    /// Another name of `gelu_new`.
    GeluPytorchTanh,
    /// Another name of `gelu_new`.
    GeluFast,
    /// `max(x, 0)`.
    Relu,
    /// `x·σ(x)`.
    Silu,
    /// Another name of `silu`.
    Swish,
    /// `tanh(x)`.
    Tanh,
}

impl Activation {
    /// Applies it to each element of `x`, of any shape.
    ///
    /// # Errors
    /// Those of libtorch.
    pub fn forward(self, x: &Tensor) -> Result<Tensor, TchError> {
        match self {
            Self::Gelu | Self::GeluPython => x.f_gelu("none"),
            Self::GeluNew | Self::GeluPytorchTanh | Self::GeluFast => x.f_gelu("tanh"),
            Self::Relu => x.f_relu(),
            Self::Silu | Self::Swish => x.f_silu(),
            Self::Tanh => x.f_tanh(),
        }
    }
}
