//! The affine map `y = x·Wᵀ + b`.

use tch::{TchError, Tensor};

/// A linear layer.
#[derive(Debug)]
pub struct Linear {
    /// `[out, in]`, as PyTorch stores it.
    pub weight: Tensor,
    /// `[out]`.
    pub bias: Option<Tensor>,
}

impl Linear {
    /// `[…, in]` to `[…, out]`.
    ///
    /// # Errors
    /// A last dimension that is not `in`, and those of libtorch.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor, TchError> {
        x.f_linear(&self.weight, self.bias.as_ref())
    }
}
