//! Tables of vectors, looked up by number.

use tch::{TchError, Tensor};

/// An embedding table.
#[derive(Debug)]
pub struct Embedding {
    /// `[entries, width]`.
    pub weight: Tensor,
    /// The entry whose gradient is always zero, as `padding_idx` in PyTorch.
    pub padding: Option<i64>,
}

impl Embedding {
    /// `[…]` int64 to `[…, width]`.
    ///
    /// # Errors
    /// A number that is not in the table, and those of libtorch.
    pub fn forward(&self, numbers: &Tensor) -> Result<Tensor, TchError> {
        Tensor::f_embedding(
            &self.weight,
            numbers,
            self.padding.unwrap_or(-1),
            false,
            false,
        )
    }
}
