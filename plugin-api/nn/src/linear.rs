//! The affine map `y = x·W + b`, and the place where PEFT methods attach to it.

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
    /// deviation `std` and a bias of zeros.
    ///
    /// # Errors
    /// The weights lack a parameter or have it in another shape.
    pub fn new(build: &Build, inputs: i64, outputs: i64, std: f64) -> Result<Self> {
        Ok(Self {
            bias: Some(build.param("bias", &[outputs], Init::Zeros)?),
            ..Self::without_bias(build, inputs, outputs, std)?
        })
    }

    /// The same without a bias.
    ///
    /// # Errors
    /// As [`Linear::new`].
    pub fn without_bias(build: &Build, inputs: i64, outputs: i64, std: f64) -> Result<Self> {
        Ok(Self {
            weight: build.param("weight", &[outputs, inputs], Init::Normal { std })?,
            bias: None,
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
        SiteLinear::new(Base::Linear(self), build, role, layer)
    }
}

/// A linear layer whose weight is stored `[in, out]`, as GPT-2 has them.
#[derive(Debug)]
pub struct Conv1d {
    /// `[in, out]`.
    pub weight: Tensor,
    /// `[out]`.
    pub bias: Tensor,
}

impl Conv1d {
    /// The layer whose parameters `weight` and `bias` lie at `build`; a new one has normal weights of
    /// deviation `std` and a bias of zeros.
    ///
    /// # Errors
    /// The weights lack a parameter or have it in another shape.
    pub fn new(build: &Build, inputs: i64, outputs: i64, std: f64) -> Result<Self> {
        Ok(Self {
            weight: build.param("weight", &[inputs, outputs], Init::Normal { std })?,
            bias: build.param("bias", &[outputs], Init::Zeros)?,
        })
    }

    /// `[…, in]` to `[…, out]`.
    ///
    /// # Errors
    /// A last dimension that is not `in`, and those of libtorch.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor, TchError> {
        product::linear(x, &self.weight.f_tr()?, Some(&self.bias))
    }

    /// As [`Linear::with_site`].
    ///
    /// # Errors
    /// A site of that name exists.
    pub fn with_site(self, build: &Build, role: &str, layer: Option<usize>) -> Result<SiteLinear> {
        SiteLinear::new(Base::Conv1d(self), build, role, layer)
    }
}

/// A linear layer to which PEFT methods may attach.
pub struct SiteLinear {
    base: Base,
    site: Site,
}

enum Base {
    Linear(Linear),
    Conv1d(Conv1d),
}

impl SiteLinear {
    fn new(base: Base, build: &Build, role: &str, layer: Option<usize>) -> Result<Self> {
        let (weight, bias, transposed) = match &base {
            Base::Linear(Linear { weight, bias }) => (weight, bias.as_ref(), false),
            Base::Conv1d(Conv1d { weight, bias }) => (weight, Some(bias), true),
        };
        let size = weight.size();
        let [outputs, inputs] = if transposed { [1, 0] } else { [0, 1] };
        let info = SiteInfo {
            name: build.name().to_owned(),
            role: role.to_owned(),
            kind: SiteKind::Linear,
            layer,
            in_features: size[inputs],
            out_features: size[outputs],
            transposed,
        };
        let bias = bias.map(|bias| ("bias", bias));
        let tensors: Vec<_> = std::iter::once(("weight", weight)).chain(bias).collect();
        let site = build.site(&info, &tensors)?;
        Ok(Self { base, site })
    }

    /// `[…, in]` to `[…, out]`, passed through what is attached.
    ///
    /// # Errors
    /// A last dimension that is not `in`, those of libtorch and of the attached computation.
    pub fn forward(&self, x: &Tensor, forward: &Forward) -> Result<Tensor> {
        let output = match &self.base {
            Base::Linear(linear) => linear.forward(x)?,
            Base::Conv1d(linear) => linear.forward(x)?,
        };
        self.site.linear(x, output, forward)
    }
}
