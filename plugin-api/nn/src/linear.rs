//! The affine map `y = x·Wᵀ + b`, and the place where PEFT methods attach to it.

use tch::{TchError, Tensor};
use tenon_plugin_api::Result;
use tenon_plugin_api::info::{Init, SiteInfo, SiteKind};
use tenon_plugin_api::model::{Build, Forward, Site};

use crate::product;

/// A linear layer.
#[derive(Debug)]
pub struct Linear {
    /// `[out, in]`, as PyTorch stores it.
    pub weight: Tensor,
    /// `[out]`.
    pub bias: Option<Tensor>,
}

impl Linear {
    /// The layer whose parameters `weight` and `bias` lie at `build`; a new one has normal weights of
    /// deviation `std` and no bias.
    ///
    /// # Errors
    /// The weights lack a parameter or have it in another shape.
    pub fn new(build: &Build, inputs: i64, outputs: i64, std: f64) -> Result<Self> {
        Ok(Self {
            weight: build.param("weight", &[outputs, inputs], Init::Normal { std })?,
            bias: Some(build.param("bias", &[outputs], Init::Zeros)?),
        })
    }

    /// `[…, in]` to `[…, out]`.
    ///
    /// # Errors
    /// A last dimension that is not `in`, and those of libtorch.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor, TchError> {
        product::linear(x, &self.weight, self.bias.as_ref())
    }

    /// Declares the layer as a site named like `build`: what it does (`role`), and in which layer of the model.
    ///
    /// # Errors
    /// A site of that name exists.
    pub fn with_site(self, build: &Build, role: &str, layer: Option<usize>) -> Result<SiteLinear> {
        let size = self.weight.size();
        let info = SiteInfo {
            name: build.name().to_owned(),
            role: role.to_owned(),
            kind: SiteKind::Linear,
            layer,
            in_features: size[1],
            out_features: size[0],
            transposed: false,
        };
        let bias = self.bias.as_ref().map(|bias| ("bias", bias));
        let tensors: Vec<_> = std::iter::once(("weight", &self.weight))
            .chain(bias)
            .collect();
        let site = build.site(&info, &tensors)?;
        Ok(SiteLinear { linear: self, site })
    }
}

/// A linear layer to which PEFT methods may attach.
pub struct SiteLinear {
    linear: Linear,
    site: Site,
}

impl SiteLinear {
    /// `[…, in]` to `[…, out]`, passed through what is attached.
    ///
    /// # Errors
    /// A last dimension that is not `in`, those of libtorch and of the attached computation.
    pub fn forward(&self, x: &Tensor, forward: &Forward) -> Result<Tensor> {
        self.site.linear(x, self.linear.forward(x)?, forward)
    }

    /// The layer alone, without what is attached.
    #[must_use]
    pub fn base(&self) -> &Linear {
        &self.linear
    }
}
