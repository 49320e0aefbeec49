//! Tables of vectors, looked up by number.

use tch::{TchError, Tensor};
use tenon_plugin_api::Result;
use tenon_plugin_api::info::{Init, ParamRole};
use tenon_plugin_api::model::Build;

/// An embedding table.
#[derive(Debug)]
pub struct Embedding {
    /// `[entries, width]`.
    pub weight: Tensor,
    /// The entry whose gradient is always zero, as `padding_idx` in PyTorch.
    pub padding: Option<i64>,
}

impl Embedding {
    /// The table whose parameter `weight` lies at `build`; a new one is normal with deviation `std`.
    ///
    /// # Errors
    /// The weights lack the parameter or have it in another shape.
    pub fn new(build: &Build, entries: i64, width: i64, std: f64) -> Result<Self> {
        let build = build.with_role(ParamRole::Embedding);
        Ok(Self {
            weight: build.param("weight", &[entries, width], Init::Normal { std })?,
            padding: None,
        })
    }

    /// The same with an entry whose gradient is always zero.
    #[must_use]
    pub fn with_padding(self, entry: i64) -> Self {
        Self {
            padding: Some(entry),
            ..self
        }
    }

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
